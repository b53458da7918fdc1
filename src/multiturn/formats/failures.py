"""What a provider's error means: from its status, and from whatever shape of body it comes in.

Bodies seen in the wild: OpenAI's `{"error": {"message", "type", "code"}}`, the same with a plain string (xAI, Ollama)
or within a list (Gemini), `{"object": "error", "message": …}` (vLLM, Mistral), `{"detail": …}` (FastAPI), text, HTML.
"""

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
from multiturn.formats.retry_after import retry_after_s
from multiturn.formats.switching import Target

_OVERFLOW = re.compile(
    r"context_length_exceeded|context length exceeded"
    r"|maximum context length"  # OpenAI, vLLM, OpenRouter, DeepSeek, Mistral
    r"|maximum model length|longer than the model's context length"  # vLLM, SGLang
    r"|maximum prompt length"  # xAI
    r"|prompt is too long|prompt too long"  # Anthropic, Fireworks; Ollama
    r"|input is too long for requested model"  # Bedrock
    r"|exceed(s|ed|ing)? (the |this model's |the model's )?(available |max |maximum )?context (size|length|window)"
    r"|exceed_context_size_error"  # llama.cpp
    r"|context window exceeds limit|exceeded model token limit"  # MiniMax, Moonshot
    r"|greater than the context length"  # LM Studio
    r"|input token count.{0,40}exceeds the maximum"  # Gemini
    r"|reduce the length of the (messages|prompt|input)"  # Groq
    r"|tokens_limit_reached|model_max_prompt_tokens_exceeded",  # GitHub
    re.IGNORECASE,
)
_SECRET = re.compile(
    r"\b(?:sk|pk|rk|xai|gsk|hf|nvapi|r8|fw|pplx|mt)[-_][\w-]{12,}|\bAIza[\w-]{20,}|(?<=Bearer )[^\s\"']+"
)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)

STATUS_OF = {
    "invalid_api_key": 401,
    "authentication_error": 401,
    "permission_error": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "BadRequestError": 400,
}
"""What an error without a status would have had for one, by its code or type; where that does not tell either, the
provider failed."""


class Complaint(msgspec.Struct, frozen=True):
    """What a body says went wrong. `reported` is False where that was only guessed from a body of another shape."""

    message: str
    code: str | None = None
    type: str | None = None
    reported: bool = True

    @property
    def status(self) -> int | None:
        """The status that fits, if any: the code where that is one, as at OpenRouter."""
        if self.code and self.code.isdecimal() and 400 <= int(self.code) < 600:
            return int(self.code)
        return STATUS_OF.get(self.code or "") or STATUS_OF.get(self.type or "")


def decode_error(status: int, headers: Mapping[str, str], body: bytes, dialect: Target) -> ModelError:
    """The error that this answer with a status of 400 and above means."""
    lowered = {name.lower(): value for name, value in headers.items()}
    return error_of(
        complaint(body),
        status,
        dialect,
        said=f"answered {status}",
        request_id=lowered.get("x-request-id") or lowered.get("request-id"),
        retry_after_s=retry_after_s(lowered),
        body=body,
    )


def reported_error(body: bytes, dialect: Target, *, streamed: bool, certain: bool = False) -> ModelError | None:
    """The error that a reply of status 200, or a chunk of its stream, consists of; None if it is none, unless it is
    `certain` that it is one."""
    found = complaint(body)
    if not found.reported and not certain:
        return None
    said = "failed in mid-stream" if streamed else "answered with an error"
    return error_of(found, found.status, dialect, said=said, body=body)


def error_of(
    found: Complaint,
    status: int | None,
    dialect: Target,
    *,
    said: str,
    body: bytes,
    request_id: str | None = None,
    retry_after_s: float | None = None,
) -> ModelError:
    kind = _kind(status, found)
    code = f" ({found.code or found.type})" if found.code or found.type else ""
    reason = f": {_sentence(found.message)}" if found.message.strip() else ", and did not say why."
    advice = _advice(kind, status, found, dialect, retry_after_s)
    return kind(
        f"{dialect.provider} {said}{code}{reason} {advice}".rstrip(),
        provider=dialect.provider,
        status=status,
        code=found.code or found.type,
        request_id=request_id,
        retry_after_s=retry_after_s,
        body=without_secrets(body[:8000].decode("utf-8", "replace"))[:2000],
    )


