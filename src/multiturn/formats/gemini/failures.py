"""What Google's error means: `{"error": {"code", "message", "status", "details"}}`, alone or in a list."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from multiturn.errors import (
    AuthenticationFailed,
    ContextOverflow,
    InvalidReply,
    MalformedStream,
    ModelError,
    ModelNotFound,
    ProviderFailed,
    RateLimited,
    RequestRejected,
    RequestTooLarge,
)
from multiturn.formats.failures import Complaint, complaint, without_secrets
from multiturn.formats.gemini.dialect import Dialect
from multiturn.formats.gemini.wire import Feedback
from multiturn.formats.retry_after import retry_after_s

STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""Google's words for HTTP's statuses (https://cloud.google.com/apis/design/errors)."""

_STATUS_OF = {word: status for status, word in reversed(STATUSES.items())} | {"FAILED_PRECONDITION": 400}
_KINDS: Mapping[int, type[ModelError]] = {
    401: AuthenticationFailed,
    403: AuthenticationFailed,
    404: ModelNotFound,
    413: RequestTooLarge,
    429: RateLimited,
}
_OVERFLOW = re.compile(r"input token count.{0,40}exceeds|exceeds the maximum number of tokens", re.IGNORECASE)
_TOO_LARGE = re.compile(r"payload size exceeds", re.IGNORECASE)
_BAD_KEY = re.compile(r"API key (not valid|not found|expired)", re.IGNORECASE)


def decode_error(status: int, headers: Mapping[str, str], body: bytes, dialect: Dialect) -> ModelError:
    """The error that this answer with a status of 400 and above means."""
    lowered = {name.lower(): value for name, value in headers.items()}
    error = _error(body, status, dialect, said=f"answered {status}", wait_s=retry_after_s(lowered))
    error.request_id = lowered.get("x-request-id")
    return error


def reported_error(body: bytes, dialect: Dialect, *, streamed: bool) -> ModelError:
    """The error that a reply of status 200, or an event of its stream, consists of."""
    return _error(body, None, dialect, said="failed in mid-stream" if streamed else "answered with an error")


def blocked(feedback: Feedback, dialect: Dialect) -> RequestRejected:
    """The error for a prompt that Google's filters keep from the model."""
    reason = feedback.block_reason or "OTHER"
    why = f": {_sentence(feedback.block_reason_message)}" if feedback.block_reason_message else "."
    advice = "Say it in other words, or see safetySettings."
    return RequestRejected(
        f"{dialect.provider} blocked the prompt ({reason}){why} {advice}", provider=dialect.provider, code=reason
    )


def _error(body: bytes, status: int | None, dialect: Dialect, *, said: str, wait_s: float | None = None) -> ModelError:
    found, details = complaint(body), list(_details(body))
    if status is None:
        status = found.status or _STATUS_OF.get(found.type or "")
    wait_s = _retry_delay_s(details) or wait_s
    kind = _kind(status, found, details)
    word = f" ({found.type})" if found.type else ""
    reason = f": {_sentence(found.message)}" if found.message.strip() else ", and did not say why."
    return kind(
        f"{dialect.provider} {said}{word}{reason} {_advice(kind, dialect, wait_s)}".rstrip(),
        provider=dialect.provider,
        status=status,
        code=found.type or found.code,
        retry_after_s=wait_s,
        body=without_secrets(body[:8000].decode("utf-8", "replace"))[:2000],
    )


def _kind(status: int | None, found: Complaint, details: list[dict[str, Any]]) -> type[ModelError]:
    if status is None or status >= 500:
        return ProviderFailed
    if status in _KINDS:
        return _KINDS[status]
    if any(detail.get("reason") == "API_KEY_INVALID" for detail in details) or _BAD_KEY.search(found.message):
        return AuthenticationFailed
    if _OVERFLOW.search(found.message):
        return ContextOverflow
    return RequestTooLarge if _TOO_LARGE.search(found.message) else RequestRejected


def _advice(kind: type[ModelError], dialect: Dialect, wait_s: float | None) -> str:
    if kind is RateLimited and wait_s is not None:
        return f"Try again in {wait_s:g} s."
    return {
        AuthenticationFailed: f"Check {dialect.key_variable or 'the key'}.",
        ModelNotFound: "Check the model's name and the base URL.",
        ContextOverflow: "Shorten the conversation, or set a smaller token budget.",
        RequestTooLarge: "Send less at once: smaller images and files, or their addresses.",
        RateLimited: "Try again later.",
        ProviderFailed: "Try again later.",
    }.get(kind, "")


def _details(body: bytes) -> Iterator[dict[str, Any]]:
    """The error's `details` (google.rpc.ErrorInfo, RetryInfo and their like)."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return
    match value:
        case {"error": {"details": list(details)}} | [{"error": {"details": list(details)}}, *_]:
            yield from (detail for detail in details if isinstance(detail, dict))


def _retry_delay_s(details: list[dict[str, Any]]) -> float | None:
    """The seconds of a `RetryInfo`, whose `retryDelay` is like `36.5s`."""
    for detail in details:
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and (found := re.fullmatch(r"(\d{1,9}(?:\.\d+)?)s", delay)):
            return math.ceil(float(found[1]) * 1000) / 1000
    return None


def _sentence(message: str) -> str:
    message = without_secrets(" ".join(message[:4000].split()))
    message = message if len(message) <= 600 else message[:600] + "…"
    return message if message.endswith((".", "!", "?", "…")) else message + "."


# --- what is no answer ----------------------------------------------------------------------------------------------


def unreadable(body: bytes, dialect: Dialect, problem: str) -> InvalidReply:
    """The error for a reply that is no answer in this format."""
    return InvalidReply(
        f"{dialect.provider}'s answer cannot be read ({problem}); it begins {_start(body)!r}",
        provider=dialect.provider,
        body=without_secrets(body[:8000].decode("utf-8", "replace"))[:2000],
    )


def malformed(data: bytes, dialect: Dialect, problem: str) -> MalformedStream:
    """The error for an event that is no piece of an answer."""
    return MalformedStream(
        f"{dialect.provider}'s stream cannot be read ({problem}); an event begins {_start(data)!r}",
        provider=dialect.provider,
        body=_start(data),
    )


def _start(data: bytes) -> str:
    return without_secrets(data[:200].decode("utf-8", "replace"))
