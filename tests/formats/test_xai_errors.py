"""gRPC's statuses as errors, and our errors as statuses."""

import re
from pathlib import Path

import grpc
import pytest

from multiturn.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectTimedOut,
    ContextOverflow,
    ConversationBusy,
    EmptyAnswer,
    FirstByteTimedOut,
    InvalidInput,
    InvalidReply,
    MissingKey,
    ModelError,
    ModelNotFound,
    NotFound,
    ProviderFailed,
    RateLimited,
    RequestRejected,
    RequestTooLarge,
    RunCancelled,
    StateLost,
    StreamCut,
    TotalTimedOut,
    Unauthorized,
    UnknownModel,
)
from multiturn.formats.xai import Dialect
from multiturn.formats.xai.failures import decode_error, encode_error, encode_fault, http_status

XAI = Dialect()

# Details without a comment were seen at api.x.ai; those of connections come from gRPC's core.
STATUSES: list[tuple[str, str, type[ModelError]]] = [
    ("UNAUTHENTICATED", "Incorrect API key provided: xa***12.", AuthenticationFailed),
    ("PERMISSION_DENIED", "Your newly created team doesn't have any credits or licenses yet.", AuthenticationFailed),
    ("PERMISSION_DENIED", "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO", RequestRejected),
    ("INVALID_ARGUMENT", "Incorrect API key provided: na***ys. You can obtain an API key from …", AuthenticationFailed),
    ("INVALID_ARGUMENT", "Model not found: grok-beta", ModelNotFound),
    ("INVALID_ARGUMENT", "Argument not supported on this model: reasoningEffort", RequestRejected),
    ("INVALID_ARGUMENT", "Each message must have at least one content element.", RequestRejected),
    (
        "INVALID_ARGUMENT",
        "Failed to start sampling: [input_too_large] Current message (1149677 tokens) exceeds budget (975424 tokens)",
        ContextOverflow,
    ),
    ("INVALID_ARGUMENT", "This model's maximum prompt length is 131072 but the request …", ContextOverflow),
    ("NOT_FOUND", "The model grok-9 does not exist or your team does not have access to it.", ModelNotFound),
    ("NOT_FOUND", "Response with id=1f55e9ae not found", RequestRejected),  # nobody asked to go on from one
    ("NOT_FOUND", "File file-1 not found", RequestRejected),
    ("NOT_FOUND", "", ModelNotFound),
    ("RESOURCE_EXHAUSTED", "Too many requests for team", RateLimited),
    ("RESOURCE_EXHAUSTED", "SERVER: Received message larger than max (5000005 vs. 4194304)", RequestTooLarge),
    ("RESOURCE_EXHAUSTED", "Stream removed (CLIENT: Received message larger than max (14 vs. 4))", InvalidReply),
    ("OUT_OF_RANGE", "Error, decoded message length too large: found 9 bytes, the limit is: 4", RequestTooLarge),
    ("OUT_OF_RANGE", "no", RequestRejected),
    ("FAILED_PRECONDITION", "no", RequestRejected),
    ("DEADLINE_EXCEEDED", "Deadline Exceeded", TotalTimedOut),
    ("UNIMPLEMENTED", "Method not found!", ModelNotFound),
    ("INTERNAL", "boom", ProviderFailed),
    ("INTERNAL", "Invalid metadata", AuthenticationFailed),
    ("UNKNOWN", "", ProviderFailed),
    ("UNAVAILABLE", "The model is overloaded", ProviderFailed),
    (
        "UNAVAILABLE",
        "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote "
        "host: Connection refused",
        ConnectionFailed,
    ),
    (
        "UNAVAILABLE",
        "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: connection attempt timed out "
        "before receiving SETTINGS frame",
        ConnectTimedOut,
    ),
    ("UNAVAILABLE", "errors resolving nohost.invalid:443: [Domain name not found]", ConnectionFailed),
    ("UNAVAILABLE", "Socket closed", ConnectionFailed),
    ("A_NEW_ONE", "", ProviderFailed),
]


@pytest.mark.parametrize(("code", "details", "kind"), STATUSES)
def test_a_status_as_an_error(code: str, details: str, kind: type[ModelError]) -> None:
    error = decode_error(code, details, {}, XAI)
    assert type(error) is kind
    assert (error.provider, error.code) == ("xai", code)
    assert details.rstrip(".") in str(error)


def test_every_status_that_grpc_has_is_known() -> None:
    for status in grpc.StatusCode:
        error = decode_error(status.name, "", {}, XAI)
        assert status is grpc.StatusCode.OK or error.status is not None, status


LOST = [
    ("NOT_FOUND", "Response with id=1f55e9ae not found", StateLost),
    ("NOT_FOUND", "Response not found", StateLost),
    ("NOT_FOUND", "", StateLost),
    ("NOT_FOUND", "The model grok-9 does not exist", ModelNotFound),
    ("INVALID_ARGUMENT", "no", RequestRejected),
]


