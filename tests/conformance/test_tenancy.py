"""Two tenants on one server. Whatever one of them has, does not exist for the other: not by any id, on any route, in no
list. What is answered is, word for word, what is answered for an id that there never was."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from xai_sdk.chat import chat_pb2, user

from conformance.tenants import ASKS, CORE, GRPC, METHODS, SECRET, WORDS, Ask, Owned, Tenants, core, never, paths_of
from multiturn.formats.xai.wire import chat_pb2 as wire
from multiturn.server.openapi import document
from observed import logged, page


@pytest.mark.parametrize("ask", ASKS, ids=[ask.name for ask in ASKS])
def test_a_foreign_id_is_one_that_never_was(tenants: Tenants, owned: Owned, ask: Ask) -> None:
    for id in ask.ids(owned):
        foreign, absent = ask.ask(tenants, id), ask.ask(tenants, never(id))
        assert foreign == absent, id
        assert foreign.status == ask.status
        assert SECRET not in foreign.text


def test_every_method_of_the_grpc_service_is_asked() -> None:
    asked = {ask.name.removeprefix("gRPC ").partition(":")[0] for ask in GRPC}
    methods = {method.name for method in wire.DESCRIPTOR.services_by_name["Chat"].methods}
    assert methods - asked == {"CompactContext"}  # which takes no id


def test_the_owner_still_has_all_of_it(tenants: Tenants, owned: Owned) -> None:
    for path in (
        *(f"/v1/responses/resp_{turn}" for turn in owned.turns.values()),
        f"/v1/responses/resp_{owned.turns['response']}/input_items",
        f"/v1/conversations/{owned.conversation}/items/{owned.item}",
        f"/v1/chat/completions/chatcmpl-{owned.turns['completion']}/messages",
    ):
        answer = tenants.owner.get(path)
        assert answer.status_code == 200, answer.text
    running = tenants.owner.get(f"/v1/responses/resp_{owned.turns['running']}").json()
    assert running["status"] == "in_progress"  # nobody could stop it
    assert tenants.owner.get(f"/v1/conversations/{owned.conversation}").json()["metadata"] == {"of": SECRET}
    completion = tenants.owner.get(f"/v1/chat/completions/chatcmpl-{owned.turns['completion']}").json()
    assert completion["metadata"] == {"of": SECRET}
    for name in ("xai", "deferred"):
        (stored,) = tenants.owner_grpc.chat.get_stored_completion(owned.turns[name])
        assert SECRET in stored.content


def test_the_same_idempotency_key_of_two_tenants_makes_two_responses(tenants: Tenants, owned: Owned) -> None:
    headers, asked = {"idempotency-key": "same"}, {"model": "m", "input": f"The {SECRET}"}
    mine = tenants.owner.post("/v1/responses", json=asked, headers=headers).json()
    theirs = tenants.other.post("/v1/responses", json=asked, headers=headers).json()
    again = tenants.owner.post("/v1/responses", json=asked, headers=headers).json()
    assert mine == again
    assert mine["id"] != theirs["id"]


# --- everything else ------------------------------------------------------------------------------------------------


def test_lists_and_histories_hold_nothing_of_others(tenants: Tenants, owned: Owned) -> None:
    assert tenants.other.get("/v1/chat/completions").json()["data"] == []
    assert tenants.other.get("/v1/chat/completions", params={"metadata[of]": SECRET}).json()["data"] == []
    completion = tenants.owner.get(f"/v1/chat/completions/chatcmpl-{owned.turns['completion']}").json()
    said: Any = [{"role": "user", "content": WORDS}, completion["choices"][0]["message"]]
    body = {"model": "m", "messages": [*said, {"role": "user", "content": "Go on"}], "store": True}
    mine, theirs = (each.post("/v1/chat/completions", json=body).json()["id"] for each in tenants[1:3])
    store = tenants.server.service.store
    for tenant, id, turns in (("acme", mine, 2), ("umbrella", theirs, 1)):
        path = tenants.server.run(store.tenant(tenant).path(id.replace("chatcmpl-", "turn_")))
        assert len(path) == turns  # only who has stored it goes on from it


def test_a_history_told_over_grpc_is_gone_on_from_by_its_owner_alone(tenants: Tenants) -> None:
    chat = tenants.owner_grpc.chat.create(model="m", messages=[user(f"Only here: the {SECRET}.")], store_messages=True)
    chat.append(chat.sample()).append(user("Go on"))
    store = tenants.server.service.store
    for client, tenant, turns in ((tenants.owner_grpc, "acme", 2), (tenants.other_grpc, "umbrella", 1)):
        again = client.chat.create(model="m", messages=chat.messages, store_messages=True).sample()
        assert len(tenants.server.run(store.tenant(tenant).path(f"turn_{again.id}"))) == turns


def test_a_compaction_holds_what_it_stands_for_and_leads_to_nobodys_turns(tenants: Tenants) -> None:
    """It is a text that the client carries, which says all that it says itself."""
    compacted = tenants.owner_grpc.chat.compact_context("m", [user("My name is Alice.")])
    blob = chat_pb2.Message(role="ROLE_USER", encrypted_content=compacted.encrypted_content)
    chat = tenants.other_grpc.chat.create(model="m", messages=[blob, user("Go on")], store_messages=True)
    id = f"turn_{chat.sample().id}"
    (turn,) = tenants.server.run(tenants.server.service.store.tenant("umbrella").path(id))
    assert turn.parent is None


def test_figures_logs_and_errors_name_neither_tenants_nor_keys_nor_words(tenants: Tenants, owned: Owned) -> None:
    with logged() as written:
        tenants.owner.post("/v1/responses", json={"model": "m", "input": SECRET})
        tenants.other.post("/v1/responses", json={"model": "m", "input": "x", "temperature": SECRET})
        tenants.other.post("/v1/responses", content=b'{"input": "' + SECRET.encode())
        tenants.owner_grpc.chat.create(model="m", messages=[user(SECRET)], store_messages=True).sample()
        for ask in ASKS:
            ask.ask(tenants, ask.ids(owned)[0])
        figures = page(tenants.server)
    log = written.getvalue()
    for route in ("/v1/responses", "/xai_api.Chat/GetStoredCompletion"):
        assert route in log
        assert route in figures
    for text in (figures, log):
        assert SECRET not in text
        assert not [key for key in tenants.keys if key in text]
        assert not [id for id in (*owned.turns.values(), core(owned.conversation)) if id in text]
    assert "acme" not in figures
    assert "umbrella" not in figures
    assert not CORE.search(figures)


def test_a_key_that_is_not_known_opens_nothing(tenants: Tenants, owned: Owned) -> None:
    for headers in ({}, {"authorization": "Bearer mt-wrong"}, {"x-api-key": "mt-wrong"}):
        with httpx2.Client(base_url=tenants.server.url, headers=headers) as stranger:
            for path, operations in document()["paths"].items():
                for method in METHODS:
                    if method in operations and "security" not in operations[method]:
                        answer = stranger.request(method, paths_of(path, owned)[0] if "{" in path else path)
                        assert answer.status_code == 401, (method, path, answer.text)
                        assert "error" in answer.json()
