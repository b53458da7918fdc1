"""What an error means: from its status and from `{"type": "error", "error": {"type", "message"}, "request_id"}`
(https://platform.claude.com/docs/en/api/errors). Other servers' shapes are read as chat completions reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from multiturn.errors import (
    AuthenticationFailed,
    ContextOverflow,
    InvalidReply,
    ModelError,
    ModelNotFound,
    ProviderFailed,
    RateLimited,
    RequestRejected,
    RequestTooLarge,
)
from multiturn.formats.anthropic.dialect import Dialect
from multiturn.formats.failures import Complaint, complaint, without_secrets
from multiturn.formats.retry_after import retry_after_s

STATUS_OF = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status of each type of error, for those that come within a stream."""

_OVERFLOW = re.compile(
    r"prompt is too long|exceeds? (the |its |this model's )?(maximum )?context (limit|window|size|length)"
    r"|maximum context length|exceed_context_size_error",  # the second line: compatible servers
    re.IGNORECASE,
)
_BY_STATUS: dict[int, type[ModelError]] = {
    401: AuthenticationFailed,
    403: AuthenticationFailed,
    404: ModelNotFound,
    413: RequestTooLarge,
    429: RateLimited,
}


class _WithRequestId(msgspec.Struct):
    request_id: str | None = None


_decode = msgspec.json.Decoder(_WithRequestId).decode


def decode_error(status: int, headers: Mapping[str, str], body: bytes, dialect: Dialect) -> ModelError:
    """The error that this answer with a status of 400 and above means."""
    lowered = {name.lower(): value for name, value in headers.items()}
    return _error(
        complaint(body),
        status,
        dialect,
        said=f"answered {status}",
        body=body,
        request_id=lowered.get("request-id") or lowered.get("x-request-id"),
        retry_after_s=retry_after_s(lowered),
    )


def reported_error(body: bytes, dialect: Dialect, *, streamed: bool) -> ModelError:
    """The error that a reply of status 200, or an event of its stream, consists of."""
    found = complaint(body)
    status = STATUS_OF.get(found.type or "") or found.status
    said = "failed in mid-stream" if streamed else "answered with an error"
    return _error(found, status, dialect, said=said, body=body)


def unreadable(body: bytes, dialect: Dialect, problem: str) -> InvalidReply:
    """The error for a reply that is no answer in this format."""
    start = without_secrets(body[:200].decode("utf-8", "replace"))
    return InvalidReply(
        f"{dialect.provider}'s answer cannot be read ({problem}); it begins {start!r}",
        provider=dialect.provider,
        body=_kept(body),
    )


def _error(
    found: Complaint,
    status: int | None,
    dialect: Dialect,
    *,
    said: str,
    body: bytes,
    request_id: str | None = None,
    retry_after_s: float | None = None,
) -> ModelError:
    kind = _kind(status, found)
    name = found.type or found.code
    message = without_secrets(" ".join(found.message[:4000].split()))[:600]
    reason = f": {message.rstrip('.')}." if message else ", and did not say why."
    advice = _advice(kind, found, status, dialect, retry_after_s)
    return kind(
        f"{dialect.provider} {said}{f' ({name})' if name else ''}{reason} {advice}".rstrip(),
        provider=dialect.provider,
        status=status,
        code=name,
        request_id=request_id or _request_id(body),
        retry_after_s=retry_after_s,
        body=_kept(body),
    )


def _kept(body: bytes) -> str:
    return without_secrets(body[:8000].decode("utf-8", "replace"))[:2000]


def _request_id(body: bytes) -> str | None:
    try:
        return _decode(body).request_id
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _kind(status: int | None, found: Complaint) -> type[ModelError]:
    if status not in (401, 403, 429) and _OVERFLOW.search(f"{found.code} {found.type} {found.message}"):
        return ContextOverflow
    if status is None or status >= 500:
        return ProviderFailed
    return _BY_STATUS.get(status, RequestRejected)


def _advice(
    kind: type[ModelError], found: Complaint, status: int | None, dialect: Dialect, retry_after_s: float | None
) -> str:
    if kind is AuthenticationFailed:
        return f"Check {dialect.key_variable or 'the key'}."
    if kind is ModelNotFound:
        return "Check the model's name and the base URL."
    if kind is ContextOverflow:
        return "Shorten the conversation, or set a smaller token budget."
    if kind is RequestTooLarge:
        return "Send less at once: smaller images and files, or their addresses."
    if status == 402 or "credit balance is too low" in found.message:
        return "The account's credit is used up; waiting does not help, see its billing page."
    if kind is RateLimited:
        return "Try again later." if retry_after_s is None else f"Try again in {retry_after_s:g} s."
    return "Try again later." if kind is ProviderFailed else ""
