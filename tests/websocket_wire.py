"""A raw WebSocket of our server's Responses API. What comes back is held against the schema of Open Responses."""

from __future__ import annotations

import json
from contextlib import suppress
from types import TracebackType
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from openresponses import problems
from responses_wire import ENDS, EVENTS, Json, checked

PATIENCE_S = 20.0


class Socket:
    """A connection, for the length of a `with` block."""

    def __init__(self, url: str, **headers: str) -> None:
        self.wire = connect(
            f"{url.replace('http', 'ws', 1)}/v1/responses", additional_headers=headers, max_size=None, compression=None
        )

    def send(self, event: Json | str | bytes) -> None:
        self.wire.send(json.dumps(event) if isinstance(event, dict) else event)

    def create(self, **fields: Any) -> None:
        self.send({"type": "response.create", "model": "m", **fields})

    def receive(self) -> Json:
        """The next event, checked."""
        message = self.wire.recv(PATIENCE_S)
        assert isinstance(message, str)
        event: Json = json.loads(message)
        if event["type"] == "error":
            assert problems(event, "WebSocketErrorEvent") == []
        elif "response" in event:
            checked(event["response"])
        elif name := EVENTS.get(event["type"]):
            assert problems(event, name) == []
        return event

    def told(self) -> list[Json]:
        """The events of the next response, numbered without a gap; or the one error in their place."""
        events = [self.receive()]
        while events[-1]["type"] not in (*ENDS, "error"):
            events.append(self.receive())
        if events[0]["type"] != "error":
            assert [event["sequence_number"] for event in events] == list(range(len(events)))
            assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
        return events

    def ask(self, **fields: Any) -> Json:
        """The response to this, as it ended."""
        self.create(**fields)
        last = self.told()[-1]
        assert last["type"] != "error", last
        response: Json = last["response"]
        return response

    def refused(self) -> Json:
        """What the next event says is wrong."""
        event = self.receive()
        assert event["type"] == "error", event
        return {"status": event["status"], **event["error"]}

    def until_closed(self) -> list[Json]:
        """All that still comes."""
        events: list[Json] = []
        with suppress(ConnectionClosed):
            while True:
                events.append(self.receive())
        return events

    def __enter__(self) -> Socket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.wire.close()
