"""What providers' errors mean, in the words they use; and how our server words ours."""

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
    GoingDown,
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
from multiturn.formats.chat_completions import Dialect, decode_error, encode_error

OPENAI = Dialect(key_variable="OPENAI_API_KEY")


def of(status: int, body: Any = b"", headers: dict[str, str] | None = None, dialect: Dialect = OPENAI) -> ModelError:
    return decode_error(status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode(), dialect)


def openai(message: str, code: str | None = None, type: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": type, "param": None, "code": code}}


ERRORS: list[tuple[int, Any, type[ModelError], str]] = [
    # the key
    (
        401,
        openai("Incorrect API key provided: sk-abc***xyz.", "invalid_api_key"),
        AuthenticationFailed,
        "openai answered 401 (invalid_api_key): Incorrect API key provided: sk-abc***xyz. Check OPENAI_API_KEY.",
    ),
    (403, openai("No"), AuthenticationFailed, "openai answered 403 (invalid_request_error): No. Check OPENAI_API_KEY."),
    # the model
    (
        404,
        openai("The model `x` does not exist", "model_not_found"),
        ModelNotFound,
        "openai answered 404 (model_not_found): The model `x` does not exist. Check the model's name and the base URL.",
    ),
    # the request
    (
        400,
        openai("Unknown parameter: 'x'.", "unknown_parameter"),
        RequestRejected,
        "openai answered 400 (unknown_parameter): Unknown parameter: 'x'.",
    ),
    (422, {"detail": "no"}, RequestRejected, "openai answered 422: no."),
    (
        402,
        {"error": {"message": "Insufficient Balance"}},
        RequestRejected,
        "openai answered 402: Insufficient Balance. The account's quota or credit is used up; waiting does not help, "
        "see its billing page.",
    ),
    (
        413,
        b"<html><head><title>413 Request Entity Too Large</title></head></html>",
        RequestTooLarge,
        "openai answered 413: 413 Request Entity Too Large. Send less at once: smaller images and files, or their "
        "addresses.",
    ),
    # too often, and no more money
    (
        429,
        openai("Rate limit reached", "rate_limit_exceeded"),
        RateLimited,
        "openai answered 429 (rate_limit_exceeded): Rate limit reached. Try again later.",
    ),
    (
        429,
        openai("You exceeded your current quota", "insufficient_quota"),
        RateLimited,
        "openai answered 429 (insufficient_quota): You exceeded your current quota. The account's quota or credit is "
        "used up; waiting does not help, see its billing page.",
    ),
    # their fault
    (
        500,
        openai("Oops", type="server_error"),
        ProviderFailed,
        "openai answered 500 (server_error): Oops. Try again later.",
    ),
    (503, b"", ProviderFailed, "openai answered 503, and did not say why. Try again later."),
    (
        502,
        b"<html>\n<head><style>p {}</style></head><body><h1>Bad\n gateway</h1></body></html>",
        ProviderFailed,
        "openai answered 502: Bad gateway. Try again later.",
    ),
    (529, openai("Overloaded", type="overloaded_error"), ProviderFailed, "openai answered 529 (overloaded_error): "),
]


@pytest.mark.parametrize(("status", "body", "kind", "said"), ERRORS)
def test_a_status_is_an_error_of_its_kind(status: int, body: Any, kind: type[ModelError], said: str) -> None:
    error = of(status, body)
    assert type(error) is kind
    assert str(error).startswith(said)
    assert (error.provider, error.status) == ("openai", status)


OVERFLOWS: list[tuple[int, Any]] = [
    # OpenAI
    (
        400,
        openai(
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
            "context_length_exceeded",
        ),
    ),
    (400, openai("Your input exceeds the context window of this model. Please adjust your input and try again.")),
    # ... the code alone, and with 413
    (400, openai("Too long.", "context_length_exceeded")),
    (413, openai("Too long.", "context_length_exceeded")),
    # vLLM, its older shape, and its newer words
    (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
    (400, openai("The decoder prompt (length 8357) is longer than the maximum model length of 8192.")),
    # SGLang
    (
        400,
        {
            "object": "error",
            "message": "The input (5 tokens) is longer than the model's context length (4 tokens).",
        },
    ),
    # llama.cpp, its older and newer words
    (
        400,
        {
            "error": {
                "code": 400,
                "message": "request (13392 tokens) exceeds the available context size (8192 tokens), try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 13392,
                "n_ctx": 8192,
            }
        },
    ),
    (
        500,
        {"error": {"code": 500, "message": "the request exceeds the available context size"}},
    ),
    # Ollama
    (400, {"error": {"message": "prompt too long; exceeded max context length by 5 tokens", "type": "api_error"}}),
    (400, {"error": "the input length exceeds the context length"}),
    # LM Studio
    (
        400,
        {"error": "The number of tokens to keep from the initial prompt is greater than the context length."},
    ),
    # Groq
    (400, openai("Please reduce the length of the messages or completion.", "context_length_exceeded")),
    # Mistral
    (
        400,
        {
            "object": "error",
            "message": "Prompt contains 65673 tokens and 0 draft tokens, too large for model with 32768 maximum "
            "context length",
            "type": "invalid_request_error",
            "code": "3051",
        },
    ),
    # xAI
    (
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        },
    ),
    # Anthropic, behind a gateway that says it in its own error
    (
        400,
        {
            "error": {
                "code": 400,
                "message": "Provider returned error",
                "metadata": {"raw": '{"error":{"message":"prompt is too long: 213462 tokens > 200000 maximum"}}'},
            }
        },
    ),
    # Gemini
    (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "The input token count (1196265) exceeds the maximum number of tokens allowed (1).",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
    ),
    # Moonshot, MiniMax, GitHub
    (400, openai("Invalid request: Your request exceeded model token limit: 131072")),
    (400, openai("invalid params, context window exceeds limit")),
    (413, openai("Request body too large for gpt-4o model. Max size: 8000 tokens.", "tokens_limit_reached")),
]


@pytest.mark.parametrize(("status", "body"), OVERFLOWS)
def test_a_conversation_that_is_too_long(status: int, body: Any) -> None:
    error = of(status, body)
    assert type(error) is ContextOverflow
    assert str(error).endswith("Shorten the conversation, or set a smaller token budget.")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        # a limit on the answer, on a schema, on the rate
        (400, openai("max_tokens is too large: 200000. This model supports at most 16384 completion tokens.")),
        (400, openai("Invalid 'tools': array too long. Expected an array with maximum length 128.")),
        (
            429,
            openai("Limit 30000, Requested 50000. Please reduce the length of the messages"),
        ),
        # words that only mention it
        (404, openai("There is no model with that context size.")),
    ],
)
def test_what_is_not_too_long(status: int, body: Any) -> None:
    assert type(of(status, body)) is not ContextOverflow


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        # FastAPI: one word, and a list of complaints
        ({"detail": "Not Found"}, "Not Found", None),
        ({"detail": [{"loc": ["body", "n"], "msg": "not a number", "type": "x"}]}, "body.n: not a number", None),
        # Mistral: the same within a message
        ({"object": "error", "message": {"detail": [{"loc": ["body"], "msg": "missing"}]}}, "body: missing", None),
        # xAI: code and error side by side
        ({"code": "invalid-argument", "error": "bad"}, "bad", "invalid-argument"),
        # Anthropic
        ({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, "busy", "overloaded_error"),
        # JSON that is nothing we know
        ({"message": "bad"}, "bad", None),
        ({"message": {"x": 1}}, '{"x":1}', None),
        ({"error": {"message": None, "code": None}}, "", None),
        ("bad", "bad", None),
        (7, "7", None),
        (None, "", None),
        ([], "", None),
        # no JSON
        (b"bad", "bad", None),
        (b"\xff\xfe", "\ufffd\ufffd", None),
        (b"[" * 100_000, "[[[", None),
    ],
)
def test_the_reason_is_found_wherever_it_stands(body: Any, message: str, code: str | None) -> None:
    error = of(400, body)
    assert f": {message}" in str(error) if message else "did not say why" in str(error)
    assert error.code == code


