"""What is stored of responses: retrieved, listed, deleted; whoever made the turn."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import msgspec
import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI

from multiturn import Conversation, tool
from multiturn.messages import assistant
from multiturn.server.responses.shown import response_id, response_of
from multiturn.stores import open_store
from multiturn.turns import Turn, TurnStatus
from responses_wire import Wire, checked, said, texts
from serving import Server
from upstream import Upstream, cut_after, hang, hang_after, reply, status

NOWHERE = "resp_06gvvr5qstgff9q1r2047q05q4"


@pytest.fixture
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        yield client


# --- retrieve -------------------------------------------------------------------------------------------------------


def test_what_is_not_there_is_not_found(client: OpenAI, wire: Wire) -> None:
    for id in (NOWHERE, "resp_", "conv_1", "x"):
        with pytest.raises(NotFoundError):
            client.responses.retrieve(id)
        for path in (f"/responses/{id}", f"/responses/{id}/input_items"):
            assert id in wire.refused(404, "GET", path)["message"]
        wire.refused(404, "DELETE", f"/responses/{id}")
        wire.refused(404, "POST", f"/responses/{id}/cancel")


async def test_a_turn_of_the_library_is_a_response(server: Server) -> None:
    @tool
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"Sunny in {city}, 21 degrees"

    store = open_store(server.settings.store)  # the server's own object: it is one process
    conversation = Conversation("offline", tools=[weather], store=store, id="alice")
    await conversation.asend("My name is Alice.")
    answer = await conversation.asend("What is the weather in Paris?")
    wire = Wire(server.url)
    shown = wire.response(response_id(answer.turn.id))
    assert (shown["status"], shown["conversation"], shown["model"]) == ("completed", {"id": "alice"}, "offline")
    assert [item["type"] for item in shown["output"]] == ["function_call", "function_call_output", "message"]
    assert said(shown) == answer.text
    listed = wire.get("/conversations/alice/items", order="asc")["data"]
    assert listed[-3:] == shown["output"]
    again = wire.create(model="m", input="What's my name?", previous_response_id=shown["id"])
    assert said(again) == "Your name is Alice."
    wire.close()


def test_a_turn_of_another_door_is_a_response_with_what_is_known_of_it() -> None:
    turn = Turn(
        id="turn_06gvvr5qstgff9q1r2047q05q4",
        conversation="chain_1",
        status=TurnStatus.COMPLETED,
        output=(assistant("Hi"),),
        model="m",
        finished_at=7.0,
        metadata={"a": "b"},
        asked='{"chat":{"n":2,"temperature":0.5}}',
    )
    shown = checked(json.loads(response_of(turn)))
    assert (shown["id"], shown["metadata"], shown["temperature"]) == (NOWHERE, {"a": "b"}, 1.0)
    paused = msgspec.structs.replace(turn, status=TurnStatus.PAUSED, reason="approval")
    shown = checked(json.loads(response_of(paused)))
    assert (shown["status"], shown["incomplete_details"]) == ("incomplete", {"reason": "approval"})


def test_a_response_is_a_turn_of_the_library(client: OpenAI, server: Server) -> None:
    conversation = client.conversations.create()
    client.responses.create(model="m", input="My name is Alice.", conversation=conversation.id)
    mine = Conversation("offline", store=server.settings.store, id=conversation.id)
    assert mine.send("What's my name?").text == "Your name is Alice."
    items = texts(client.conversations.items.list(conversation.id))
    assert (items[0], len(items)) == ("Your name is Alice.", 4)


@pytest.mark.parametrize("streams", [False, True])
def test_a_failed_response_says_why(relay_wire: Wire, relay: Server, upstream: Upstream, streams: bool) -> None:
    upstream.script(status(429))
    relay_wire.refused(429, "POST", "/responses", json={"model": "m", "input": "Hi", "stream": streams})
    (record,) = relay.run(relay.service.store.conversations())
    shown = relay_wire.response(response_id(record.latest or ""))
    assert (shown["status"], shown["error"]["code"]) == ("failed", "rate_limit_exceeded")
    assert (shown["output"], shown["usage"], shown["completed_at"]) == ([], None, None)
    listed = relay_wire.get(f"/responses/{shown['id']}/input_items")
    assert [item["content"][0]["text"] for item in listed["data"]] == ["Hi"]


async def test_a_response_whose_client_hung_up_is_cancelled(relay: Server, upstream: Upstream) -> None:
    upstream.script(reply("one two three four", delay_s=0.1), hang())
    async with AsyncOpenAI(base_url=relay.base_url, api_key="none", max_retries=0) as client:
        stream = await client.responses.create(model="m", input="Hi", stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        await stream.close()
        with pytest.raises(Exception, match="timed out"):
            await client.responses.create(model="m", input="Hi", timeout=0.2)
    assert await upstream.until(lambda: upstream.hung_up == 2)
    wire, store = Wire(relay.url), relay.service.store
    records = relay.run(store.conversations())
    assert len(records) == 2
    for record in records:
        assert await upstream.until(lambda record=record: not _runs(relay, record.latest or ""))  # type: ignore[misc]
        shown = wire.response(response_id(record.latest or ""))
        assert (shown["status"], shown["incomplete_details"]) == ("cancelled", None)
        assert [item["status"] for item in shown["output"]] in (["incomplete"], [])
    wire.close()


def _runs(server: Server, turn: str) -> bool:
    return server.run(server.service.store.turn(turn)).finished_at is None


def test_a_response_in_progress_is_shown_as_it_is(relay: Server, upstream: Upstream) -> None:
    upstream.script(hang_after(3))
    wire = Wire(relay.url)
    with OpenAI(base_url=relay.base_url, api_key="none", max_retries=0) as client:
        stream = client.responses.create(model="m", input="Hi", stream=True)
        id = next(event.response.id for event in stream if event.type == "response.created")
        shown = wire.response(id)
        assert (shown["status"], shown["output"], shown["usage"]) == ("in_progress", [], None)
        wire.refused(409, "DELETE", f"/responses/{id}")
        stream.close()
    assert upstream.wait(lambda: wire.response(id)["status"] == "cancelled")
    wire.close()


def test_the_stream_of_one_that_did_not_run_in_the_background_is_not_kept(client: OpenAI) -> None:
    response = client.responses.create(model="m", input="Hi")
    with pytest.raises(BadRequestError, match="background"):
        client.responses.retrieve(response.id, stream=True)
    with pytest.raises(BadRequestError, match="background"):
        client.responses.cancel(response.id)


# --- delete ---------------------------------------------------------------------------------------------------------


def test_a_deleted_response_is_gone_and_what_follows_it_stays(client: OpenAI) -> None:
    first = client.responses.create(model="m", input="My name is Alice.")
    second = client.responses.create(model="m", input="Hello", previous_response_id=first.id)
    client.responses.delete(first.id)
    for gone in (client.responses.retrieve, client.responses.delete, client.responses.input_items.list):
        with pytest.raises(NotFoundError):
            gone(first.id)
    third = client.responses.create(model="m", input="What's my name?", previous_response_id=second.id)
    assert third.output_text == "Your name is Alice."


def test_deleting_says_so(wire: Wire) -> None:
    id = wire.create(model="m", input="Hi")["id"]
    assert wire.delete(f"/responses/{id}") == {"id": id, "object": "response.deleted", "deleted": True}


# --- input items ----------------------------------------------------------------------------------------------------


def test_input_items_are_all_that_the_response_was_made_from_newest_first(client: OpenAI) -> None:
    first = client.responses.create(model="m", input="one")
    second = client.responses.create(model="m", input="two", previous_response_id=first.id)
    items = client.responses.input_items.list(second.id).data
    assert texts(items) == [
        "two",
        first.output_text,
        "one",
    ]
    assert items[1].id == first.output[0].id
    assert client.responses.input_items.list(first.id).data[0].to_dict() == items[2].to_dict()


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_follow_one_another(client: OpenAI, wire: Wire, order: str) -> None:
    last = client.responses.create(model="m", input="n 0")
    for n in range(1, 4):
        last = client.responses.create(model="m", input=f"n {n}", previous_response_id=last.id)
    path = f"/responses/{last.id}/input_items"
    whole = [item["id"] for item in wire.get(path, order=order)["data"]]
    assert len(set(whole)) == 7
    found: list[str] = []
    query: dict[str, str] = {}
    for _ in range(4):
        page = wire.get(path, order=order, limit=2, **query)
        found += [item["id"] for item in page["data"]]
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], found[-1])
        assert page["has_more"] == (len(found) < 7)
        query = {"after": found[-1]}
    assert found == whole
    assert wire.get(path, order=order, **query)["data"] == []
    sdk = client.responses.input_items.list(last.id, order=order, limit=3)  # type: ignore[arg-type]
    assert [item.id for item in sdk] == whole


@pytest.mark.parametrize(
    "query",
    [{"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"order": "up"}, {"include": "all"}],
    ids=lambda query: next(iter(query.items())),
)
def test_a_page_that_cannot_be_is_refused(wire: Wire, query: dict[str, str]) -> None:
    id = wire.create(model="m", input="Hi")["id"]
    error = wire.refused(400, "GET", f"/responses/{id}/input_items", params=query)
    assert error["param"] == next(iter(query))


def test_a_page_behind_nothing_is_not_found(wire: Wire) -> None:
    id = wire.create(model="m", input="Hi")["id"]
    for after in ("msg_1", id.replace("resp", "msg") + "_i7", "msg_06gvvr5qstgff9q1r2047q05q4_i0"):
        wire.refused(404, "GET", f"/responses/{id}/input_items", params={"after": after})


# --- upstream faults ------------------------------------------------------------------------------------------------


def test_a_stream_that_breaks_off_ends_as_a_failed_response(relay: Server, upstream: Upstream) -> None:
    upstream.script(cut_after(3), reply("Fine."))
    wire = Wire(relay.url)
    *_, last = wire.events(model="m", input="Hi")
    assert last["type"] == "response.failed"
    assert last["response"]["error"]["code"] == "server_error"
    assert last["response"]["output"][0]["status"] == "incomplete"
    stored = wire.response(last["response"]["id"])
    assert (stored["status"], stored["error"]) == ("failed", last["response"]["error"])
    assert said(stored) == said(last["response"]) == "one two "
    wire.close()


def test_the_sdk_is_told_of_a_stream_that_breaks_off(relay: Server, upstream: Upstream) -> None:
    upstream.script(cut_after(3))
    with OpenAI(base_url=relay.base_url, api_key="none", max_retries=0) as client:
        events = list(client.responses.create(model="m", input="Hi", stream=True))
    assert events[-1].type == "response.failed"
    assert events[-1].response.status == "failed"
    assert json.loads(events[-1].response.to_json())["error"]["message"]


def test_keys_stand_nowhere_in_an_error(serve: Callable[..., Server], upstream: Upstream) -> None:
    upstream.script(status(401, {"error": {"message": "Incorrect API key provided: sk-proj-abcdefghij0123456789"}}))
    wire = Wire(serve(upstream=upstream.url).url)
    answer = wire.send("POST", "/responses", json={"model": "m", "input": "Hi"})
    assert answer.status_code == 502
    assert "abcdefghij" not in answer.text
    wire.close()
