"""Completions with `store: true`: what is kept of them, how it is found again, and that a history is stored once."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from multiturn.ids import new_id
from multiturn.models.limits import Retries
from multiturn.server.upstreams import Upstream as Place
from multiturn.turns import Turn, TurnStatus
from samples import png
from serving import Server
from stores.urls import ON_DISK, fresh_url
from upstream import Upstream, chat_reply, empty_answer, reply, status, stream, tool_call


@pytest.fixture(params=ON_DISK)
def relay(request: pytest.FixtureRequest, serve: Callable[..., Server], upstream: Upstream, tmp_path: Path) -> Server:
    place = Place(name="scripted", urls=(upstream.url,), retries=Retries(attempts=1))
    server: Server = serve(store=fresh_url(request.param, tmp_path), upstreams=(place,))
    return server


@pytest.fixture
def client(relay: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=relay.base_url, api_key="none", max_retries=0) as made:
        yield made


def user(text: str) -> Any:
    return {"role": "user", "content": text}


def ask(client: OpenAI, history: list[Any], **fields: Any) -> str:
    """Ask with the whole history, which grows by the answer; the completion's id."""
    answer = client.chat.completions.create(model="tiny", messages=history, store=True, **fields)
    history.append(answer.choices[0].message)
    id: str = answer.id
    return id


def turns(server: Server) -> int:
    return server.run(server.service.store.statistics()).turns


def path(server: Server, id: str) -> tuple[Turn, ...]:
    return server.run(server.service.store.path(f"turn_{id.partition('-')[2]}"))


# --- retrieve, update, delete ---------------------------------------------------------------------------------------


def test_a_stored_completion_is_retrieved_as_it_was_with_what_was_asked(client: OpenAI, upstream: Upstream) -> None:
    upstream.script(reply("Paris."))
    tool: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    made = client.chat.completions.create(
        model="tiny",
        messages=[user("The capital of France?")],
        store=True,
        metadata={"topic": "travel"},
        temperature=0.5,
        seed=7,
        tools=[tool],
        user="ann",
    )
    found = client.chat.completions.retrieve(made.id)
    assert found.choices == made.choices
    assert (found.id, found.created, found.model, found.usage) == (made.id, made.created, made.model, made.usage)
    more = found.to_dict()
    assert (more["temperature"], more["seed"], more["tools"], more["input_user"]) == (0.5, 7, [tool], "ann")
    assert more["metadata"] == {"topic": "travel"}
    assert more["top_p"] is more["tool_choice"] is more["response_format"] is None


def test_a_streamed_completion_is_stored_too_by_the_time_its_end_is_told(client: OpenAI, upstream: Upstream) -> None:
    upstream.script(stream("Par", "is."))
    chunks = list(client.chat.completions.create(model="tiny", messages=[user("?")], store=True, stream=True))
    found = client.chat.completions.retrieve(chunks[0].id)
    assert found.choices[0].message.content == "Paris."
    assert found.created == chunks[0].created


def test_all_choices_are_kept(client: OpenAI, upstream: Upstream) -> None:
    async def several(exchange: Any) -> None:
        whole = chat_reply(exchange.request, {"content": "heads"}, {})
        whole["choices"].append({**whole["choices"][0], "index": 1})
        whole["choices"][1]["message"] = {"role": "assistant", "content": "tails"}
        exchange.whole(200, json.dumps(whole).encode())

    upstream.script(several)
    made = client.chat.completions.create(model="tiny", messages=[user("Toss.")], n=2, store=True)
    assert client.chat.completions.retrieve(made.id).choices == made.choices


def test_metadata_can_be_changed_and_taken_away(client: OpenAI) -> None:
    id = ask(client, [user("hi")], metadata={"a": "1"})
    changed = client.chat.completions.update(id, metadata={"b": "2"})
    assert changed.to_dict()["metadata"] == {"b": "2"}
    assert client.chat.completions.retrieve(id).to_dict()["metadata"] == {"b": "2"}
    client.chat.completions.update(id, metadata=None)
    assert client.chat.completions.retrieve(id).to_dict()["metadata"] == {}
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.update(id, metadata={"n": 1})  # type: ignore[dict-item]
    assert caught.value.param == "metadata.n" or "metadata" in caught.value.message


