"""What the server does for a request, as far as it can be counted without a clock: the statements that SQLite runs, how
far its virtual machine comes in them, and what is looked up among the paths at hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import pytest

from multiturn.path import Path
from multiturn.server.observing.visits import VISIT
from multiturn.stores.sqlite.schema import Connection
from serving import Server

Work: TypeAlias = Callable[[Connection], Any]
_LITERAL = re.compile(r"[xX]?'(?:[^']|'')*'|\b\d+(?:\.\d+)?(?:e[+-]?\d+)?\b")


class Job(NamedTuple):
    """What one transaction did for a request. `steps` holds one number, which grows as the virtual machine goes on."""

    worker: str
    statements: list[str]
    steps: list[int]


class Done(NamedTuple):
    """All that was done: jobs, in order, and for each look among the paths the tenant and whether there was one."""

    jobs: list[Job]
    looks: list[tuple[str, bool]]


@contextmanager
def recorded(server: Server) -> Iterator[Done]:
    """What is done meanwhile for requests, while they are answered; what the server does by itself is left out."""
    done, paths = Done([], []), server.service.exchanges.paths
    get, store = paths.get, server.service.store

    def look(tenant: str, head: str) -> Path | None:
        found = get(tenant, head)
        done.looks.append((tenant, found is not None))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "get", look)
        for name in ("_reader", "_writer"):
            worker: Any = getattr(store, name)
            for method in ("do", "submit"):
                patch.setattr(worker, method, _watched(getattr(worker, method), name, done.jobs))
        yield done


def _watched(method: Callable[..., Any], worker: str, jobs: list[Job]) -> Callable[..., Any]:
    def called(work: Work, **options: Any) -> Any:
        visit = VISIT.get()
        is_asked_for = visit is not None and not visit.is_over
        return method(_seen(work, worker, jobs) if is_asked_for else work, **options)

    return called


def _seen(work: Work, worker: str, jobs: list[Job]) -> Work:
    job = Job(worker, [], [0])
    jobs.append(job)

    def step() -> int:
        job.steps[0] += 1
        return 0

    def run(db: Connection) -> Any:
        job.statements.clear()  # a job that fails beside others is done again
        job.steps[0] = 0
        db.set_trace_callback(lambda statement: job.statements.append(_LITERAL.sub("?", statement)))
        db.set_progress_handler(step, 1)
        try:
            return work(db)
        finally:
            db.set_progress_handler(None, 0)
            db.set_trace_callback(None)

    return run
