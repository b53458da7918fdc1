"""Traces by OpenTelemetry: a span a request, and within it one for each time that a model is asked, by the semantic
conventions for HTTP servers and for GenAI (opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans, of 2026).

Only the API is used. Where spans go is the user's to say, by an SDK of theirs: `opentelemetry-instrument multiturn
serve --tracing` reads the `OTEL_…` variables; without one, nothing is recorded. The client's `traceparent` is
continued, and the model's server is sent the next one.

Tokens stand on one span alone, so that sums count them once: on the request's; or, for turns that a request does not
wait for or that share one WebSocket, on the turn's own."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from multiturn import __version__
from multiturn.messages import Message, Text, ToolCall, ToolResult
from multiturn.models.transport import ALONG
from multiturn.server.exchange import Exchange
from multiturn.server.observing.visits import Visit, kind_of
from multiturn.turns import Turn

_PROVIDERS: Final = {"xai": "x_ai", "mistral": "mistral_ai", "gemini": "gcp.gemini", "azure": "azure.ai.openai"}
"""What the conventions call a provider, where we call it otherwise."""

_log = logging.getLogger("multiturn.server")
_propagator = TraceContextTextMapPropagator()  # no baggage: what a client puts there is not for providers


class Tracing:
    """Where spans begin and end. With `content`, they hold what was said. `provider` is the SDK's, by default the one
    that this process has."""

    def __init__(self, *, content: bool = False, provider: TracerProvider | None = None) -> None:
        if provider is None and isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            _log.warning("tracing is on, and nothing records it: start the server by opentelemetry-instrument")
        self._tracer = trace.get_tracer("multiturn.server", __version__, provider)
        self._content = content

    def arrived(self, visit: Visit, method: str, route: str, headers: Mapping[str, str]) -> None:
        parent = _propagator.extract({name: headers[name] for name in _propagator.fields if name in headers})
        verb = "GET" if visit.lasts else method
        fields = {"http.request.method": verb, "http.route": route, "multiturn.request.id": visit.id}
        visit.span = self._tracer.start_span(f"{verb} {route}", parent, SpanKind.SERVER, fields)
        visit.context = trace.set_span_in_context(visit.span, parent)
        context.attach(visit.context)  # to the end of the request's task, so that others' instruments find it
        ALONG.set(visit.along)

    def answered(self, visit: Visit, status: int) -> None:
        span = visit.span
        if span is None:
            return
        if span.is_recording():
            span.set_attribute("http.response.status_code", status)
            error = kind_of(visit.error, visit.exchange.turn if visit.exchange else None)
            if status >= 500 or error:
                _fail(span, error or str(status))
        span.end()

    def began(self, exchange: Exchange, visit: Visit | None) -> Span:
        """The span of the model's being asked."""
        asked, model = exchange.asked, exchange.model
        fields: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": _PROVIDERS.get(model.provider, model.provider),
            "gen_ai.request.model": asked.model,
            "gen_ai.request.stream": asked.stream,
        }
        if asked.stored:
            fields["gen_ai.conversation.id"] = exchange.turn.conversation
        settings = asked.settings
        for name, value in (
            ("max_tokens", settings.max_output_tokens),
            ("temperature", settings.temperature),
            ("top_p", settings.top_p),
        ):
            if value is not None:
                fields[f"gen_ai.request.{name}"] = value
        if visit is not None and visit.span is not None and visit.tells_of(exchange):
            visit.span.set_attributes(fields)
        parent = visit.context if visit else None
        span = self._tracer.start_span(f"chat {model.name}", parent, SpanKind.CLIENT, fields)
        along: dict[str, str] = {}
        _propagator.inject(along, trace.set_span_in_context(span, parent))
        ALONG.set(along)
        if visit is not None and not visit.lasts:
            visit.along.update(along)  # for the task that goes on reading, where this is another one
        return span

    def ended(
        self, exchange: Exchange, visit: Visit | None, span: Span, error: BaseException | None, first_s: float | None
    ) -> None:
        turn, at = exchange.turn, time.time_ns()
        told = visit.span if visit is not None and visit.tells_of(exchange) else None
        if span.is_recording():
            answered = _answered(turn)
            if first_s is not None:
                answered["gen_ai.response.time_to_first_chunk"] = first_s
            span.set_attributes(answered)
            (told or span).set_attributes({**answered, **_used(turn), **(_said(turn) if self._content else {})})
            if kind := kind_of(error, turn):
                _fail(span, kind)
        span.end(at)


def _fail(span: Span, kind: str) -> None:
    """Without the error's words, which may repeat what was said."""
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))


def _answered(turn: Turn) -> dict[str, Any]:
    fields: dict[str, Any] = {"gen_ai.response.id": turn.id, "multiturn.turn.status": turn.status.value}
    answers = [message for message in (*turn.output, *turn.alternatives) if message.role == "assistant"]
    if answers and (origin := answers[-1].origin) and origin.model:
        fields["gen_ai.response.model"] = origin.model
    if reasons := [message.finish_reason for message in answers if message.finish_reason]:
        fields["gen_ai.response.finish_reasons"] = reasons
    return fields


def _used(turn: Turn) -> dict[str, Any]:
    usage = turn.usage
    return {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }


# --- what was said --------------------------------------------------------------------------------------------------


def _said(turn: Turn) -> dict[str, Any]:
    fields = {"gen_ai.input.messages": _shown(turn.input), "gen_ai.output.messages": _shown(turn.output)}
    if turn.instructions:
        fields["gen_ai.system_instructions"] = _json([{"type": "text", "content": turn.instructions}])
    return fields


def _shown(messages: Sequence[Message]) -> str:
    """Messages as the conventions have them; texts, tool calls and their results, and no media."""
    return _json([{"role": message.role, "parts": _parts(message)} for message in messages])


def _parts(message: Message) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for part in message.parts:
        match part:
            case Text(text=text):
                parts.append({"type": "text", "content": text})
            case ToolCall():
                call = {"id": part.call_id, "name": part.name, "arguments": part.arguments}
                parts.append({"type": "tool_call", **call})
            case ToolResult():
                parts.append({"type": "tool_call_response", "id": part.call_id, "response": part.text})
            case _:
                pass
    return parts


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