def _kind(status: int | None, found: Complaint) -> type[ModelError]:
    if status not in (401, 403, 429) and _OVERFLOW.search(f"{found.code} {found.type} {found.message}"):
        return ContextOverflow
    if status is None or status >= 500:
        return ProviderFailed
    by_status: dict[int, type[ModelError]] = {
        401: AuthenticationFailed,
        403: AuthenticationFailed,
        404: ModelNotFound,
        413: RequestTooLarge,
        429: RateLimited,
    }
    return by_status.get(status, RequestRejected)


def _advice(
    kind: type[ModelError], status: int | None, found: Complaint, dialect: Target, retry_after_s: float | None
) -> str:
    if kind is AuthenticationFailed:
        return f"Check {dialect.key_variable or 'the key'}."
    if kind is ModelNotFound:
        return "Check the model's name and the base URL."
    if kind is ContextOverflow:
        return "Shorten the conversation, or set a smaller token budget."
    if kind is RequestTooLarge:
        return "Send less at once: smaller images and files, or their addresses."
    if status == 402 or "insufficient_quota" in (found.code, found.type):
        return "The account's quota or credit is used up; waiting does not help, see its billing page."
    if kind is RateLimited:
        return "Try again later." if retry_after_s is None else f"Try again in {retry_after_s:g} s."
    return "Try again later." if kind is ProviderFailed else ""


# --- reading a body -------------------------------------------------------------------------------------------------


def complaint(body: bytes) -> Complaint:
    """What this body says went wrong, whatever its shape."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return Complaint(_readable(body), reported=False)
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return Complaint(_words(value), reported=False)
    error = value.get("error")
    inner = error if isinstance(error, dict) else value
    message = _words(error if isinstance(error, str) else inner.get("message") or inner.get("detail"))
    return Complaint(
        _with_cause(message, inner),
        code=_name(inner.get("code")),
        type=_name(inner.get("type") or inner.get("status")),
        reported=bool(error) or value.get("object") == "error" or value.get("type") == "error",
    )


def _with_cause(message: str, error: dict[str, object]) -> str:
    """OpenRouter says "Provider returned error", and what that was in `metadata.raw`."""
    metadata = error.get("metadata")
    raw = _words(metadata.get("raw")) if isinstance(metadata, dict) else ""
    return f"{message}: {raw}" if raw else message


def _words(value: object) -> str:
    """Text out of whatever stands where a message should: FastAPI's list of complaints, Mistral's nested object."""
    match value:
        case None:
            return ""
        case str():
            return value
        case list():
            return "; ".join(_words(item) for item in value)
        case {"msg": message, **rest}:
            place = rest.get("loc")
            return f"{'.'.join(map(str, place))}: {message}" if isinstance(place, list) else str(message)
        case {"message": inner} | {"detail": inner}:
            return _words(inner)
    return msgspec.json.encode(value).decode()


def _name(value: object) -> str | None:
    return str(value) if isinstance(value, (str, int)) and value != "" else None


def _readable(body: bytes) -> str:
    """The title or the text of an HTML page, else the text as it is."""
    text = body[:8000].decode("utf-8", "replace")
    if title := _TITLE.search(text):
        text = title[1]
    elif text.lstrip().startswith("<"):
        text = _TAG.sub(" ", text)
    return " ".join(text.split())[:200]


def _sentence(message: str) -> str:
    message = without_secrets(" ".join(message[:4000].split()))
    message = message if len(message) <= 600 else message[:600] + "…"
    return message if message.endswith((".", "!", "?", "…")) else message + "."


def without_secrets(text: str) -> str:
    """The text with everything that looks like an API key blotted out; some providers repeat the key they reject."""
    return _SECRET.sub("[key]", text)


def unreadable(body: bytes, dialect: Target, problem: str) -> InvalidReply:
    """The error for a reply that is no answer in this format."""
    start = without_secrets(body[:200].decode("utf-8", "replace"))
    return InvalidReply(
        f"{dialect.provider}'s answer cannot be read ({problem}); it begins {start!r}",
        provider=dialect.provider,
        body=without_secrets(body[:8000].decode("utf-8", "replace"))[:2000],
    )
