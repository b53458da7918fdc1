"""What Schemathesis makes of our OpenAPI document: requests as it says, and requests that break it. None may be
answered by a 5xx, nor in a way that the document does not tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from conformance.checking import Answer, problems
from multiturn.server.openapi import document
from serving import Server


def as_documented(ctx: Any, response: Any, case: Any) -> None:
    """The schema of an event is that of its data, as Open Responses has it; Schemathesis knows another convention."""
    media_type = response.headers.get("content-type", [""])[0].partition(";")[0]
    if media_type == "text/event-stream":
        path = case.formatted_path.partition("?")[0]
        assert problems(Answer(case.method, path, "", response.status_code, media_type, response.content)) == []
    else:
        response_schema_conformance(ctx, response, case)


CHECKS: Any = [
    not_a_server_error,
    as_documented,
    content_type_conformance,
    response_headers_conformance,
    status_code_conformance,
    unsupported_method,
]
schema: Any = schemathesis.openapi.from_dict(document())
parametrize: Callable[[Callable[..., None]], Callable[..., None]] = schema.exclude(path="/openapi.json").parametrize()


def few(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


@parametrize
@few(12)
def test_no_request_is_answered_by_anything_else(case: Any, server: Server) -> None:
    case.call_and_validate(base_url=server.url, checks=CHECKS)


@pytest.mark.torture
@parametrize
@few(400)
def test_no_request_is_answered_by_anything_else_however_many(case: Any, server: Server) -> None:
    case.call_and_validate(base_url=server.url, checks=CHECKS)
