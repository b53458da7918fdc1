"""What a server tells of itself, for tests to read: its spans, its log, its figures."""

from __future__ import annotations

import functools
import io
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from multiturn.server.observing.logs import JSONFormat, TextFormat
from serving import Server

PATIENCE_S = 20.0


@functools.cache
def exporter() -> InMemorySpanExporter:
    """Where all spans of this process go from the first call on; OpenTelemetry takes one provider in a process."""
    provider, memory = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    trace.set_tracer_provider(provider)
    return memory


def spans(name: str, count: int = 1) -> list[ReadableSpan]:
    """Those that have ended, in order, once there are so many: a client has its answer a moment before the end."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        found = [span for span in exporter().get_finished_spans() if span.name == name]
        if len(found) >= count:
            return found
        time.sleep(0.005)
    raise AssertionError(f"there are {len(found)} spans {name}")


@contextmanager
def logged(*, content: bool = False, text: bool = False) -> Iterator[io.StringIO]:
    """Everything that is logged meanwhile, as the server would write it on its level `debug`."""
    written, root, ours = io.StringIO(), logging.getLogger(), logging.getLogger("multiturn")
    handler = logging.StreamHandler(written)
    handler.setFormatter(TextFormat(content) if text else JSONFormat(content))
    levels = [(logger, logger.level) for logger in (root, ours)]
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    ours.setLevel(logging.DEBUG)
    try:
        yield written
    finally:
        root.removeHandler(handler)
        for logger, level in levels:
            logger.setLevel(level)


def page(server: Server) -> str:
    answer = httpx.get(f"{server.url}/metrics")
    assert answer.status_code == 200
    return answer.text


def figure(server: Server, name: str, **labels: str) -> float:
    """The sum of the samples of this name that have these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(page(server))
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def ask(server: Server, **fields: Any) -> httpx.Response:
    body = {"model": "tiny", "input": "What is 2+2?", **fields}
    return httpx.post(f"{server.base_url}/responses", json=body, timeout=20)