@pytest.mark.parametrize(("code", "details", "kind"), LOST)
def test_a_kept_answer_that_is_gone(code: str, details: str, kind: type[ModelError]) -> None:
    assert type(decode_error(code, details, {}, XAI, continued=True)) is kind


@pytest.mark.parametrize("code", ["UNAVAILABLE", "CANCELLED"])
def test_what_breaks_off_in_the_middle_is_a_cut_stream(code: str) -> None:
    assert type(decode_error(code, "Socket closed", {}, XAI, begun=True)) is StreamCut
    assert type(decode_error("INTERNAL", "boom", {}, XAI, begun=True)) is ProviderFailed


def test_an_error_says_what_to_do() -> None:
    assert str(decode_error("UNAUTHENTICATED", "Bad key", {}, XAI)) == (
        "xai answered UNAUTHENTICATED: Bad key. Check XAI_API_KEY, and the team's credits."
    )
    assert str(decode_error("UNAVAILABLE", "failed to connect to all addresses", {}, XAI)) == (
        "no connection to xai: failed to connect to all addresses. Is the host right, and the network up?"
    )
    assert str(decode_error("UNKNOWN", "", {}, XAI, begun=True)) == (
        "xai ended the answer with UNKNOWN, and did not say why. Try again later."
    )


def test_an_error_carries_what_the_metadata_says() -> None:
    error = decode_error("RESOURCE_EXHAUSTED", "Slow down!", {"retry-after": "7", "x-request-id": "req_1"}, XAI)
    assert (error.retry_after_s, error.request_id, error.status) == (7.0, "req_1", 429)
    assert str(error) == "xai answered RESOURCE_EXHAUSTED: Slow down! Try again in 7 s."


def test_what_looks_like_a_key_is_blotted_out() -> None:
    error = decode_error("UNAUTHENTICATED", "Incorrect API key: xai-0123456789abcdef\n" + "x" * 9000, {}, XAI)
    assert "0123456789" not in f"{error} {error.body}"
    assert len(str(error)) < 800


# --- as a server ----------------------------------------------------------------------------------------------------

OURS: list[tuple[Exception, str]] = [
    (UnknownModel("x"), "NOT_FOUND"),
    (ModelNotFound("x"), "NOT_FOUND"),
    (NotFound("turn", "resp_1"), "NOT_FOUND"),
    (StateLost("x"), "NOT_FOUND"),
    (Unauthorized("x"), "UNAUTHENTICATED"),
    (RunCancelled("x"), "ABORTED"),
    (InvalidInput("x"), "INVALID_ARGUMENT"),
    (ContextOverflow("x"), "INVALID_ARGUMENT"),
    (RequestTooLarge("x"), "INVALID_ARGUMENT"),
    (ConversationBusy("conv_1"), "ABORTED"),
    (RateLimited("x"), "RESOURCE_EXHAUSTED"),
    (FirstByteTimedOut("x"), "DEADLINE_EXCEEDED"),
    (ConnectionFailed("x"), "UNAVAILABLE"),
    # the server's own key is no business of its clients
    (MissingKey("x"), "INTERNAL"),
    (AuthenticationFailed("x"), "INTERNAL"),
    (EmptyAnswer("x"), "INTERNAL"),
    (RuntimeError("SECRET"), "INTERNAL"),
]


@pytest.mark.parametrize(("error", "code"), OURS)
def test_an_error_as_a_status(error: Exception, code: str) -> None:
    found, details = encode_error(error)
    assert found == code
    assert grpc.StatusCode[found]
    assert details == ("The server failed; its log says why." if isinstance(error, RuntimeError) else str(error))


@pytest.mark.parametrize(("error", "code"), OURS)
def test_an_error_that_was_stored_is_the_same_status(error: Exception, code: str) -> None:
    assert encode_fault(type(error).__name__, str(error)) == encode_error(error)
    assert encode_fault("annotations", "SECRET") == ("INTERNAL", "The server failed; its log says why.")


def test_details_are_as_long_as_a_trailer_may_be() -> None:
    _, details = encode_error(InvalidInput("表" * 9000 + "\ud800"))
    assert 500 < len(details.encode()) <= 2000
    assert set(details) == {"表"}


def test_every_code_has_a_status_of_http() -> None:
    assert [http_status(code) for code in ("OK", "NOT_FOUND", "CANCELLED")] == [200, 404, 499]
    assert all(http_status(code.name) >= 400 for code in grpc.StatusCode if code.name != "OK")


def test_a_kept_answer_that_is_gone_comes_back_as_such() -> None:
    code, details = encode_error(NotFound("response", "resp_1"))
    assert type(decode_error(code, details, {}, XAI, continued=True)) is StateLost


def test_the_page_of_the_format_names_every_kind_of_error() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "xai.md").read_text()
    for kind in {kind for _, _, kind in STATUSES} - {InvalidReply}:
        assert re.search(rf"`{kind.__name__}`", page), kind
