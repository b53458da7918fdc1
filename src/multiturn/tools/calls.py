"""Calling tools. Whatever a tool does, and whatever a model asks for, there is a result that the model can read."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from multiturn.messages import ToolCall, ToolResult
from multiturn.schemas.mismatch import there_are
from multiturn.tools.arguments import InvalidArguments
from multiturn.tools.context import ToolContext
from multiturn.tools.failures import ToolFailed, error_text
from multiturn.tools.results import ResultPart, parts_of
from multiturn.tools.threads import in_thread
from multiturn.tools.tool import MAX_RESULT_BYTES, AnyTool


async def call(tools: Mapping[str, AnyTool], call: ToolCall, context: ToolContext) -> ToolResult:
    """What came of the call. A tool that is not there, arguments that do not fit, an exception and a tool that took
    too long give a result with `is_error` that says so. Async functions run here, sync ones in a thread.

    Raises nothing but `KeyboardInterrupt` and `SystemExit` of the tool's, and `CancelledError` when the task that
    awaits it is cancelled: an async tool then is cancelled too, a thread left behind. `context.cancelled` is set then.
    """
    tool = tools.get(call.name)
    if tool is None:
        outcome = _told(f"there is no tool {call.name!r}; {there_are(tools)}")
    else:
        try:
            work = tool.bind(tool.read(call.arguments), context)
        except (InvalidArguments, ToolFailed) as error:
            outcome = _told(str(error))
        else:
            outcome = await _in_time(tool, work, context)
    return ToolResult(call.call_id, outcome.parts, name=call.name, is_error=outcome.is_error)


async def call_all(
    tools: Mapping[str, AnyTool],
    calls: Sequence[ToolCall],
    make_context: Callable[[ToolCall], ToolContext],
    *,
    parallel: bool = True,
    then: Callable[[int, ToolResult], Awaitable[None]] | None = None,
) -> AsyncGenerator[tuple[int, ToolResult], None]:
    """Each call's number in `calls` and its result, the moment it exists: in any order where they run side by side,
    one after the other in the order of `calls` without `parallel`. Closing the generator early, or cancelling the task
    that reads it, cancels the calls that still run, as `call` says. Side by side, `then` is awaited with each result
    as soon as it exists, whether or not somebody reads on."""
    if not parallel or len(calls) < 2:
        for n, each in enumerate(calls):
            yield n, await call(tools, each, make_context(each))
        return
    ended: asyncio.Queue[int] = asyncio.Queue()
    tasks: list[asyncio.Task[ToolResult]] = []
    try:
        for n, each in enumerate(calls):
            tasks.append(asyncio.create_task(_called(tools, each, make_context(each), n, then)))
            tasks[n].add_done_callback(lambda _, n=n: ended.put_nowait(n))  # type: ignore[misc]
        for _ in tasks:
            n = await ended.get()
            yield n, tasks[n].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _called(
    tools: Mapping[str, AnyTool],
    asked: ToolCall,
    context: ToolContext,
    n: int,
    then: Callable[[int, ToolResult], Awaitable[None]] | None,
) -> ToolResult:
    result = await call(tools, asked, context)
    if then is not None:
        await then(n, result)
    return result


# --- one call -------------------------------------------------------------------------------------------------------


class _Outcome(NamedTuple):
    parts: tuple[ResultPart, ...]
    is_error: bool = False


def _told(text: str, limit_bytes: int = MAX_RESULT_BYTES) -> _Outcome:
    return _Outcome(parts_of(text, limit_bytes=limit_bytes), is_error=True)


async def _in_time(tool: AnyTool, work: Callable[[], object], context: ToolContext) -> _Outcome:
    task = asyncio.current_task()
    assert task is not None  # a coroutine without a task cannot await
    cancels, cancelled = task.cancelling(), None
    try:
        async with asyncio.timeout(tool.timeout_s):
            outcome = await _ran(tool, work)
    except TimeoutError:  # ours: the tool's own is among its outcomes
        context.cancelled = True
        outcome = _told(f"{tool.name} took longer than {tool.timeout_s:g} s and was given up")
    except asyncio.CancelledError as error:
        outcome, cancelled = _told(f"{tool.name} was cancelled from inside"), error
    if task.cancelling() > cancels:  # the run was cancelled, whatever the tool made of it
        context.cancelled = True
        raise cancelled or asyncio.CancelledError
    return outcome


async def _ran(tool: AnyTool, work: Callable[[], object]) -> _Outcome:
    try:
        value = work() if tool.is_async else await in_thread(lambda: _begun(tool, work))
        return value if isinstance(value, _Outcome) else _outcome(tool, await _awaited(value))
    except Exception as error:
        return _failed(tool, error)


def _begun(tool: AnyTool, work: Callable[[], object]) -> object:
    """In a thread: the outcome, or what has to be awaited for it."""
    try:
        value = work()
        to_await = inspect.isawaitable(value) or isinstance(value, AsyncIterable)
        return value if to_await else _outcome(tool, value)
    except Exception as error:
        return _failed(tool, error)


async def _awaited(value: object) -> object:
    if inspect.isawaitable(value):
        value = await value
    return iter([item async for item in value]) if isinstance(value, AsyncIterable) else value


def _outcome(tool: AnyTool, value: object) -> _Outcome:
    return _Outcome(parts_of(value, limit_bytes=tool.max_result_bytes, says_none=tool.says_none))


def _failed(tool: AnyTool, error: Exception) -> _Outcome:
    return _told(error_text(error, tool.errors), tool.max_result_bytes)
