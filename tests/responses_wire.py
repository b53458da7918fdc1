"""Raw requests to our server's Responses and Conversations APIs. Whatever comes back is held against the schema of Open
Responses, but for the items that OpenAI has beyond it, and for the JSON schema of an answer: a response repeats it, as
OpenAI's does, where Open Responses has nothing but null for it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeAlias

import httpx2

from openresponses import SCHEMAS, problems

Json: TypeAlias = dict[str, Any]

EVENTS = {
    schema["properties"]["type"]["enum"][0]: name for name, schema in SCHEMAS.items() if name.endswith("StreamingEvent")
}
BEYOND = ("custom_tool_call", "image_generation_call", "web_search_call", '"type": "custom"', '"type": "web_search"')
ENDS = ("response.completed", "response.incomplete", "response.failed")


class Wire:
    """A client without a library, of the server at this URL."""

    def __init__(self, url: str, **headers: str) -> None:
        self._http = httpx2.Client(base_url=f"{url}/v1", headers=headers, timeout=20)

    def create(self, **fields: Any) -> Json:
        """A response, checked."""
        return checked(self.post("/responses", **fields))

    def events(self, **fields: Any) -> list[Json]:
        """The events of a streamed response, checked."""
        with self._http.stream("POST", "/responses", json={**fields, "stream": True}) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream"), answer.read()
            return events_in(answer.read().decode())

    def get(self, path: str, **query: Any) -> Json:
        return _ok(self._http.get(path, params=query))

    def response(self, id: str, **query: Any) -> Json:
        """A stored response, checked."""
        return checked(self.get(f"/responses/{id}", **query))

    def post(self, path: str, **fields: Any) -> Json:
        return _ok(self._http.post(path, json=fields))

    def delete(self, path: str) -> Json:
        return _ok(self._http.delete(path))

    def send(self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> httpx2.Response:
        return self._http.request(method, path, headers=headers, **options)

    def refused(self, status: int, method: str, path: str, **options: Any) -> Json:
        """The error with which this is answered, checked to have this status and OpenAI's shape."""
        answer = self._http.request(method, path, **options)
        assert answer.status_code == status, answer.text
        (error,) = answer.json().values()
        assert error.keys() == {"message", "type", "param", "code"}, error
        assert isinstance(error["message"], str)
        assert isinstance(error["type"], str)
        return dict(error)

    def close(self) -> None:
        self._http.close()


def _ok(answer: httpx2.Response) -> Json:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    fields: Json = answer.json()
    return fields


def checked(response: Json) -> Json:
    """The response, if it is one of Open Responses."""
    if not _is_beyond(response):
        assert problems(_without_schema(response), "ResponseResource") == []
    return response


def _is_beyond(fields: Json) -> bool:
    written = json.dumps(fields)
    return any(kind in written for kind in BEYOND)


def _without_schema(response: Json) -> Json:
    format = response["text"]["format"]
    return {**response, "text": {**response["text"], "format": {**format, "schema": None}}}


def events_in(text: str) -> list[Json]:
    """The events of a stream, up to `[DONE]`, each checked, numbered without a gap and named by its type."""
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    assert blocks.pop() == "data: [DONE]"
    events: list[Json] = []
    for number, block in enumerate(blocks):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        if event["type"] in EVENTS and not _is_beyond(event):
            shown = {**event, "response": _without_schema(event["response"])} if "response" in event else event
            assert problems(shown, EVENTS[event["type"]]) == []
        events.append(event)
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert [event["type"] in ENDS for event in events] == [False] * (len(events) - 1) + [True]
    return events


def told(events: list[Json]) -> str:
    """The text that the deltas tell."""
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


def said(response: Json) -> str:
    """The text of a response."""
    contents = [content for item in response["output"] if item["type"] == "message" for content in item["content"]]
    return "".join(content.get("text", "") for content in contents)


def texts(items: Iterable[Any]) -> list[str]:
    """The text of each item that is a message: an SDK's object or a dict."""
    plain = (item if isinstance(item, dict) else item.to_dict() for item in items)
    return [item["content"][0]["text"] for item in plain if item["type"] == "message"]
