"""What Google's errors mean; and how our server words ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from multiturn import errors
from multiturn.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ContextOverflow,
    ConversationBusy,
    IdleTimedOut,
    InvalidInput,
    ModelError,
    ModelNotFound,
    MultiturnError,
    NotFound,
    ProviderFailed,
    RateLimited,
    RequestRejected,
    RequestTooLarge,
    StoreError,
    UnknownModel,
)
from multiturn.formats.gemini import Dialect, decode_error, encode_error
from upstream_gemini import error as google

GEMINI = Dialect()


def of(status: int, body: Any = b"", headers: dict[str, str] | None = None, dialect: Dialect = GEMINI) -> ModelError:
    return decode_error(status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode(), dialect)


INFO = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "36.5s"}

ERRORS: list[tuple[int, Any, type[ModelError], str]] = [
    # the key: wrong, expired, none at all, not allowed to
    (
        400,
        google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", INFO),
        AuthenticationFailed,
        "gemini answered 400 (INVALID_ARGUMENT): API key not valid. Please pass a valid API key. Check GEMINI_API_KEY.",
    ),
    (400, google(400, "INVALID_ARGUMENT", "Nope.", INFO), AuthenticationFailed, ""),
    (400, google(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."), AuthenticationFailed, ""),
    (401, google(401, "UNAUTHENTICATED", "No credentials"), AuthenticationFailed, ""),
    (
        403,
        google(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers"),
        AuthenticationFailed,
        "gemini answered 403 (PERMISSION_DENIED): Method doesn't allow unregistered callers. Check GEMINI_API_KEY.",
    ),
    # the model
    (
        404,
        google(404, "NOT_FOUND", "models/x is not found for API version v1beta"),
        ModelNotFound,
        "gemini answered 404 (NOT_FOUND): models/x is not found for API version v1beta. Check the model's name and the "
        "base URL.",
    ),
    # the request
    (
        400,
        google(400, "INVALID_ARGUMENT", "Please use a valid role: user, model."),
        RequestRejected,
        "gemini answered 400 (INVALID_ARGUMENT): Please use a valid role: user, model.",
    ),
    (400, google(400, "FAILED_PRECONDITION", "User location is not supported"), RequestRejected, ""),
    # ... too long, and too big
    (
        400,
        google(
            400, "INVALID_ARGUMENT", "The input token count (1196265) exceeds the maximum number of tokens allowed (9)."
        ),
        ContextOverflow,
        "gemini answered 400 (INVALID_ARGUMENT): The input token count (1196265) exceeds the maximum number of tokens "
        "allowed (9). Shorten the conversation, or set a smaller token budget.",
    ),
    (
        400,
        google(400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes."),
        RequestTooLarge,
        "gemini answered 400 (INVALID_ARGUMENT): Request payload size exceeds the limit: 20971520 bytes. Send less",
    ),
    (413, b"<html><head><title>413 Too Large</title></head></html>", RequestTooLarge, "gemini answered 413: 413 Too"),
    # too often
    (
        429,
        google(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", RETRY),
        RateLimited,
        "gemini answered 429 (RESOURCE_EXHAUSTED): You exceeded your current quota. Try again in 36.5 s.",
    ),
    (429, google(429, "RESOURCE_EXHAUSTED", "The input token count exceeds"), RateLimited, ""),
    # their fault
    (500, google(500, "INTERNAL", "An internal error has occurred."), ProviderFailed, "gemini answered 500 (INTERNAL)"),
    (
        503,
        google(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
        ProviderFailed,
        "gemini answered 503 (UNAVAILABLE): The model is overloaded. Please try again later. Try again later.",
    ),
    (504, google(504, "DEADLINE_EXCEEDED", "Deadline expired"), ProviderFailed, ""),
    (502, b"", ProviderFailed, "gemini answered 502, and did not say why. Try again later."),
    # within a list, as a stream's errors are
    (404, [google(404, "NOT_FOUND", "no")], ModelNotFound, "gemini answered 404 (NOT_FOUND): no."),
    # nothing that we know
    (400, b"[" * 100_000, RequestRejected, "gemini answered 400: [[["),
    (400, {"error": {"details": [7]}}, RequestRejected, ""),
]


@pytest.mark.parametrize(("status", "body", "kind", "said"), ERRORS)
def test_a_status_is_an_error_of_its_kind(status: int, body: Any, kind: type[ModelError], said: str) -> None:
    error = of(status, body)
    assert type(error) is kind
    assert str(error).startswith(said)
    assert (error.provider, error.status) == ("gemini", status)


@pytest.mark.parametrize(
    ("delay", "headers", "seconds"),
    [
        ("36s", {}, 36.0),
        ("36.5001s", {}, 36.501),
        ("0s", {"retry-after": "7"}, 7.0),
        # nonsense, and nothing
        ("soon", {}, None),
        (7, {"Retry-After": "20"}, 20.0),
        ("9" * 400 + "s", {}, None),
    ],
)
def test_when_to_come_again(delay: Any, headers: dict[str, str], seconds: float | None) -> None:
    error = of(429, google(429, "RESOURCE_EXHAUSTED", "Slow", {"retryDelay": delay}), headers)
    assert error.retry_after_s == seconds
    assert str(error).endswith("Try again later." if seconds is None else f"Try again in {seconds:g} s.")


def test_the_body_is_kept_in_part_and_without_keys() -> None:
    key = "AIzaSyabcdefghijklmnopqrs"
    error = of(400, google(400, "INVALID_ARGUMENT", f"API key {key} " + "x" * 10_000), {"X-Request-Id": "r1"})
    assert (error.code, error.request_id) == ("INVALID_ARGUMENT", "r1")
    assert len(str(error)) < 1000
    assert len(str(error.body)) == 2000
    assert key not in f"{error} {error.body}"


def test_without_the_name_of_a_variable_the_key_is_meant() -> None:
    assert str(of(401, google(401, "UNAUTHENTICATED", "No"), dialect=Dialect(key_variable=None))).endswith(
        "Check the key."
    )


# --- as a server ----------------------------------------------------------------------------------------------------

SERVED: list[tuple[Exception, int, str]] = [
    # the client's
    (InvalidInput("no"), 400, "INVALID_ARGUMENT"),
    (UnknownModel("no"), 404, "NOT_FOUND"),
    (NotFound("conversation", "c"), 404, "NOT_FOUND"),
    (ConversationBusy("c"), 409, "ABORTED"),
    (ContextOverflow("no"), 400, "INVALID_ARGUMENT"),
    (RequestRejected("no", status=422), 422, "INVALID_ARGUMENT"),
    (RequestTooLarge("no"), 413, "INVALID_ARGUMENT"),
    (RateLimited("no"), 429, "RESOURCE_EXHAUSTED"),
    # the provider's; that it rejects our key is not the client's doing
    (AuthenticationFailed("no"), 502, "UNAVAILABLE"),
    (ConnectionFailed("no"), 502, "UNAVAILABLE"),
    (IdleTimedOut("no"), 504, "DEADLINE_EXCEEDED"),
    # ours
    (StoreError("no"), 500, "INTERNAL"),
]


@pytest.mark.parametrize(("error", "status", "word"), SERVED)
def test_an_error_as_a_client_learns_of_it(error: Exception, status: int, word: str) -> None:
    said, body = encode_error(error)
    assert said == status
    assert json.loads(body) == {"error": {"code": status, "message": str(error), "status": word}}


def test_a_client_is_told_when_to_come_again() -> None:
    status, body = encode_error(RateLimited("no", retry_after_s=36.5))
    assert of(status, body).retry_after_s == 36.5


def test_an_error_that_is_not_ours_tells_nothing() -> None:
    status, body = encode_error(ZeroDivisionError("secret"))
    assert (status, json.loads(body)["error"]["message"]) == (500, "The server failed; its log says why.")


def test_every_error_has_a_status_and_means_as_much_on_the_way_back() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MultiturnError)]
    for kind in kinds:
        error = kind("conversation", "c") if kind is NotFound else kind("x")
        status, body = encode_error(error)
        assert 400 <= status < 600
        assert isinstance(of(status, body), ModelError)
