"""What a provider's error means. Bodies and statuses are read as in chat completions; what this API adds is an answer
that is no longer there (`StateLost`), and errors told by the response itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from multiturn.errors import ModelError, StateLost
from multiturn.formats import failures as shared
from multiturn.formats.responses.dialect import Dialect

_LOST = re.compile(
    r"\bresponse\b.{0,120}\b(not found|does not exist|no longer exists|has expired)\b"  # OpenAI, xAI, vLLM
    r"|previous_response_not_found"  # within a gateway's own error
    r"|previous response cannot be used",  # an organisation at OpenAI that keeps nothing
    re.IGNORECASE | re.DOTALL,
)


def decode_error(status: int, headers: Mapping[str, str], body: bytes, dialect: Dialect) -> ModelError:
    """The error that this answer with a status of 400 and above means."""
    error = shared.decode_error(status, headers, body, dialect)
    found = shared.complaint(body)
    if not _lost(status, found, body):
        return error
    return _state_lost(found, status, dialect, said=f"answered {status}", body=body, request_id=error.request_id)


def reported_error(error: Any, dialect: Dialect, *, streamed: bool) -> ModelError:
    """The error that a failed response, or an `error` event, tells of. `error` is what it says: an object with a code
    and a message, or a text."""
    fields = {name: value for name, value in error.items() if name != "type"} if isinstance(error, dict) else error
    body = msgspec.json.encode({"error": fields})
    found = shared.complaint(body)
    said = "failed in mid-stream" if streamed else "answered with an error"
    if _lost(found.status or 400, found, body):
        return _state_lost(found, found.status, dialect, said=said, body=body)
    return shared.error_of(found, found.status, dialect, said=said, body=body)


def unreadable(body: bytes, dialect: Dialect, problem: str) -> ModelError:
    """The error for a reply that is no answer in this format: what it reports, if it is an error of another shape."""
    reported = shared.reported_error(body, dialect, streamed=False)
    return reported or shared.unreadable(body, dialect, problem)


def _lost(status: int, found: shared.Complaint, body: bytes) -> bool:
    if status not in (400, 404):
        return False
    named = b'"previous_response_id"' in body  # the parameter that is at fault
    return found.code == "previous_response_not_found" or named or bool(_LOST.search(found.message))


def _state_lost(
    found: shared.Complaint,
    status: int | None,
    dialect: Dialect,
    *,
    said: str,
    body: bytes,
    request_id: str | None = None,
) -> StateLost:
    worded = shared.error_of(found, 400, dialect, said=said, body=body)  # 404 would advise on the model's name
    return StateLost(
        str(worded),
        provider=dialect.provider,
        status=status,
        code=worded.code,
        request_id=request_id,
        body=worded.body,
    )