def test_what_is_deleted_is_gone_through_every_door(client: OpenAI, relay: Server) -> None:
    id = ask(client, [user("hi")])
    gone = client.chat.completions.delete(id)
    assert (gone.id, gone.deleted, gone.object) == (id, True, "chat.completion.deleted")
    for again in (
        lambda: client.chat.completions.retrieve(id),
        lambda: client.chat.completions.update(id, metadata={}),
        lambda: client.chat.completions.delete(id),
        lambda: client.chat.completions.messages.list(id),
    ):
        with pytest.raises(openai.NotFoundError, match="there is no chat completion"):
            again()
    assert client.chat.completions.list().data == []
    assert turns(relay) == 0


def test_what_goes_on_from_a_deleted_completion_keeps_what_was_said(client: OpenAI, relay: Server) -> None:
    history = [user("one")]
    first = ask(client, history)
    history.append(user("two"))
    second = ask(client, history)
    client.chat.completions.delete(first)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(first)
    told = client.chat.completions.messages.list(second)
    assert [message.content for message in told] == ["one", "You said: one", "two"]
    history.append(user("three"))
    third = ask(client, history)
    assert len(path(relay, third)) == 3
    for id in (second, third):
        client.chat.completions.delete(id)
    assert turns(relay) == 0


@pytest.mark.parametrize("id", ["chatcmpl-00000000000000000000000000", "chatcmpl-", "resp_1", "x", "chatcmpl-' OR 1=1"])
def test_an_id_that_is_none_is_not_found(client: OpenAI, id: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.retrieve(id)
    assert caught.value.code == "not_found"
    assert id in caught.value.message


# --- lists ----------------------------------------------------------------------------------------------------------


def test_a_list_is_paged_in_either_order(client: OpenAI) -> None:
    ids = [ask(client, [user(f"number {n}")]) for n in range(5)]
    assert [each.id for each in client.chat.completions.list(limit=2)] == ids
    assert [each.id for each in client.chat.completions.list(limit=2, order="desc")] == ids[::-1]
    page = client.chat.completions.list(limit=2, after=ids[1])
    assert [each.id for each in page.data] == ids[2:4]
    assert page.has_more
    last = client.chat.completions.list(limit=2, after=ids[3])
    assert ([each.id for each in last.data], last.has_more) == ([ids[4]], False)
    client.chat.completions.update(ids[0], metadata={"a": "b"})  # does not move it
    assert [each.id for each in client.chat.completions.list()] == ids


def test_a_list_is_filtered_by_model_and_metadata(client: OpenAI) -> None:
    made = {}
    for model, kind in (("tiny", "a"), ("tiny", "b"), ("small", "a")):
        answer = client.chat.completions.create(
            model=model, messages=[user("hi")], store=True, metadata={"kind": kind, "all": "yes"}
        )
        made[model, kind] = answer.id
    assert [each.id for each in client.chat.completions.list(model="small")] == [made["small", "a"]]
    by_kind = client.chat.completions.list(metadata={"kind": "a", "all": "yes"})
    assert [each.id for each in by_kind] == [made["tiny", "a"], made["small", "a"]]
    both = client.chat.completions.list(model="tiny", metadata={"kind": "a"}, limit=1)
    assert ([each.id for each in both.data], both.has_more) == ([made["tiny", "a"]], False)
    assert client.chat.completions.list(metadata={"kind": "c"}).data == []


async def test_the_async_client_pages_too(relay: Server, client: OpenAI) -> None:
    ids = [ask(client, [user(f"number {n}")]) for n in range(3)]
    async with AsyncOpenAI(base_url=relay.base_url, api_key="none") as asynchronous:
        assert [each.id async for each in asynchronous.chat.completions.list(limit=1)] == ids


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "order=up", "after=nothing"])
def test_a_list_that_cannot_be_made_says_why(relay: Server, query: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{relay.base_url}/chat/completions?{query}")
    error = json.loads(caught.value.read())["error"]
    assert caught.value.code in (400, 404)
    assert query.split("=")[0] in error["message"] or "nothing" in error["message"]


def test_messages_are_listed_in_pages_with_pictures_and_tools(client: OpenAI, upstream: Upstream) -> None:
    upstream.script(tool_call("look", {"at": "sky"}, call_id="call_7"), reply("Blue."), reply("Yes."))
    url = "data:image/png;base64," + base64.b64encode(png()).decode()
    image = {"type": "image_url", "image_url": {"url": url}}
    history: list[Any] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]},
    ]
    ask(client, history)
    history.append({"role": "tool", "tool_call_id": "call_7", "content": "blue"})
    ask(client, history)
    history.append(user("Sure?"))
    id = ask(client, history)
    told = client.chat.completions.messages.list(id, limit=2)
    assert told.has_more
    items: list[Any] = [message.to_dict() for message in told]
    assert [item["id"] for item in items] == [f"{id}-{n}" for n in range(6)]
    assert [item["role"] for item in items] == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert items[1]["content"] == "What is this?"
    assert items[1]["content_parts"] == [{"type": "text", "text": "What is this?"}, image]
    assert items[2]["tool_calls"][0]["id"] == items[3]["tool_call_id"] == "call_7"
    assert (items[3]["content"], items[4]["content"], items[5]["content"]) == ("blue", "Blue.", "Sure?")
    backwards = client.chat.completions.messages.list(id, order="desc", after=f"{id}-4", limit=1)
    assert [message.content for message in backwards.data] == ["blue"]
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.messages.list(id, after="nothing")