# --- attributes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "20"}, 20.0),
        ({"retry-after": "0.5"}, 0.5),
        # milliseconds are more exact
        ({"retry-after": "1", "Retry-After-Ms": "250"}, 0.25),
        # a date, by the server's own clock
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
        # ... and one that has passed, by ours
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "-5"}, 0.0),
        # nonsense, and nothing
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_when_to_come_again(headers: dict[str, str], seconds: float | None) -> None:
    error = of(429, openai("Slow"), headers)
    assert error.retry_after_s == seconds
    assert str(error).endswith("Try again later." if seconds is None else f"Try again in {seconds:g} s.")


def test_the_request_is_named_and_the_body_kept_in_part() -> None:
    error = of(400, b"x" * 10_000, {"X-Request-Id": "req_1"})
    assert error.request_id == "req_1"
    assert error.body == "x" * 2000
    assert len(str(error)) < 1000


@pytest.mark.parametrize("key", ["sk-proj-abcdefghijkl_mnop", "xai-abcdefghijklmnop", "AIzaSyabcdefghijklmnopqrs"])
def test_a_key_that_a_provider_repeats_is_blotted_out(key: str) -> None:
    error = of(401, openai(f"Incorrect API key provided: {key}"))
    assert "[key]" in str(error)
    assert key not in str(error)
    assert key not in str(error.body)
    assert key not in str(of(401, f"Bearer {key} is wrong".encode()))


