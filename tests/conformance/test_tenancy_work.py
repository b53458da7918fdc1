"""That somebody else has what is asked for cannot be told by how long the answer takes, for the server does the same as
for what never was: the same statements, as many steps of SQLite's in each, and the same looks into its caches."""

from __future__ import annotations

import statistics
import time
from typing import Any

import pytest
from xai_sdk.chat import user

from conformance.tenants import ASKS, WORDS, Ask, Owned, Tenants, never
from conformance.working import Done, recorded


def work_of(tenants: Tenants, ask: Ask, id: str) -> Done:
    with recorded(tenants.server) as done:
        ask.ask(tenants, id)
    return done


@pytest.mark.parametrize("ask", ASKS, ids=[ask.name for ask in ASKS])
def test_a_foreign_id_makes_the_work_of_one_that_never_was(tenants: Tenants, owned: Owned, ask: Ask) -> None:
    for id in ask.ids(owned):
        foreign, absent = work_of(tenants, ask, id), work_of(tenants, ask, never(id))
        assert foreign == absent, id
        assert foreign.jobs
        assert {tenant for tenant, _ in foreign.looks} <= {"umbrella"}


def test_the_owners_work_is_another(tenants: Tenants, owned: Owned) -> None:
    """What is counted does tell what is there from what is not."""
    path = f"/v1/responses/resp_{owned.turns['response']}"
    done = []
    for client in (tenants.owner, tenants.other):
        with recorded(tenants.server) as each:
            client.get(path)
        done.append(each)
    assert done[0].jobs[0].statements[0] == done[1].jobs[0].statements[0]
    assert done[0].jobs[0].steps[0] > done[1].jobs[0].steps[0]
    with recorded(tenants.server) as followed:
        asked = {"model": "m", "input": "Go on", "previous_response_id": f"resp_{owned.turns['xai']}"}
        tenants.owner.post("/v1/responses", json=asked)
    assert ("acme", True) in followed.looks


def test_paths_at_hand_are_a_tenants_own(tenants: Tenants, owned: Owned) -> None:
    paths, head = tenants.server.service.exchanges.paths, f"turn_{owned.turns['in a conversation']}"
    assert paths.get("acme", head) is not None
    assert paths.get("umbrella", head) is None
    assert paths.get("", head) is None


def history(first: str) -> list[Any]:
    said = [("user", first), ("assistant", f"You said: {first}"), ("user", "Go on")]
    return [{"role": role, "content": text} for role, text in said]


def test_a_foreign_history_makes_the_work_of_one_that_nobody_told(tenants: Tenants, owned: Owned) -> None:
    def over_http(first: str) -> None:
        asked = {"model": "m", "messages": history(first), "store": True}
        assert tenants.other.post("/v1/chat/completions", json=asked).status_code == 200

    def over_grpc(first: str) -> None:
        messages = [user(each["content"]) for each in history(first)]
        tenants.other_grpc.chat.create(model="m", messages=messages, store_messages=True).sample()

    for tell in (over_http, over_grpc):
        done = []
        for first in (WORDS, WORDS[::-1]):
            with recorded(tenants.server) as each:
                tell(first)
            done.append([(job.worker, job.statements[0]) for job in each.jobs if job.worker == "_reader"])
        assert done[0] == done[1]


@pytest.mark.torture
@pytest.mark.parametrize("ask", ASKS, ids=[ask.name for ask in ASKS])
def test_it_takes_as_long(tenants: Tenants, owned: Owned, ask: Ask) -> None:
    times: dict[bool, list[float]] = {True: [], False: []}
    id = ask.ids(owned)[0]
    for n in range(200):
        is_foreign = n % 2 == 0
        asked = id if is_foreign else never(id)
        began = time.perf_counter()
        ask.ask(tenants, asked)
        times[is_foreign].append(time.perf_counter() - began)
    foreign, absent = (statistics.median(each) * 1e6 for each in times.values())
    print(f"{ask.name}: {foreign:.0f} us where another has it, {absent:.0f} us where nobody has")
    assert 0.5 < foreign / absent < 2
