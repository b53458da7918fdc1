"""What the server answers, held against its OpenAPI document, and against Open Responses where that has a word on it.

watch = Watch()
client = OpenAI(http_client=DefaultHttpxClient(transport=watch.transport()))
...                             # whatever the client does, is written down
assert watch.problems() == []
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import httpx2
import jsonschema_rs

from multiturn.server.openapi import document
from responses_wire import checked, events_in

Json: TypeAlias = dict[str, Any]


class Answer(NamedTuple):
    """An answer, as it came."""

    method: str
    path: str
    query: str
    status: int
    media_type: str
    body: bytes


def problems(answer: Answer) -> list[str]:
    """What is wrong with this answer; nothing, if it is as the document says."""
    where = f"{answer.method} {answer.path} {answer.status}"
    operation = _operation(answer.method, answer.path)
    told = operation["responses"]
    said = told.get(str(answer.status)) or told.get(f"{answer.status // 100}XX")
    if said is None:
        return [f"{where}: this status is not in the document"]
    if answer.media_type not in said["content"]:
        return [f"{where}: {answer.media_type} is not in the document"]
    place = json.dumps(said["content"][answer.media_type]["schema"])
    if answer.media_type == "text/event-stream":
        return [f"{where}: {each}" for each in _of_stream(answer, place)]
    if answer.media_type != "application/json":
        return []
    value = json.loads(answer.body)
    if isinstance(value, dict) and value.get("object") == "response":
        checked(value)
    return [f"{where}: {each}" for each in _of_value(value, place)]


def schema_problems(value: Any, name: str) -> list[str]:
    """What is wrong with this value as an instance of that schema of the document."""
    return list(_of_value(value, json.dumps({"$ref": f"#/components/schemas/{name}"})))


def data_of(body: bytes) -> list[str]:
    """The data of each event of a stream."""
    blocks = body.decode().split("\n\n")
    lines = (line for block in blocks for line in block.split("\n") if line.startswith("data: "))
    return [line.removeprefix("data: ") for line in lines]


def _of_stream(answer: Answer, place: str) -> Iterator[str]:
    *events, last = data_of(answer.body)
    if answer.path.startswith("/v1/responses") and "starting_after" not in answer.query:
        events_in(answer.body.decode())  # numbers, order and names too
    if last != "[DONE]":
        events.append(last)
    for event in events:
        yield from _of_value(json.loads(event), place)


def _of_value(value: Any, place: str) -> Iterator[str]:
    for error in _validator(place, _type_of(value)).iter_errors(value):
        yield f"{error.message[:400]} at {'/'.join(map(str, error.instance_path))}"


def _type_of(value: Any) -> str | None:
    return str(value["type"]) if isinstance(value, dict) and "type" in value else None


@cache
def _validator(place: str, type: str | None) -> Any:
    """For an event of a known type, that of the event: a union of thirty says little of what is wrong."""
    schema = json.loads(place)
    if place == json.dumps({"$ref": "#/components/schemas/ResponseStreamEvent"}) and type in _events():
        schema = {"$ref": f"#/components/schemas/{_events()[type]}"}
    return jsonschema_rs.Draft202012Validator({**schema, "components": _document()["components"]})


@cache
def _events() -> dict[str | None, str]:
    schemas = _document()["components"]["schemas"]
    named = {name: schema for name, schema in schemas.items() if name.endswith("StreamingEvent")}
    return {schema["properties"]["type"]["enum"][0]: name for name, schema in named.items()}


@cache
def _document() -> Json:
    return document()


def _operation(method: str, path: str) -> Json:
    """The operation with the most of this path in words."""
    found = [template for template in _document()["paths"] if _pattern(template).fullmatch(path)]
    best = min(found, key=lambda template: template.count("{"))
    operation: Json = _document()["paths"][best][method.lower()]
    return operation


@cache
def _pattern(template: str) -> re.Pattern[str]:
    last = r"(.+)" if template.startswith("/v1/models") else r"([^/]+)"
    return re.compile(re.sub(r"\\\{\w+\\\}", last, re.escape(template)))


# --- how answers come to be seen ------------------------------------------------------------------------------------


class Watch:
    """Sees every answer that goes through its transports."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def problems(self) -> list[str]:
        """What is wrong with the answers so far."""
        return [problem for answer in self.answers for problem in problems(answer)]

    def transport(self) -> httpx2.BaseTransport:
        return _Transport(self)

    def async_transport(self) -> httpx2.AsyncBaseTransport:
        return _AsyncTransport(self)

    def keep(self, request: httpx2.Request, response: httpx2.Response) -> Callable[[bytes], None]:
        """To be called with the body, once it has come to its end."""

        def ended(body: bytes) -> None:
            media_type = response.headers.get("content-type", "").partition(";")[0]
            path, query = request.url.path, request.url.query.decode()
            self.answers.append(Answer(request.method, path, query, response.status_code, media_type, body))

        return ended


class _Transport(httpx2.HTTPTransport):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        response.stream = _Seen(response.stream, self._watch.keep(request, response))
        return response


class _AsyncTransport(httpx2.AsyncHTTPTransport):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        response.stream = _AsyncSeen(response.stream, self._watch.keep(request, response))
        return response


class _Kept:
    """The pieces of a body. A client may close a stream behind its last event, without reading that nothing follows;
    one that it leaves before is not kept."""

    def __init__(self, stream: Any, ended: Callable[[bytes], None]) -> None:
        self.stream, self._ended = stream, ended
        self.pieces: list[bytes] = []

    def end(self, *, is_whole: bool) -> None:
        body = b"".join(self.pieces)
        if is_whole or body.endswith((b"data: [DONE]\n\n", b'{"type":"message_stop"}\n\n')):
            self._ended(body)
            self._ended = _ignored


def _ignored(body: bytes) -> None:
    pass


class _Seen(_Kept, httpx2.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        for piece in self.stream:
            self.pieces.append(piece)
            yield piece
        self.end(is_whole=True)

    def close(self) -> None:
        self.end(is_whole=False)
        self.stream.close()


class _AsyncSeen(_Kept, httpx2.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self.stream:
            self.pieces.append(piece)
            yield piece
        self.end(is_whole=True)

    async def aclose(self) -> None:
        self.end(is_whole=False)
        await self.stream.aclose()
