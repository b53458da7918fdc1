"""What the server answers, held against its OpenAPI document, and against Open Responses where that has a word on it.

watch = Watch()
client = OpenAI(http_client=DefaultHttpxClient(transport=watch.transport()))
...                             # whatever the client does, is written down
assert watch.problems() == []
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import httpx2
import jsonschema_rs

from multiturn.server.openapi import document
from multiturn.server.openapi.open_responses import WIDENED, published

Json: TypeAlias = dict[str, Any]


class Answer(NamedTuple):
    """An answer, as it came."""

    method: str
    path: str
    query: str
    status: int
    media_type: str
    body: bytes


_BEYOND = re.compile(rb'"type":\s?"(custom|web_search|image_generation|file_|container_file_)')
"""Items, tools and annotations that Open Responses does not have."""
_ENDS = ("response.completed", "response.incomplete", "response.failed", "error")


def problems(answer: Answer) -> list[str]:
    """What is wrong with this answer; nothing, if it is as the document says, and as Open Responses does."""
    operation = _operation(answer.method, answer.path)
    said = operation["responses"].get(str(answer.status)) or operation["responses"].get(f"{answer.status // 100}XX")
    if said is None or answer.media_type not in said["content"]:
        found: Iterable[str] = [f"{answer.media_type} with this status is not in the document"]
    elif answer.media_type == "text/event-stream":
        found = _of_stream(answer, said["content"][answer.media_type]["schema"])
    elif answer.media_type == "application/json":
        found = _of_value(answer.body, said["content"][answer.media_type]["schema"])
    else:
        found = []
    return [f"{answer.method} {answer.path} {answer.status}: {each}" for each in found]


def event_problems(events: Sequence[bytes], first: int = 0) -> Iterator[str]:
    """What is wrong with these events of one response, of which the first has this number."""
    types = [json.loads(event)["type"] for event in events]
    numbers = [json.loads(event)["sequence_number"] for event in events]
    if numbers != list(range(first, first + len(events))):
        yield f"the numbers are {numbers}"
    if not first and types[:1] != ["response.created"]:
        yield f"the first event is {types[:1]}"
    if [type in _ENDS for type in types] != [False] * (len(types) - 1) + [True]:
        yield f"the events are {types}"
    for event in events:
        yield from _of_value(event, {"$ref": "#/components/schemas/ResponseStreamEvent"})


def schema_problems(value: bytes, name: str) -> list[str]:
    """What is wrong with this JSON as an instance of that schema of the document."""
    return list(_of_value(value, {"$ref": f"#/components/schemas/{name}"}))


def data_of(body: bytes) -> list[bytes]:
    """The data of each event of a stream."""
    lines = (line for block in body.split(b"\n\n") for line in block.split(b"\n"))
    return [line.removeprefix(b"data: ") for line in lines if line.startswith(b"data: ")]


def _of_stream(answer: Answer, schema: Json) -> Iterator[str]:
    events = data_of(answer.body)
    if answer.path.startswith("/v1/responses"):
        names = re.findall(rb"^event: (.+)$", answer.body, re.MULTILINE)
        if names != [json.loads(event)["type"].encode() for event in events[:-1]] or events[-1] != b"[DONE]":
            yield f"the names of the events are {names}, and the last is {events[-1:]}"
        after = re.search(r"starting_after=(\d+)", answer.query)
        yield from event_problems(events[:-1], int(after[1]) + 1 if after else 0)
        return
    for event in events if events[-1] != b"[DONE]" else events[:-1]:
        yield from _of_value(event, schema)


def _of_value(body: bytes, schema: Json) -> Iterator[str]:
    value = json.loads(body)
    type = value.get("type") if isinstance(value, dict) else None
    is_beyond = _BEYOND.search(body) is not None
    for error in _validator(json.dumps(schema), str(type), is_beyond).iter_errors(value):
        yield f"{error.message[:400]} at {'/'.join(map(str, error.instance_path))}"


@cache
def _validator(place: str, type: str, is_beyond: bool) -> Any:
    """For an event of a known type, that of the event: a union of thirty says little of what is wrong."""
    schema, schemas = json.loads(place), _document()["components"]["schemas"]
    if schema == {"$ref": "#/components/schemas/ResponseStreamEvent"} and type in _events():
        schema = {"$ref": f"#/components/schemas/{_events()[type]}"}
    if not is_beyond:
        schemas = {**schemas, **published(), **{name: schemas[name] for name in WIDENED}}
    return jsonschema_rs.Draft202012Validator({**schema, "components": {"schemas": schemas}})


@cache
def _events() -> dict[str, str]:
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
