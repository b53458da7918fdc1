"""Calling tools: time, cancellation, many at once, contexts, and what no tool can do to the run."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from multiturn.messages import ToolCall
from multiturn.tools import ToolContext, ToolFailed, by_name, call, call_all, tool
from tools.asking import ask, asked

PATIENCE_S = 10.0
WHO = contextvars.ContextVar("WHO", default="nobody")


def context_of(call: ToolCall) -> ToolContext:
    return ToolContext(call_id=call.call_id)


def calls_of(name: str, count: int) -> list[ToolCall]:
    return [asked(name, {"n": n}, call_id=f"call_{n}") for n in range(count)]


async def results_of(func: Callable[..., Any], count: int, **options: Any) -> list[tuple[int, str]]:
    made = tool(func, name="it")
    found = call_all(by_name([made]), calls_of("it", count), context_of, **options)
    return [(n, result.text) async for n, result in found]


class Gate:
    """Lets everybody through once `count` are there, so that nobody gets through unless all run side by side."""

    def __init__(self, count: int) -> None:
        self.barrier = threading.Barrier(count)
        self.waiting = 0
        self.opened = asyncio.Event()
        self.count = count

    def through(self, n: int) -> int:
        self.barrier.wait(PATIENCE_S)
        return n

    async def through_async(self, n: int) -> int:
        self.waiting += 1
        if self.waiting == self.count:
            self.opened.set()
        await asyncio.wait_for(self.opened.wait(), PATIENCE_S)
        return n


# --- the result -----------------------------------------------------------------------------------------------------


async def test_a_result_carries_the_calls_id_and_name() -> None:
    result = await ask(tool(lambda: "x", name="give"))
    assert (result.call_id, result.name, result.is_error) == ("call_1", "give", False)


async def test_a_tool_knows_its_run_and_shares_its_state() -> None:
    @tool
    def count(context: ToolContext) -> str:
        context.state["seen"] = context.state.get("seen", 0) + 1
        return f"{context.call_id} {context.conversation} {context.user} {context.attempt} {context.cancelled}"

    state: dict[str, Any] = {}
    for n in (1, 2):
        context = ToolContext(call_id="c", conversation="conv_1", user="ann", state=state, attempt=n)
        result = await call({"count": count}, asked("count"), context)
        assert result.text == f"c conv_1 ann {n} False"
    assert state == {"seen": 2}
    assert ToolContext(call_id="a").state is not ToolContext(call_id="b").state


# --- where it runs --------------------------------------------------------------------------------------------------


async def test_sync_functions_run_in_threads_and_async_ones_on_the_loop() -> None:
    def here() -> bool:
        return threading.current_thread() is threading.main_thread()

    async def here_async() -> bool:
        return asyncio.get_running_loop() is not None and here()

    assert (await ask(here)).text == "false"
    assert (await ask(here_async)).text == "true"


async def test_a_sync_generator_runs_in_the_thread_too() -> None:
    def lines() -> Any:
        yield threading.current_thread().name

    assert (await ask(lines)).text == "multiturn-tool"


async def test_context_variables_reach_the_tool_and_stay_there() -> None:
    def who() -> str:
        before = WHO.get()
        WHO.set("the tool")
        return before

    WHO.set("ann")
    assert (await ask(who)).text == "ann"
    assert WHO.get() == "ann"
    assert sorted(await results_of(lambda n: WHO.get(), 2)) == [(0, "ann"), (1, "ann")]


async def test_the_loop_goes_on_while_a_tool_blocks() -> None:
    released = threading.Event()
    task = asyncio.create_task(ask(tool(lambda: released.wait(PATIENCE_S), name="block")))
    await asyncio.sleep(0.01)
    assert not task.done()
    released.set()
    assert (await task).text == "true"


# --- many at once ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["through", "through_async"])
async def test_fifty_calls_run_side_by_side_and_each_result_has_its_number(kind: str) -> None:
    found = await results_of(getattr(Gate(50), kind), 50)
    assert sorted(found) == [(n, str(n)) for n in range(50)]


async def test_results_come_the_moment_they_exist() -> None:
    released = [asyncio.Event() for _ in range(3)]

    async def wait(n: int) -> int:
        await released[n].wait()
        return n

    found = call_all(by_name([wait]), calls_of("wait", 3), context_of)
    for n in (2, 0, 1):
        released[n].set()
        assert (await anext(found))[0] == n
    with pytest.raises(StopAsyncIteration):
        await anext(found)


async def test_one_after_the_other_if_one_wants() -> None:
    running: list[int] = []

    async def alone(n: int) -> int:
        running.append(n)
        await asyncio.sleep(0)
        assert running == [n]
        running.remove(n)
        return n

    assert await results_of(alone, 5, parallel=False) == [(n, str(n)) for n in range(5)]


async def test_one_failure_is_no_matter_to_the_others() -> None:
    async def odd(n: int) -> int:
        if n % 2:
            raise ValueError(n)
        return n

    assert sorted(await results_of(odd, 4)) == [(0, "0"), (1, "ValueError: 1"), (2, "2"), (3, "ValueError: 3")]


async def test_no_calls_give_no_results() -> None:
    assert await results_of(lambda n: n, 0) == []
    assert await results_of(lambda n: n, 1) == [(0, "0")]


async def test_an_error_of_the_callers_own_comes_through_and_leaves_nothing_running() -> None:
    ended: list[int] = []

    async def hang(n: int) -> None:
        try:
            await asyncio.sleep(PATIENCE_S)
        finally:
            ended.append(n)

    def context(call: ToolCall) -> ToolContext:
        if call.call_id == "call_2":
            raise LookupError("no context")
        return context_of(call)

    async def read() -> None:
        async for _ in call_all(by_name([hang]), calls_of("hang", 3), context):
            pass

    with pytest.raises(LookupError, match="no context"):
        await read()
    assert ended == []  # neither had begun


# --- time -----------------------------------------------------------------------------------------------------------


async def test_an_async_tool_that_hangs_is_cancelled_and_the_model_is_told() -> None:
    seen: list[str] = []

    async def hang(context: ToolContext) -> None:
        try:
            await asyncio.sleep(PATIENCE_S)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        finally:
            seen.append("cleaned up")

    result = await ask(tool(hang, timeout_s=0.05))
    assert (result.text, result.is_error) == ("hang took longer than 0.05 s and was given up", True)
    assert seen == ["cancelled", "cleaned up"]


async def test_a_sync_tool_that_hangs_is_left_behind_and_can_see_it() -> None:
    released, saw = threading.Event(), threading.Event()

    def hang(context: ToolContext) -> str:
        released.wait(PATIENCE_S)
        if context.cancelled:
            saw.set()
        return "too late"

    begun = time.monotonic()
    result = await ask(tool(hang, timeout_s=0.05))
    assert time.monotonic() - begun < PATIENCE_S / 2
    assert (result.text, result.is_error) == ("hang took longer than 0.05 s and was given up", True)
    released.set()
    assert await asyncio.to_thread(saw.wait, PATIENCE_S)


async def test_an_endless_async_generator_is_ended() -> None:
    async def tick() -> AsyncIterator[str]:
        while True:
            yield "tick"
            await asyncio.sleep(0.001)

    assert "took longer" in (await ask(tool(tick, timeout_s=0.05))).text


async def test_what_is_in_time_is_not_cut_short() -> None:
    async def quick() -> str:
        await asyncio.sleep(0.01)
        return "in time"

    assert (await ask(tool(quick, timeout_s=PATIENCE_S))).text == "in time"
    assert (await ask(tool(lambda: "in time", name="quick", timeout_s=PATIENCE_S))).text == "in time"


async def test_a_tools_own_timeout_is_its_own() -> None:
    async def slow() -> None:
        await asyncio.wait_for(asyncio.sleep(PATIENCE_S), 0.01)

    result = await ask(tool(slow, timeout_s=PATIENCE_S))
    assert (result.text, result.is_error) == ("TimeoutError", True)


# --- cancelling -----------------------------------------------------------------------------------------------------


async def cancelled(work: asyncio.Task[Any]) -> None:
    """Cancel it and see that it ends as cancelled, soon."""
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(work), PATIENCE_S / 2)


async def test_cancelling_the_run_cancels_an_async_tool() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()
    context = ToolContext(call_id="c")

    async def hang() -> None:
        begun.set()
        try:
            await asyncio.sleep(PATIENCE_S)
        finally:
            ended.set()

    task = asyncio.create_task(call(by_name([hang]), asked("hang"), context))
    await begun.wait()
    await cancelled(task)
    assert ended.is_set()
    assert context.cancelled


async def test_cancelling_the_run_leaves_a_thread_behind() -> None:
    begun, released = threading.Event(), threading.Event()
    context = ToolContext(call_id="c")

    def hang() -> None:
        begun.set()
        released.wait(PATIENCE_S)

    task = asyncio.create_task(call(by_name([hang]), asked("hang"), context))
    await asyncio.to_thread(begun.wait, PATIENCE_S)
    await cancelled(task)
    assert context.cancelled
    released.set()


@pytest.mark.parametrize("answer", ["swallow", "turn into an error"])
async def test_a_tool_cannot_swallow_that_the_run_is_cancelled(answer: str) -> None:
    begun = asyncio.Event()

    async def stubborn() -> str:
        begun.set()
        try:
            await asyncio.sleep(PATIENCE_S)
        except asyncio.CancelledError:
            if answer == "swallow":
                return "here I am"
            raise ValueError("no") from None
        return ""

    task = asyncio.create_task(ask(stubborn))
    await begun.wait()
    await cancelled(task)


async def test_what_is_cancelled_inside_of_a_tool_is_the_tools_error() -> None:
    async def clumsy() -> None:
        inner = asyncio.ensure_future(asyncio.sleep(PATIENCE_S))
        inner.cancel()
        await inner

    result = await ask(clumsy)
    assert (result.text, result.is_error) == ("clumsy was cancelled from inside", True)


async def test_cancelling_many_ends_them_all() -> None:
    ended: list[int] = []
    all_begun = asyncio.Event()

    async def hang(n: int) -> None:
        if n == 4:
            all_begun.set()
        try:
            await asyncio.sleep(PATIENCE_S)
        finally:
            ended.append(n)

    task = asyncio.create_task(results_of(hang, 5))
    await all_begun.wait()
    await cancelled(task)
    assert sorted(ended) == list(range(5))


async def test_closing_the_generator_early_ends_the_rest() -> None:
    ended: list[int] = []

    async def hang(n: int) -> None:
        try:
            await asyncio.sleep(PATIENCE_S if n else 0)
        finally:
            ended.append(n)

    async with aclosing(call_all(by_name([hang]), calls_of("hang", 3), context_of)) as found:
        async for n, _ in found:
            assert n == 0
            break
    assert sorted(ended) == [0, 1, 2]


# --- what ends the program ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("is_async", [True, False])
def test_what_is_to_end_the_program_does(error: type[BaseException], is_async: bool) -> None:
    def stop() -> None:
        raise error

    async def stop_async() -> None:
        raise error

    with pytest.raises(error):
        asyncio.run(ask(stop_async if is_async else stop))


async def test_fatal_looking_exceptions_are_results() -> None:
    def deep() -> None:
        deep()

    result = await ask(deep)
    assert result.is_error
    assert result.text.startswith("RecursionError")


async def test_a_tool_may_fail_in_its_own_words() -> None:
    async def find(city: str) -> None:
        raise ToolFailed(f"there is no city {city!r}; ask for its country")

    result = await ask(find, {"city": "Atlantis"})
    assert (result.text, result.is_error) == ("there is no city 'Atlantis'; ask for its country", True)


async def test_a_tool_may_call_another() -> None:
    @tool
    def inner() -> str:
        return "inner"

    async def outer() -> str:
        return (await ask(inner)).text + inner()

    assert (await ask(outer)).text == "innerinner"