def test_without_the_name_of_a_variable_the_key_is_meant() -> None:
    assert str(of(401, openai("No"), dialect=Dialect(provider="groq"))).endswith("Check the key.")


# --- as a server ----------------------------------------------------------------------------------------------------

SERVED: list[tuple[Exception, int, str, str | None]] = [
    # the client's
    (InvalidInput("no"), 400, "invalid_request_error", None),
    (UnknownModel("no"), 404, "invalid_request_error", "model_not_found"),
    (NotFound("conversation", "c"), 404, "invalid_request_error", "not_found"),
    (ConversationBusy("c"), 409, "invalid_request_error", "conversation_busy"),
    (TooLong("no"), 400, "invalid_request_error", "context_length_exceeded"),
    (Unauthorized("no"), 401, "invalid_request_error", "invalid_api_key"),
    (ContextOverflow("no", status=400), 400, "invalid_request_error", "context_length_exceeded"),
    (RequestRejected("no", status=422, code="x"), 422, "invalid_request_error", "x"),
    (RequestTooLarge("no"), 413, "invalid_request_error", "request_too_large"),
    (ModelNotFound("no"), 404, "invalid_request_error", "model_not_found"),
    (RateLimited("no"), 429, "rate_limit_error", "rate_limit_exceeded"),
    # the provider's; that it rejects our key is not the client's doing
    (AuthenticationFailed("no"), 502, "server_error", "upstream_error"),
    (ProviderFailed("no"), 502, "server_error", "upstream_error"),
    (ConnectionFailed("no"), 502, "server_error", "upstream_error"),
    (EmptyAnswer("no"), 502, "server_error", "upstream_error"),
    (IdleTimedOut("no"), 504, "server_error", "timeout"),
    # ours
    (MissingKey("no"), 500, "server_error", "missing_key"),
    (GoingDown("no"), 503, "server_error", None),
    (StoreError("no"), 500, "server_error", None),
]


@pytest.mark.parametrize(("error", "status", "type", "code"), SERVED)
def test_an_error_as_a_client_learns_of_it(error: Exception, status: int, type: str, code: str | None) -> None:
    said, body = encode_error(error)
    assert said == status
    assert json.loads(body) == {"error": {"message": str(error), "type": type, "param": None, "code": code}}


def test_the_field_that_is_wrong_is_named() -> None:
    _, body = encode_error(InvalidInput("messages[2].content[0].type: 'smell' is not known here"))
    assert json.loads(body)["error"]["param"] == "messages[2].content[0].type"


def test_an_error_that_is_not_ours_tells_nothing() -> None:
    status, body = encode_error(ZeroDivisionError("secret"))
    assert status == 500
    assert json.loads(body)["error"]["message"] == "The server failed; its log says why."


def test_every_error_has_a_status() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MultiturnError)]
    for kind in kinds:
        error = kind("conversation", "c") if kind is NotFound else kind("x")
        assert 400 <= encode_error(error)[0] < 600
