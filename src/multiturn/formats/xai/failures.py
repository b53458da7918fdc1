"""gRPC's status codes as errors, and our errors as status codes.

The codes say little (https://grpc.io/docs/guides/status-codes): gRPC itself uses `UNAVAILABLE` for every trouble with
a connection, and xAI `INVALID_ARGUMENT` for a wrong key and an unknown model. So the words beside the code count too;
those in `_WORDS` were seen at api.x.ai or in gRPC's core.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from multiturn import errors
from multiturn.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectTimedOut,
    ContextOverflow,
    ConversationBusy,
    GoingDown,
    InvalidInput,
    InvalidReply,
    MissingKey,
    ModelError,
    ModelNotFound,
    MultiturnError,
    NotFound,
    ProviderFailed,
    RateLimited,
    RequestRejected,
    RequestTooLarge,
    RunCancelled,
    StateLost,
    StreamCut,
    TimedOut,
    TotalTimedOut,
    Unauthorized,
    UnknownModel,
)
from multiturn.formats.failures import without_secrets
from multiturn.formats.retry_after import retry_after_s
from multiturn.formats.xai.dialect import Dialect

_STATUSES: dict[str, tuple[int, type[ModelError]]] = {
    "CANCELLED": (499, ProviderFailed),
    "UNKNOWN": (500, ProviderFailed),
    "INVALID_ARGUMENT": (400, RequestRejected),
    "DEADLINE_EXCEEDED": (504, TotalTimedOut),
    "NOT_FOUND": (404, ModelNotFound),
    "ALREADY_EXISTS": (409, RequestRejected),
    "PERMISSION_DENIED": (403, AuthenticationFailed),
    "RESOURCE_EXHAUSTED": (429, RateLimited),
    "FAILED_PRECONDITION": (400, RequestRejected),
    "ABORTED": (409, ProviderFailed),
    "OUT_OF_RANGE": (400, RequestRejected),
    "UNIMPLEMENTED": (501, ModelNotFound),
    "INTERNAL": (500, ProviderFailed),
    "UNAVAILABLE": (503, ProviderFailed),
    "DATA_LOSS": (500, ProviderFailed),
    "UNAUTHENTICATED": (401, AuthenticationFailed),
}
"""The HTTP status that stands for each code (google.rpc.Code), and what it means without further words."""

_WORDS: tuple[tuple[str, str, type[ModelError]], ...] = (
    ("INVALID_ARGUMENT", r"input_too_large|prompt length|context (length|window)", ContextOverflow),
    ("INVALID_ARGUMENT", r"incorrect api key", AuthenticationFailed),
    ("INVALID_ARGUMENT", r"model not found|model \S+ does not exist", ModelNotFound),
    ("INTERNAL", r"invalid metadata", AuthenticationFailed),  # a key that is not one line of plain text
    ("NOT_FOUND", r"\b(file|collection|response)\b", RequestRejected),
    ("PERMISSION_DENIED", r"safety_check|can't help with that", RequestRejected),
    ("RESOURCE_EXHAUSTED", r"CLIENT: received message larger than max", InvalidReply),
    ("RESOURCE_EXHAUSTED", r"message larger than max", RequestTooLarge),
    ("OUT_OF_RANGE", r"message length too large", RequestTooLarge),
    ("UNAVAILABLE", r"failed to connect.*tim(ed|e) ?out", ConnectTimedOut),
    (
        "UNAVAILABLE",
        r"failed to connect|errors resolving|dns resolution|socket closed|connection (reset|closed|dropped)"
        r"|broken pipe|end of tcp stream|cancelling all calls|goaway",
        ConnectionFailed,
    ),
)
"""What a code means beside these words; the first row that fits counts."""


def decode_error(
    code: str,
    details: str,
    metadata: Mapping[str, str],
    dialect: Dialect,
    *,
    continued: bool = False,
    begun: bool = False,
) -> ModelError:
    """The error that a call's status means: the name of its code (`"NOT_FOUND"`), its details, its trailing metadata.
    `continued` is whether the request went on from a kept answer, `begun` whether a part of the answer had come."""
    kind = _kind(code, details, continued=continued, begun=begun)
    wait_s = retry_after_s(metadata)
    said = without_secrets(" ".join(details[:4000].split()))[:600]
    reason = f": {said}{'' if said.endswith(('.', '!', '?')) else '.'}" if said else ", and did not say why."
    heading = "no connection to " if issubclass(kind, ConnectionFailed | ConnectTimedOut) else ""
    verb = "" if heading else f" {'ended the answer with' if begun else 'answered'} {code}"
    return kind(
        f"{heading}{dialect.provider}{verb}{reason} {_advice(kind, dialect, wait_s)}".rstrip(),
        provider=dialect.provider,
        status=None if heading else _STATUSES.get(code, (None, None))[0],
        code=code,
        request_id=metadata.get("x-request-id"),
        retry_after_s=wait_s,
        body=without_secrets(details)[:2000] or None,
    )


def _kind(code: str, details: str, *, continued: bool, begun: bool) -> type[ModelError]:
    if begun and code in ("UNAVAILABLE", "CANCELLED"):
        return StreamCut
    if continued and code == "NOT_FOUND" and not re.search(r"\bmodel\b", details, re.IGNORECASE):
        return StateLost
    for of, words, kind in _WORDS:
        if code == of and re.search(words, details, re.IGNORECASE):
            return kind
    return _STATUSES.get(code, (None, ProviderFailed))[1]


def _advice(kind: type[ModelError], dialect: Dialect, wait_s: float | None) -> str:
    advice = {
        AuthenticationFailed: f"Check {dialect.key_variable or 'the key'}, and the team's credits.",
        ModelNotFound: "Check the model's name and the host.",
        ContextOverflow: "Shorten the conversation, or set a smaller token budget.",
        RequestTooLarge: "Send less at once: smaller images and files, or their addresses.",
        RateLimited: "Try again later." if wait_s is None else f"Try again in {wait_s:g} s.",
        ProviderFailed: "Try again later.",
        ConnectionFailed: "Is the host right, and the network up?",
        ConnectTimedOut: "Check the host and the network (connect_s).",
        TotalTimedOut: "A time limit of the client, or of the server, has passed.",
    }
    return advice.get(kind, "")


# --- as a server ----------------------------------------------------------------------------------------------------

FAILED = "The server failed; its log says why."
NO_RESPONSE = "Response not found"  # xAI's own words

_CODES: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((Unauthorized,), "UNAUTHENTICATED"),
    ((MissingKey, AuthenticationFailed), "INTERNAL"),
    ((NotFound, UnknownModel, ModelNotFound, StateLost), "NOT_FOUND"),
    ((InvalidInput, RequestRejected, RequestTooLarge), "INVALID_ARGUMENT"),
    ((ConversationBusy, RunCancelled), "ABORTED"),
    ((RateLimited,), "RESOURCE_EXHAUSTED"),
    ((TimedOut,), "DEADLINE_EXCEEDED"),
    ((ConnectionFailed, GoingDown), "UNAVAILABLE"),
)
"""What each error is to a client; the first row that fits counts, and anything else is `INTERNAL`. A failing provider
is `UNAVAILABLE` only where trying again may help; its rejection of our key is our failure."""

_LONGEST = 2000  # bytes of details: they travel in a trailer, and those of one call may have 8 KiB, percent-encoded


def encode_error(error: Exception) -> tuple[str, str]:
    """The name of the code, and the details, by which a client learns of this error. What is not ours tells nothing of
    its inside. An answer that is not there is a `NOT_FOUND`, which the SDK does not try again."""
    if isinstance(error, NotFound) and error.kind.endswith("response"):
        return "NOT_FOUND", NO_RESPONSE
    return _told(type(error), str(error))


def encode_fault(kind: str, message: str) -> tuple[str, str]:
    """The same for an error that was stored: the name of its class, and its message."""
    known = getattr(errors, kind, Exception)
    return _told(known if isinstance(known, type) else Exception, message)


def http_status(code: str) -> int:
    """The HTTP status that stands for the code of this name; 200 for `OK`."""
    return _STATUSES[code][0] if code in _STATUSES else 200


def _told(kind: type[Exception], message: str) -> tuple[str, str]:
    code = next((code for kinds, code in _CODES if issubclass(kind, kinds)), "INTERNAL")
    if not issubclass(kind, MultiturnError):
        return code, FAILED
    return code, message.encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")
