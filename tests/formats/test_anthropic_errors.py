"""What errors of the Messages API mean; and how our server words ours."""

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
    EmptyAnswer,
    IdleTimedOut,
    InvalidInput,
    MissingKey,
    ModelError,
    ModelNotFound,
    MultiturnError,
    NotFound,
    ProviderFailed,
    RateLimited,
    RequestRejected,
    RequestTooLarge,
    StoreError,
    TooLong,
    Unauthorized,
    UnknownModel,
)
from multiturn.formats.anthropic import Dialect, decode_error, encode_error
from upstream_anthropic import error

CLAUDE = Dialect()


def of(status: int, body: Any = b"", headers: dict[str, str] | None = None, dialect: Dialect = CLAUDE) -> ModelError:
    return decode_error(status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode(), dialect)


ERRORS: list[tuple[int, Any, type[ModelError], str]] = [
    # the key
    (
        401,
        error("authentication_error", "invalid x-api-key"),
        AuthenticationFailed,
        "anthropic answered 401 (authentication_error): invalid x-api-key. Check ANTHROPIC_API_KEY.",
    ),
    (403, error("permission_error", "No"), AuthenticationFailed, "(permission_error): No. Check ANTHROPIC_API_KEY."),
    # the model
    (
        404,
        error("not_found_error", "model: claude-x"),
        ModelNotFound,
        "(not_found_error): model: claude-x. Check the model's name and the base URL.",
    ),
    # the request
    (
        400,
        error("invalid_request_error", "max_tokens: Field required"),
        RequestRejected,
        "anthropic answered 400 (invalid_request_error): max_tokens: Field required.",
    ),
    (
        413,
        error("request_too_large", "Request exceeds the maximum size"),
        RequestTooLarge,
        "Request exceeds the maximum size. Send less at once: smaller images and files, or their addresses.",
    ),
    # the window, in the API's words of all times, and in those of its imitators
    (
        400,
        error("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        ContextOverflow,
        "210000 tokens > 200000 maximum. Shorten the conversation, or set a smaller token budget.",
    ),
    (
        400,
        error("invalid_request_error", "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"),
        ContextOverflow,
        "exceed context limit: 190000 + 20000 > 200000. Shorten the conversation",
    ),
    (400, {"error": {"message": "This model's maximum context length is 8192"}}, ContextOverflow, "8192. Shorten"),
    # money
    (
        402,
        error("billing_error", "Pay"),
        RequestRejected,
        "Pay. The account's credit is used up; waiting does not help",
    ),
    (
        400,
        error("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
        RequestRejected,
        "too low to access the Anthropic API. The account's credit is used up",
    ),
    # too often
    (
        429,
        error("rate_limit_error", "This request would exceed your rate limit"),
        RateLimited,
        "anthropic answered 429 (rate_limit_error): This request would exceed your rate limit. Try again later.",
    ),
    # their fault
    (500, error("api_error", "Internal server error"), ProviderFailed, "Internal server error. Try again later."),
    (529, error("overloaded_error", "Overloaded"), ProviderFailed, "(overloaded_error): Overloaded. Try again later."),
    (504, error("timeout_error", "Too slow"), ProviderFailed, "(timeout_error): Too slow. Try again later."),
    # what stands between
    (
        502,
        b"<html><head><title>502 Bad Gateway</title></head></html>",
        ProviderFailed,
        "anthropic answered 502: 502 Bad Gateway. Try again later.",
    ),
    (400, b"", RequestRejected, "anthropic answered 400, and did not say why."),
]


@pytest.mark.parametrize(("status", "body", "kind", "said"), ERRORS)
def test_what_an_answer_means(status: int, body: Any, kind: type[ModelError], said: str) -> None:
    found = of(status, body)
    assert type(found) is kind
    assert said in str(found)
    assert (found.status, found.provider) == (status, "anthropic")


@pytest.mark.parametrize(
    ("headers", "seconds", "advice"),
    [
        ({"Retry-After": "20"}, 20.0, "Try again in 20 s."),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25, "Try again in 0.25 s."),
        ({}, None, "Try again later."),
    ],
)
def test_when_to_come_again(headers: dict[str, str], seconds: float | None, advice: str) -> None:
    found = of(429, error("rate_limit_error", "Slow"), headers)
    assert found.retry_after_s == seconds
    assert str(found).endswith(advice)


def test_the_request_is_named_by_its_header_or_else_by_the_body() -> None:
    body = error("api_error", "Oops")
    assert of(500, body, {"Request-Id": "req_7"}).request_id == "req_7"
    assert of(500, body).request_id == "req_1"
    assert of(500, b"oops").request_id is None


def test_the_body_is_kept_in_part_and_the_message_is_short() -> None:
    found = of(400, error("invalid_request_error", "x" * 10_000))
    assert len(found.body or "") == 2000
    assert len(str(found)) < 1000


def test_a_key_that_a_provider_repeats_is_blotted_out() -> None:
    key = "sk-ant-api03-abcdefghijklmnop"
    found = of(401, error("authentication_error", f"no such key {key}"))
    assert "[key]" in str(found)
    assert key not in f"{found} {found.body}"


def test_without_the_name_of_a_variable_the_key_is_meant() -> None:
    assert str(of(401, b"no", dialect=Dialect(provider="open", key_variable=None))).endswith("Check the key.")


# --- as a server ----------------------------------------------------------------------------------------------------

SERVED: list[tuple[Exception, int, str]] = [
    # the client's
    (InvalidInput("no"), 400, "invalid_request_error"),
    (UnknownModel("no"), 404, "not_found_error"),
    (NotFound("conversation", "c"), 404, "not_found_error"),
    (ConversationBusy("c"), 409, "conflict_error"),
    (Unauthorized("no"), 401, "authentication_error"),
    (RequestRejected("no", status=422), 422, "invalid_request_error"),
    (RequestTooLarge("no"), 413, "request_too_large"),
    (ModelNotFound("no"), 404, "not_found_error"),
    (RateLimited("no"), 429, "rate_limit_error"),
    # the provider's; that it rejects our key is not the client's doing
    (AuthenticationFailed("no"), 502, "api_error"),
    (ProviderFailed("no"), 502, "api_error"),
    (ProviderFailed("no", status=529), 529, "overloaded_error"),
    (ConnectionFailed("no"), 502, "api_error"),
    (EmptyAnswer("no"), 502, "api_error"),
    (IdleTimedOut("no"), 504, "timeout_error"),
    # ours
    (MissingKey("no"), 500, "api_error"),
    (StoreError("no"), 500, "api_error"),
]


@pytest.mark.parametrize(("error", "status", "type"), SERVED)
def test_an_error_as_a_client_learns_of_it(error: Exception, status: int, type: str) -> None:
    said, body = encode_error(error, request_id="req_1")
    assert said == status
    assert json.loads(body) == {
        "type": "error",
        "error": {"type": type, "message": str(error)},
        "request_id": "req_1",
    }


@pytest.mark.parametrize("words", ["it is full", "prompt is too long: 9 > 5"])
def test_an_overflow_is_told_in_the_words_by_which_clients_know_it(words: str) -> None:
    status, body = encode_error(ContextOverflow(words, status=400))
    message = json.loads(body)["error"]["message"]
    assert (status, message.count("prompt is too long"), words in message) == (400, 1, True)
    assert isinstance(of(status, body), ContextOverflow)
    assert encode_error(TooLong(words)) == (status, body)


def test_an_error_that_is_not_ours_tells_nothing() -> None:
    status, body = encode_error(ZeroDivisionError("secret"))
    assert status == 500
    assert json.loads(body)["error"]["message"] == "The server failed; its log says why."


def test_every_error_has_a_status() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MultiturnError)]
    for kind in kinds:
        made = kind("conversation", "c") if kind is NotFound else kind("x")
        assert 400 <= encode_error(made)[0] < 600
