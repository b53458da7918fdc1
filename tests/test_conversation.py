"""`Conversation` over a real store; the model is scripted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from multiturn import Conversation, Image, InvalidInput, Message, NotFound, Text, TurnStatus, Url
from multiturn.errors import ConversationBusy, EmptyAnswer, ModelError, RateLimited
from multiturn.events import Event, RunCompleted, RunContent, RunStarted
from multiturn.messages import Usage, assistant, developer, system, tool_result, user
from multiturn.request import Request, Settings
from multiturn.stores.records import Filter
from scripted import ScriptedModel


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/chats.db"


def said(chat: Conversation) -> list[str]:
    return [message.text for message in chat.history]


def fails_once(error: Exception) -> ScriptedModel:
    """Fails at its first request, then answers."""
    model = ScriptedModel(lambda request: error if len(model.requests) == 1 else f"heard {request.messages[-1].text}")
    return model


# --- sending ----------------------------------------------------------------------------------------------------------


def test_a_reply_carries_all_there_is_to_know(url: str) -> None:
    reply = Conversation(ScriptedModel(), store=url).send("hello")
    assert reply.text == str(reply) == "heard hello"
    assert reply.message.role == "assistant"
    assert reply.usage == Usage(input_tokens=10, output_tokens=2, cached_tokens=4)
    assert reply.model == "scripted-1"
    assert reply.status == "completed"
    assert reply.turn.input == (user("hello"),)


def test_the_model_sees_everything_that_was_said_before(url: str) -> None:
    model = ScriptedModel()
    chat = Conversation(model, store=url, instructions="Be brief.")
    chat.send("one")
    chat.send("two")
    request = model.requests[-1]
    assert request.instructions == "Be brief."
    assert [message.text for message in request.messages] == ["one", "heard one", "two"]


def test_streamed_words_add_up_to_the_reply(url: str) -> None:
    chat = Conversation(ScriptedModel(lambda request: "one two three"), store=url)
    events = list(chat.stream("go"))
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunCompleted)
    assert [event.text for event in events[1:-1]] == ["one", " two", " three"]
    assert "".join(event.text for event in events) == events[-1].reply.text == chat.history[-1].text


async def test_the_async_face_does_the_same(url: str) -> None:
    chat = Conversation(ScriptedModel(), store=url)
    assert (await chat.asend("one")).text == "heard one"
    events = [event async for event in chat.astream("two")]
    assert isinstance(events[-1], RunCompleted)
    assert [message.text for message in await chat.ahistory()] == ["one", "heard one", "two", "heard two"]
    assert said(chat) == ["one", "heard one", "two", "heard two"]  # and the sync one works inside a running loop


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("hi", (user("hi"),)),
        (Text("hi"), (user("hi"),)),
        (["look:", Image(Url("http://x/y.png"))], (user("look:", Image(Url("http://x/y.png"))),)),
        (user("hi"), (user("hi"),)),
        ([user("a"), user("b")], (user("a"), user("b"))),  # one role twice in a row
        ([system("s"), "hi", developer("d")], (system("s"), user("hi"), developer("d"))),  # in the middle
        ([assistant("a"), "hi"], (assistant("a"), user("hi"))),  # the model first
        (tool_result("call_1", {"temp": 3}), (tool_result("call_1", {"temp": 3}),)),
        (list(tool_result("call_1", "x").parts), (tool_result("call_1", "x"),)),
        ({"role": "user", "content": "hi"}, (user("hi"),)),
        ([{"role": "user", "content": [{"type": "text", "text": "hi"}]}], (user("hi"),)),
    ],
)
def test_whatever_a_caller_may_say_is_a_message(given: object, meant: tuple[Message, ...]) -> None:
    reply = Conversation(ScriptedModel()).send(given)  # type: ignore[arg-type]
    assert reply.turn.input == meant


@pytest.mark.parametrize("given", [[], (), None, 3, b"bytes", [None], [3.5]])
def test_what_cannot_be_said_is_refused_and_nothing_is_stored(given: object, url: str) -> None:
    chat = Conversation(ScriptedModel(), store=url)
    with pytest.raises(InvalidInput, match="text"):
        chat.send(given)  # type: ignore[arg-type]
    assert chat.latest is None


def test_the_callers_objects_are_left_as_they_were() -> None:
    given = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    chat = Conversation(ScriptedModel())
    chat.send(given)
    chat.send("more")
    assert given == [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]


def test_settings_reach_the_model() -> None:
    model = ScriptedModel()
    Conversation(model, settings=Settings(temperature=0.5)).send("hi")
    assert model.requests[0].settings.temperature == 0.5


# --- history ----------------------------------------------------------------------------------------------------------


def test_changing_the_history_that_was_given_changes_nothing() -> None:
    chat = Conversation(ScriptedModel())
    chat.send(Message("user", (Text("hi"),), metadata={"k": "v"}))
    history = chat.history
    assert history[0].metadata is not None
    history[0].metadata["k"] = "changed"
    history.clear()
    assert chat.history[0].metadata == {"k": "v"}
    assert len(chat.history) == 2


def test_the_summary_shows_the_last_turns_shortened() -> None:
    chat = Conversation(ScriptedModel(lambda request: "word " * 50))
    for n in range(5):
        chat.send(f"question {n}\nwith two lines")
    lines = chat.summary(turns=2, width=30).splitlines()
    assert lines[0] == "user: question 3 with two lines"
    assert lines[1] == "assistant: word word word word word word…"
    assert len(lines) == 4
    assert len(chat.summary().splitlines()) == 6


def test_usage_is_summed_over_the_path() -> None:
    chat = Conversation(ScriptedModel())
    assert chat.usage == Usage()
    for _ in range(3):
        chat.send("hi")
    assert chat.usage == Usage(input_tokens=30, output_tokens=6, cached_tokens=12)
    assert chat.fork(at=chat.turns[0].id).usage.input_tokens == 10


def test_an_empty_conversation_has_an_empty_history(url: str) -> None:
    chat = Conversation(ScriptedModel(), store=url, id="new")
    assert (chat.history, chat.turns, chat.latest, chat.summary()) == ([], [], None, "")


# --- opening again ----------------------------------------------------------------------------------------------------


def test_an_id_goes_on_where_it_left_off(url: str) -> None:
    Conversation(ScriptedModel(), store=url, id="alice-1", instructions="Be brief.").send("one")
    model = ScriptedModel()
    again = Conversation(model, store=url, id="alice-1")
    assert again.instructions == "Be brief."
    again.send("two")
    assert [message.text for message in model.requests[0].messages] == ["one", "heard one", "two"]
    assert model.requests[0].instructions == "Be brief."


def test_the_model_last_used_answers_again(url: str) -> None:
    Conversation("offline", store=url, id="c").send("hi")
    assert Conversation(store=url, id="c").model == "offline"
    assert Conversation(store=url).model == "offline"


def test_two_objects_on_one_conversation_see_each_others_turns(url: str) -> None:
    one, two = (Conversation(ScriptedModel(), store=url, id="shared") for _ in range(2))
    one.send("1")
    two.send("2")
    one.send("3")
    assert said(one) == said(two) == ["1", "heard 1", "2", "heard 2", "3", "heard 3"]


def test_the_model_may_change_in_the_middle() -> None:
    first, second = ScriptedModel(lambda request: "first"), ScriptedModel(lambda request: "second")
    chat = Conversation(first)
    chat.send("a")
    chat.model = second
    assert chat.send("b").text == "second"
    assert [message.text for message in second.requests[0].messages] == ["a", "first", "b"]


# --- forks, edits, retries, resets ------------------------------------------------------------------------------------


def test_a_fork_and_its_sibling_do_not_see_each_other(url: str) -> None:
    chat = Conversation(ScriptedModel(), store=url, instructions="i", metadata={"user": "alice"})
    first = chat.send("1")
    chat.send("2")
    fork = chat.fork(at=first.turn.id)
    fork.send("2 otherwise")
    assert said(fork) == ["1", "heard 1", "2 otherwise", "heard 2 otherwise"]
    assert said(chat) == ["1", "heard 1", "2", "heard 2"]
    assert (fork.instructions, fork.metadata) == ("i", {"user": "alice"})
    assert Conversation(ScriptedModel(), store=url, id=fork.id).instructions == "i"


def test_a_fork_without_a_place_starts_at_the_head() -> None:
    chat = Conversation(ScriptedModel())
    assert said(chat.fork()) == []
    chat.send("1")
    assert said(chat.fork(id="mine")) == said(chat)
    with pytest.raises(InvalidInput, match="'mine'"):
        chat.fork(id="mine")
    with pytest.raises(NotFound):
        chat.fork(at="turn_missing")


def test_an_edit_takes_the_place_of_a_turn_and_the_old_one_stays_readable() -> None:
    chat = Conversation(ScriptedModel())
    chat.send("1")
    second = chat.send("2")
    chat.send("3")
    assert chat.edit(second.turn.id, "2 again").text == "heard 2 again"
    assert said(chat) == ["1", "heard 1", "2 again", "heard 2 again"]
    assert said(chat.fork(at=second.turn.id)) == ["1", "heard 1", "2", "heard 2"]


def test_a_retry_asks_the_same_again() -> None:
    model = ScriptedModel(lambda request: f"answer {len(model.requests)}")
    chat = Conversation(model)
    with pytest.raises(InvalidInput, match="nothing to retry"):
        chat.retry()
    chat.send("1")
    chat.send("2")
    assert chat.retry().text == "answer 3"
    assert said(chat) == ["1", "answer 1", "2", "answer 3"]


def test_a_reset_empties_the_head_and_keeps_the_rest(url: str) -> None:
    model = ScriptedModel()
    chat = Conversation(model, store=url, id="c", instructions="Be brief.")
    chat.reset()
    first = chat.send("1")
    chat.reset()
    assert (chat.history, chat.instructions) == ([], "Be brief.")
    assert Conversation(model, store=url, id="c").instructions == "Be brief."
    chat.send("2")
    assert said(chat) == ["2", "heard 2"]
    assert said(chat.fork(at=first.turn.id)) == ["1", "heard 1"]


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
def test_a_failure_keeps_the_words_and_leaves_the_head(url: str, streamed: bool) -> None:
    model = fails_once(RateLimited("too many requests", retry_after_s=3.0))
    model.words_before_error = ("so", "far")
    chat = Conversation(ScriptedModel(), store=url, id="c")
    chat.send("1")
    chat.model = model
    with pytest.raises(RateLimited) as caught:
        list(chat.stream("2")) if streamed else chat.send("2")
    failed = chat.latest
    assert failed is not None
    assert caught.value.turn_id == failed.id
    assert (failed.status, failed.input, failed.text) == ("failed", (user("2"),), "so far" if streamed else "")
    assert failed.error is not None
    assert failed.error.kind == "RateLimited"
    assert said(chat) == ["1", "heard 1"]
    assert chat.retry().text == "heard 2"
    assert said(chat) == ["1", "heard 1", "2", "heard 2"]


def test_a_retry_after_a_failure_works_in_another_process_too(url: str) -> None:
    chat = Conversation(fails_once(ModelError("down")), store=url, id="c")
    with pytest.raises(ModelError):
        chat.send("hello")
    assert Conversation(ScriptedModel(), store=url, id="c").retry().text == "heard hello"


def test_sending_on_after_a_failure_does_not_show_the_failed_turn_to_the_model() -> None:
    model = fails_once(ModelError("down"))
    chat = Conversation(model)
    with pytest.raises(ModelError):
        chat.send("lost?")
    chat.send("next")
    assert [message.text for message in model.requests[-1].messages] == ["next"]


def test_an_answer_with_nothing_in_it_is_an_error() -> None:
    from multiturn.deltas import Answer

    class Mute(ScriptedModel):
        async def answer(self, request: Request):  # type: ignore[no-untyped-def]
            yield Answer(Message("assistant", finish_reason="stop"))

    with pytest.raises(EmptyAnswer, match="nothing at all"):
        Conversation(Mute()).send("hi")


def test_a_mistake_in_the_model_itself_ends_the_turn_too() -> None:
    chat = Conversation(fails_once(ZeroDivisionError("bug")))
    with pytest.raises(ZeroDivisionError):
        chat.send("hi")
    assert chat.retry().status == "completed"


def test_nothing_is_begun_for_a_turn_that_is_not_there() -> None:
    chat = Conversation(ScriptedModel())
    with pytest.raises(NotFound):
        chat.edit("turn_missing", "words")
    assert chat.latest is None


# --- interruptions ----------------------------------------------------------------------------------------------------

LONG = " ".join(f"word{n}" for n in range(100))


def test_leaving_a_stream_keeps_what_was_shown(url: str) -> None:
    model = ScriptedModel(lambda request: LONG, delay_s=0.002)
    chat = Conversation(model, store=url)
    shown = ""
    for event in chat.stream("go"):
        shown += event.text
        if "word3" in shown:
            break
    turn = chat.latest
    assert turn is not None
    assert (turn.status, turn.reason) == (TurnStatus.INCOMPLETE, "interrupted")
    assert turn.text.startswith(shown)
    assert len(turn.text) < len(LONG)
    assert model.running == 0
    assert said(chat) == ["go", turn.text]
    assert chat.send("on").text == LONG


async def test_a_cancelled_task_keeps_what_was_shown(url: str) -> None:
    model = ScriptedModel(lambda request: LONG, delay_s=0.002)
    chat = Conversation(model, store=url)
    events: list[Event] = []

    async def read() -> None:
        async for event in chat.astream("go"):
            events.append(event)

    task = asyncio.create_task(read())
    while not any(isinstance(event, RunContent) for event in events):
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    turn = await chat.alatest()
    assert turn is not None
    assert turn.status == "incomplete"
    assert LONG.startswith(turn.text)
    assert turn.text
    assert model.running == 0


async def test_a_send_cancelled_at_any_moment_leaves_nothing_running(url: str) -> None:
    model = ScriptedModel()
    chat = Conversation(model, store=url)
    for tenth_ms in range(40):
        task = asyncio.create_task(chat.asend("hi"))
        await asyncio.sleep(tenth_ms / 10_000)
        task.cancel()
        await asyncio.wait([task])
    assert model.running == 0
    assert (await asyncio.wait_for(chat.asend("and now?"), 5)).status == "completed"
    assert all(turn.status != "in_progress" for turn in await chat.store.tree(chat.id))


def test_an_interruption_before_the_first_word_leaves_the_head(url: str) -> None:
    chat = Conversation(ScriptedModel(lambda request: LONG, delay_s=5), store=url)
    for event in chat.stream("go"):
        assert isinstance(event, RunStarted)
        break
    assert chat.latest is not None
    assert chat.latest.status == "incomplete"
    assert chat.history == []


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_an_answer_that_a_limit_cut_is_incomplete_and_goes_on(reason: str) -> None:
    import msgspec

    from multiturn.deltas import Answer
    from scripted import message

    class Cut(ScriptedModel):
        async def answer(self, request: Request):  # type: ignore[no-untyped-def]
            yield Answer(msgspec.structs.replace(message("as far as it g"), finish_reason=reason))

    chat = Conversation(Cut())
    reply = chat.send("go")
    assert (reply.status, reply.turn.reason, chat.history[-1].text) == ("incomplete", reason, "as far as it g")


# --- several at once --------------------------------------------------------------------------------------------------


async def test_sends_on_one_conversation_queue_up(url: str) -> None:
    chat = Conversation(ScriptedModel(), store=url)
    await asyncio.gather(*(chat.asend(f"{n}") for n in range(10)))
    history = [message.text for message in await chat.ahistory()]
    assert sorted(history[::2]) == [f"{n}" for n in range(10)]
    assert history[1::2] == [f"heard {text}" for text in history[::2]]


async def test_they_run_in_the_order_in_which_they_came(url: str) -> None:
    chat = Conversation(ScriptedModel(delay_s=0.001), store=url)
    await asyncio.gather(*(chat.asend(f"{n}") for n in range(6)))
    assert [message.text for message in (await chat.ahistory())[::2]] == [f"{n}" for n in range(6)]


async def test_a_conversation_may_fork_instead_of_queueing(url: str) -> None:
    chat = Conversation(ScriptedModel(delay_s=0.2), store=url, on_conflict="fork")
    first = await chat.asend("first")
    slow = chat.astream("slow")
    await anext(slow)
    replies = await asyncio.gather(*(chat.asend(f"{n}") for n in range(2)))
    replies += [event.reply async for event in slow if isinstance(event, RunCompleted)]
    assert len({reply.turn.conversation for reply in replies}) == 3
    assert {reply.turn.parent for reply in replies} == {first.turn.id}
    assert len(await chat.store.family(chat.id)) == 3


async def test_the_same_key_is_answered_once(url: str) -> None:
    model = ScriptedModel()
    chat = Conversation(model, store=url)
    replies = await asyncio.gather(*(chat.asend("order a pizza", key="order-1") for _ in range(5)))
    assert len({reply.turn.id for reply in replies}) == 1
    assert len(model.requests) == 1
    events = [event async for event in chat.astream("order a pizza", key="order-1")]
    assert isinstance(events[-1], RunCompleted)
    assert events[-1].reply == replies[0]
    assert (await chat.asend("and another", key="order-2")).turn.id != replies[0].turn.id


def test_a_key_whose_turn_failed_is_asked_again(url: str) -> None:
    chat = Conversation(fails_once(ModelError("down")), store=url)
    with pytest.raises(ModelError):
        chat.send("hello", key="k")
    assert chat.send("hello", key="k").text == "heard hello"


def test_a_conversation_is_found_by_its_user(url: str) -> None:
    chat = Conversation(ScriptedModel(), store=url, user="alice")
    chat.send("hi")
    fork = chat.fork()
    found = asyncio.run(chat.store.conversations(filter=Filter(user="alice")))
    assert {record.id for record in found} == {chat.id, fork.id}


async def test_a_conversation_may_refuse_to_queue(url: str) -> None:
    chat = Conversation(ScriptedModel(delay_s=0.02), store=url, on_conflict="reject")
    outcomes = await asyncio.gather(*(chat.asend(f"{n}") for n in range(5)), return_exceptions=True)
    assert sum(isinstance(outcome, ConversationBusy) for outcome in outcomes) == 4
    assert len(await chat.aturns()) == 1


def test_threads_may_share_a_conversation(url: str) -> None:
    chat = Conversation(ScriptedModel(), store=url)
    threads = [threading.Thread(target=lambda n=n: chat.send(f"{n}")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(chat.turns) == 8


# --- cost -------------------------------------------------------------------------------------------------------------


def test_a_turn_is_encoded_once(url: str) -> None:
    encoded: list[int] = []

    class Encoding(ScriptedModel):
        def encode(self, messages: Sequence[Message]) -> bytes:
            encoded.append(len(messages))
            return b"x"

        async def answer(self, request: Request):  # type: ignore[no-untyped-def]
            request.path.encoded("key", self.encode)
            async for item in super().answer(request):
                yield item

    chat = Conversation(Encoding(), store=url)
    for _ in range(20):
        chat.send("hi")
    chat.edit(chat.turns[10].id, "hi")
    chat.send("hi")
    assert encoded == [2] * 20  # each of the 19 turns before the last once, and the edited one