# --- a history is stored once ---------------------------------------------------------------------------------------


def test_each_turn_of_a_conversation_stores_only_what_is_new(client: OpenAI, relay: Server, upstream: Upstream) -> None:
    history: list[Any] = [{"role": "system", "content": "Be brief."}]
    for n in range(6):
        history.append(user(f"question {n}"))
        id = ask(client, history, stream=False)
        assert len(upstream.requests[-1].json["messages"]) == 2 * n + 2
    followed = path(relay, id)
    assert [len(turn.messages) for turn in followed] == [3, 2, 2, 2, 2, 2]
    assert turns(relay) == 6
    assert followed[-1].totals.messages == 13


def test_a_streamed_answer_is_gone_on_from_as_well(client: OpenAI, relay: Server, upstream: Upstream) -> None:
    upstream.script(stream("Hel", "lo."))
    chunks = client.chat.completions.create(model="tiny", messages=[user("hi")], store=True, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    id = ask(client, [user("hi"), {"role": "assistant", "content": text}, user("again")])
    assert [len(turn.messages) for turn in path(relay, id)] == [2, 2]


def test_tools_are_gone_on_from_also_where_a_client_writes_their_arguments_anew(
    client: OpenAI, relay: Server, upstream: Upstream
) -> None:
    upstream.script(tool_call("look", {"at": "sky", "for": 3}), reply("Blue."))
    history = [user("What colour?")]
    ask(client, history)
    call = history[-1].tool_calls[0].to_dict()
    call["function"]["arguments"] = json.dumps(json.loads(call["function"]["arguments"]), separators=(",", ":"))
    history[-1] = {"role": "assistant", "content": "", "tool_calls": [call]}
    history.append({"role": "tool", "tool_call_id": call["id"], "content": "blue"})
    id = ask(client, history)
    first, second = path(relay, id)
    assert [message.role for message in second.messages] == ["tool", "assistant"]
    assert second.input[0].tool_results[0].name == "look"
    assert [message["role"] for message in upstream.requests[-1].json["messages"]] == ["user", "assistant", "tool"]
    assert first.id == second.parent


def test_an_edited_history_goes_on_from_where_it_is_still_the_same(client: OpenAI, relay: Server) -> None:
    history = [user("one")]
    first = ask(client, history)
    history.append(user("two"))
    ask(client, history)
    history[2:] = [user("two, differently")]
    other = ask(client, history)
    history[:1] = [user("zero")]
    history.append(user("and now?"))
    apart = ask(client, history)
    assert next(turn.id for turn in path(relay, other)) == f"turn_{first.partition('-')[2]}"
    assert len(path(relay, other)) == 2
    assert [len(turn.messages) for turn in path(relay, apart)] == [6]


def test_the_same_question_twice_is_two_completions_that_both_go_on(client: OpenAI, relay: Server) -> None:
    ids = [ask(client, [user("hi")]) for _ in range(2)]
    assert len(set(ids)) == 2
    history = [user("hi"), {"role": "assistant", "content": "You said: hi"}, user("more")]
    assert len(path(relay, ask(client, list(history)))) == 2
    assert turns(relay) == 3


def test_one_completion_can_be_gone_on_from_many_times_at_once(relay: Server, upstream: Upstream) -> None:
    async def all_at_once() -> list[str]:
        async with AsyncOpenAI(base_url=relay.base_url, api_key="none", max_retries=0) as client:

            async def send(*texts: str) -> str:
                said: list[Any] = []
                for text in texts[:-1]:
                    said += [user(text), {"role": "assistant", "content": f"You said: {text}"}]
                answer = await client.chat.completions.create(
                    model="tiny", messages=[*said, user(texts[-1])], store=True
                )
                assert answer.choices[0].message.content == f"You said: {texts[-1]}"
                return answer.id

            await send("root")
            return list(await asyncio.gather(*(send("root", f"branch {n}") for n in range(8))))

    import asyncio

    ids = asyncio.run(all_at_once())
    roots = {path(relay, id)[0].id for id in ids}
    assert (len(roots), turns(relay)) == (1, 9)


def test_after_a_restart_a_history_goes_on_from_where_it_was(client: OpenAI, relay: Server) -> None:
    history = [user("one")]
    ask(client, history)
    relay.restart()
    for text in ("two", "three"):
        history.append(user(text))
        id = ask(client, history)
    assert [len(turn.messages) for turn in path(relay, id)] == [2, 2, 2]
    assert turns(relay) == 3
    assert [message.content for message in client.chat.completions.messages.list(id)] == [
        *("one", "You said: one", "two", "You said: two", "three")
    ]


def test_tenants_share_no_histories(relay: Server) -> None:
    from multiturn.server.auth import new_key

    keys = []
    for tenant in ("acme", "other"):
        key, record = new_key(tenant)
        relay.run(relay.service.store.create_key(record))
        keys.append(key)
    relay.restart()
    one, two = (OpenAI(base_url=relay.base_url, api_key=key, max_retries=0) for key in keys)
    with one, two:
        history = [user("a secret")]
        id = ask(one, history)
        history.append(user("more"))
        theirs = ask(two, list(history))
        assert [message.content for message in two.chat.completions.messages.list(theirs)] == [
            *("a secret", "You said: a secret", "more")
        ]
        store = relay.service.store.tenant("other")
        assert len(relay.run(store.path(f"turn_{theirs.partition('-')[2]}"))) == 1
        texts = set()
        for foreign in (id, f"chatcmpl-{new_id('x').partition('_')[2]}"):
            with pytest.raises(openai.NotFoundError) as caught:
                two.chat.completions.retrieve(foreign)
            texts.add(caught.value.message.split("'")[0])
        assert len(texts) == 1
        with pytest.raises(openai.NotFoundError):
            two.chat.completions.delete(id)
        assert [each.id for each in two.chat.completions.list()] == [theirs]
        assert one.chat.completions.retrieve(id).choices[0].message.content == "You said: a secret"


# --- other doors ----------------------------------------------------------------------------------------------------


def test_a_response_is_readable_as_a_completion_and_can_not_be_changed_as_one(client: OpenAI) -> None:
    first = client.responses.create(model="tiny", input="one")
    second = client.responses.create(model="tiny", input="two", previous_response_id=first.id)
    id = f"chatcmpl-{second.id.partition('_')[2]}"
    found = client.chat.completions.retrieve(id)
    assert found.choices[0].message.content == second.output_text
    assert [message.content for message in client.chat.completions.messages.list(id)] == ["one", "You said: one", "two"]
    assert client.chat.completions.list().data == []
    for change in (
        lambda: client.chat.completions.update(id, metadata={}),
        lambda: client.chat.completions.delete(id),
    ):
        with pytest.raises(openai.NotFoundError):
            change()


def test_a_response_can_go_on_from_a_completion(client: OpenAI, relay: Server, upstream: Upstream) -> None:
    history = [user("one")]
    id = ask(client, history)
    response = client.responses.create(model="tiny", input="two", previous_response_id=f"resp_{id.partition('-')[2]}")
    assert [message["content"] for message in upstream.requests[-1].json["messages"]] == ["one", "You said: one", "two"]
    assert response.output_text == "You said: two"
    history.append(user("two"))
    other = ask(client, history)
    assert len(path(relay, other)) == 2
    assert [each.id for each in client.chat.completions.list()] == [id, other]


# --- failures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streams", [False, True])
def test_a_failed_completion_is_no_stored_completion_but_keeps_the_words(
    client: OpenAI, relay: Server, upstream: Upstream, streams: bool
) -> None:
    history = [user("one")]
    id = ask(client, history)
    history.append(user("two"))
    upstream.script(status(500))
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="tiny", messages=history, store=True, stream=streams)
    assert [each.id for each in client.chat.completions.list()] == [id]
    (root,) = path(relay, id)
    failed = [turn for turn in relay.run(relay.service.store.tree(root.conversation)) if turn.id != root.id]
    assert [turn.status for turn in failed] == [TurnStatus.FAILED]
    assert failed[0].input[0].text == "two"
    again = ask(client, history)
    assert len(path(relay, again)) == 2


def test_an_empty_answer_is_a_bad_gateway(client: OpenAI, upstream: Upstream) -> None:
    upstream.script(empty_answer())
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="tiny", messages=[user("hi")], store=True)
    assert caught.value.status_code == 502
    assert client.chat.completions.list().data == []
