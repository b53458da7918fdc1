"""Deferred completions with the official SDK: they run on without their caller, and are fetched by anybody's call."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable
from typing import Any

import pytest
from openai import OpenAI
from xai_sdk.chat import chat_pb2, user
from xai_sdk.proto import deferred_pb2

from multiturn import stores
from multiturn.deltas import TextDelta
from multiturn.server.settings.values import Background
from multiturn.server.upstreams import Upstream as Place
from multiturn.server.xai import deferred
from multiturn.turns import Turn, TurnStatus
from serving import Server
from upstream import Upstream, empty_answer, hang, hang_after, reply, status
from xai_clients import Door, async_client_of, client_of, refused

SOON = datetime.timedelta(milliseconds=20)
NOT_FOUND = ("NOT_FOUND", "Response not found")


def start(client: Any, text: str = "hi", *, stores: bool = True) -> str:
    request = chat_pb2.GetCompletionsRequest(model="m", messages=[user(text)], store_messages=stores, n=1)
    id: str = client.chat._stub.StartDeferredCompletion(request).request_id
    return id


def fetch(client: Any, id: str) -> Any:
    return client.chat._stub.GetDeferredCompletion(deferred_pb2.GetDeferredRequest(request_id=id))


def fetched(client: Any, id: str) -> Any:
    """What is fetched once it is no longer pending."""
    end = time.monotonic() + 10
    while (found := fetch(client, id)).status == deferred_pb2.PENDING:
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# --- the SDK --------------------------------------------------------------------------------------------------------


async def test_the_sdk_waits_for_an_answer(client: Any, door: Door) -> None:
    chat = client.chat.create(model="m", messages=[user("My name is Alice.")], store_messages=True)
    response = await asyncio.to_thread(chat.defer, interval=SOON)
    assert response.content == "Nice to meet you, Alice."
    async with async_client_of(door.host) as waiting:
        following = waiting.chat.create(model="m", store_messages=True, previous_response_id=response.id)
        second = await following.append(user("What's my name?")).defer(interval=SOON)
        assert second.content == "Your name is Alice."
        (stored,) = await waiting.chat.get_stored_completion(second.id)
    assert stored.content == second.content
    assert stored.request_settings.previous_response_id == response.id
    assert stored.request_settings.store_messages


@pytest.mark.filterwarnings("ignore:chat.defer_batch:PendingDeprecationWarning")
def test_a_batch_is_deferred(relayed_client: Any, relayed: Door, upstream: Upstream) -> None:
    responses = relayed_client.chat.create(model="m", messages=[user("hi")]).defer_batch(1, interval=SOON)
    assert [response.content for response in responses] == ["You said: hi"]
    assert upstream.requests[0].json["stream"] is True


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_what_is_not_to_be_stored_is_told_once(client: Any, door: Door) -> None:
    id = start(client, stores=False)
    until(lambda: door.turns()[0].status is TurnStatus.COMPLETED)
    assert refused(lambda: client.chat.get_stored_completion(id)) == NOT_FOUND
    found = fetch(client, id)
    assert found.status == deferred_pb2.DONE
    assert found.response.id == id
    assert not found.response.settings.store_messages
    assert refused(lambda: fetch(client, id)) == NOT_FOUND
    assert conversations(door) == []


def conversations(door: Door) -> list[str | None]:
    """Whose heads there are."""
    return [record.head for record in door.server.run(door.server.service.store.conversations())]


def test_what_is_told_once_leaves_what_it_followed(client: Any, door: Door) -> None:
    first = client.chat.create(model="m", messages=[user("My name is Alice.")], store_messages=True).sample()
    asked = {"messages": [user("What's my name?")], "previous_response_id": first.id}
    id = client.chat._stub.StartDeferredCompletion(chat_pb2.GetCompletionsRequest(model="m", n=1, **asked)).request_id
    assert fetched(client, id).response.outputs[0].message.content == "Your name is Alice."
    assert conversations(door) == [f"turn_{first.id}"]
    again = client.chat.create(model="m", store_messages=True, **asked).sample()
    assert again.content == "Your name is Alice."


def test_what_nobody_fetches_goes_after_a_while(
    open_door: Callable[..., Door], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deferred, "KEPT_S", 0.3)
    monkeypatch.setattr(deferred, "LOOK_EVERY_S", 0.01)
    door = open_door()
    client = client_of(door.host)
    stored, unstored = start(client), start(client, stores=False)
    until(lambda: conversations(door) == [f"turn_{stored}"])
    assert refused(lambda: fetch(client, unstored)) == NOT_FOUND
    assert fetched(client, stored).status == deferred_pb2.DONE
    client.close()


def test_what_is_stored_is_told_as_often_as_it_is_asked_for(client: Any) -> None:
    id = start(client)
    assert fetched(client, id) == fetch(client, id)
    assert client.chat.get_stored_completion(id)[0].proto == fetch(client, id).response
    client.chat.delete_stored_completion(id)
    assert refused(lambda: fetch(client, id)) == NOT_FOUND


def test_an_answer_of_another_door_can_be_fetched_too(client: Any, door: Door) -> None:
    with OpenAI(base_url=door.server.base_url, api_key="none") as other:
        response = other.responses.create(model="m", input="My name is Alice.")
    assert fetch(client, response.id.removeprefix("resp_")).response.outputs[0].message.content == response.output_text


# --- running on -----------------------------------------------------------------------------------------------------


def test_it_runs_on_when_its_client_is_gone(relayed: Door, upstream: Upstream) -> None:
    upstream.script(reply("Here I am.", streams=True, delay_s=0.05))
    client = client_of(relayed.host)
    id = start(client)
    assert fetch(client, id).status == deferred_pb2.PENDING
    assert refused(lambda: client.chat.get_stored_completion(id)) == NOT_FOUND  # not yet
    client.close()
    another = client_of(relayed.host)
    assert fetched(another, id).response.outputs[0].message.content == "Here I am."
    another.close()


def test_others_can_follow_it_while_it_runs(relayed_client: Any, relayed: Door, upstream: Upstream) -> None:
    upstream.script(reply("one two three", streams=True, delay_s=0.05))
    id = start(relayed_client)

    async def followed() -> tuple[str, Turn]:
        said, turn = "", None
        async for item in relayed.server.service.store.follow(f"turn_{id}"):
            if isinstance(item, Turn):
                turn = item
            else:
                said += "".join(draft.text for draft in item if isinstance(draft, TextDelta))
        assert turn is not None
        return said, turn

    said, turn = relayed.server.run(followed())
    assert (said, turn.text, turn.background) == ("one two three", "one two three", True)


def test_it_can_be_cancelled_through_another_door(relayed_client: Any, relayed: Door, upstream: Upstream) -> None:
    upstream.script(hang_after(3, "one ", "two "))
    id = start(relayed_client)
    assert upstream.wait(lambda: len(upstream.requests) == 1)
    with OpenAI(base_url=relayed.server.base_url, api_key="none") as other:
        other.responses.cancel(f"resp_{id}")
        assert upstream.wait(lambda: upstream.hung_up == 1)
        until(lambda: fetch_fails(relayed_client, id))
        assert refused(lambda: fetch(relayed_client, id)) == (
            "CANCELLED",
            "This answer was stopped before it had ended.",
        )
        assert other.responses.retrieve(f"resp_{id}").status == "cancelled"


def fetch_fails(client: Any, id: str) -> bool:
    import grpc

    try:
        return bool(fetch(client, id).status != deferred_pb2.PENDING)
    except grpc.RpcError:
        return True


FAULTS = [
    (status(429), "RESOURCE_EXHAUSTED", "RateLimited"),
    (status(500), "INTERNAL", "ProviderFailed"),
    (hang(), "DEADLINE_EXCEEDED", "FirstByteTimedOut"),
    (empty_answer(), "INTERNAL", "EmptyAnswer"),
]


@pytest.mark.parametrize(("fault", "code", "kind"), FAULTS, ids=[row[2] for row in FAULTS])
def test_one_that_fails_is_an_error_when_it_is_fetched(
    hasty_client: Any, hasty: Door, upstream: Upstream, fault: Any, code: str, kind: str
) -> None:
    upstream.script(fault)
    chat = hasty_client.chat.create(model="m", messages=[user("hi")], store_messages=True)
    assert refused(lambda: chat.defer(interval=SOON))[0] == code
    (turn,) = hasty.turns()
    assert turn.error is not None
    assert (turn.status, turn.error.kind) == (TurnStatus.FAILED, kind)


def test_only_so_many_run_at_once_and_the_others_wait(open_door: Callable[..., Door], upstream: Upstream) -> None:
    upstream.script(reply("First.", delay_s=0.2), reply("Second."))
    door = open_door(upstreams=(Place(name="u", urls=(upstream.url,)),), background=Background(concurrency=1))
    client = client_of(door.host)
    first, second = start(client), start(client)
    assert upstream.wait(lambda: len(upstream.requests) == 1)
    assert fetch(client, second).status == deferred_pb2.PENDING
    assert fetched(client, first).response.outputs[0].message.content == "First."
    assert fetched(client, second).response.outputs[0].message.content == "Second."
    client.close()


def test_it_can_be_gone_on_from_once_it_has_ended_and_on_any_node(
    open_door: Callable[..., Door], upstream: Upstream
) -> None:
    upstream.script(reply("one two three", streams=True, delay_s=0.1), reply("Four."))
    place = Place(name="u", urls=(upstream.url,))
    here = open_door(upstreams=(place,))
    stores._open.clear()  # so that the other one has a store object of its own, as another process would
    there = open_door(upstreams=(place,), store=here.server.settings.store)
    client, other = client_of(here.host), client_of(there.host)
    id = start(client)
    following = other.chat.create(model="m", messages=[user("on")], store_messages=True, previous_response_id=id)
    assert refused(following.sample) == NOT_FOUND
    fetched(client, id)
    assert following.sample().content == "Four."
    assert [message["content"] for message in upstream.requests[1].json["messages"]] == ["hi", "one two three", "on"]
    client.close()
    other.close()


@pytest.mark.parametrize("fault", [None, status(500)], ids=["unstored", "failed"])
def test_what_is_only_to_be_fetched_or_has_failed_cannot_be_gone_on_from(
    relayed_client: Any, relayed: Door, upstream: Upstream, fault: Any
) -> None:
    upstream.script(*([fault] if fault else []))
    id = start(relayed_client, stores=fault is not None)
    until(lambda: relayed.turns()[0].status is not TurnStatus.IN_PROGRESS)
    chat = relayed_client.chat.create(model="m", messages=[user("on")], previous_response_id=id)
    assert refused(chat.sample) == NOT_FOUND


# --- the server's end -----------------------------------------------------------------------------------------------


def test_what_a_server_leaves_undone_another_one_does_and_what_it_has_begun_is_told_to_have_failed(
    open_door: Callable[..., Door], upstream: Upstream
) -> None:
    upstream.script(hang_after(3, "one ", "two "), reply("Second."))
    place = Place(name="u", urls=(upstream.url,))
    leaving = open_door(upstreams=(place,), background=Background(concurrency=1))
    stores._open.clear()  # so that the other one has a store object of its own, as another process would
    staying = open_door(upstreams=(place,), store=leaving.server.settings.store)
    client, other = client_of(leaving.host), client_of(staying.host)
    begun = start(client)
    waiting = client.chat.create(model="m", messages=[user("On?")], temperature=0.5, store_messages=True)
    left = client.chat._stub.StartDeferredCompletion(waiting._make_request(1)).request_id
    assert upstream.wait(lambda: len(upstream.requests) == 1)
    client.close()
    leaving.close()
    leaving.server._stop()

    assert fetched(other, left).response.outputs[0].message.content == "Second."
    assert fetch(other, left).response.settings.temperature == 0.5
    assert upstream.requests[1].json["temperature"] == 0.5
    code, details = refused(lambda: fetch(other, begun))
    assert (code, "the server is going down; ask again" in details) == ("UNAVAILABLE", True)
    assert [turn.text for turn in staying.turns()] == ["one two ", "Second."]
    other.close()


def test_a_node_without_this_door_leaves_it_to_one_that_has_it(
    open_door: Callable[..., Door], serve: Callable[..., Server], upstream: Upstream
) -> None:
    upstream.script(hang_after(3, "one "), reply("Hello."), reply("Second."))
    place = Place(name="u", urls=(upstream.url,))
    leaving = open_door(upstreams=(place,), background=Background(concurrency=1))
    client = client_of(leaving.host)
    start(client)
    left = start(client)
    assert upstream.wait(lambda: len(upstream.requests) == 1)
    with OpenAI(base_url=leaving.server.base_url, api_key="none") as other:
        response = other.responses.create(model="m", input="Hi", background=True)  # which waits as well, behind it
    store = leaving.server.settings.store
    client.close()
    leaving.close()
    leaving.server._stop()

    stores._open.clear()  # so that the others have store objects of their own, as other processes would
    without = serve(upstreams=(place,), store=store)
    with OpenAI(base_url=without.base_url, api_key="none") as other:
        until(lambda: other.responses.retrieve(response.id).status == "completed")  # the younger of the two
        assert other.responses.retrieve(f"resp_{left}").status == "queued"
    stores._open.clear()
    client = client_of(open_door(upstreams=(place,), store=store).host)
    assert fetched(client, left).response.outputs[0].message.content == "Second."
    client.close()
