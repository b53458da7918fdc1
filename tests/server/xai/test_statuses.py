"""What a client of the gRPC door is told when something is wrong, and what is stored then: gRPC's statuses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
import pytest
from xai_sdk.chat import chat_pb2, image, user
from xai_sdk.tools import web_search

from multiturn.turns import TurnStatus
from upstream import (
    Upstream,
    drop,
    reply,
    status,
)
from xai_clients import Door, client_of, refused

# --- what cannot be asked -------------------------------------------------------------------------------------------

NESTED = "[" * 200 + "]" * 200
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"model": ""}, "model: say which model is to answer"),
    ({"messages": [chat_pb2.Message(role="ROLE_USER")]}, "messages[0].content: each message must have at least one"),
    ({"messages": [user(image("data:image/png;base64,%%"))]}, "messages[0].content[0]: not base64"),
    ({"tools": [web_search()]}, "tools[0]: web_search runs at xAI, and 'm' does not"),
    ({"logprobs": True}, "logprobs: 'm' cannot do this; leave it out"),
    ({"tools": [chat_pb2.Tool(function={"name": "f", "parameters": NESTED})]}, "nested more than 100 deep"),
    (
        {"response_format": {"format_type": "FORMAT_TYPE_JSON_SCHEMA", "schema": "{"}},
        "response_format.schema: not JSON",
    ),
]


@pytest.mark.parametrize(("asked", "says"), WRONG, ids=[row[1].partition(":")[0] for row in WRONG])
def test_what_cannot_be_asked_is_refused_and_nothing_is_stored(
    client: Any, door: Door, asked: dict[str, Any], says: str
) -> None:
    usual = {"model": "m", "messages": [user("hi")], "store_messages": True}
    request, stub = chat_pb2.GetCompletionsRequest(**{**usual, **asked}), client.chat._stub
    for method in (stub.GetCompletion, stub.StartDeferredCompletion, stub.GetCompletionChunk):
        code, details = refused(partial(answered, method, request))
        assert code == "INVALID_ARGUMENT"
        assert says in details
    assert door.turns() == []


def answered(method: Any, request: Any) -> Any:
    """The reply, or all chunks of one."""
    reply = method(request)
    return list(reply) if hasattr(reply, "__next__") else reply


def test_no_messages_and_no_choices_are_refused(client: Any) -> None:
    ask = client.chat._stub.GetCompletion
    assert refused(lambda: ask(chat_pb2.GetCompletionsRequest(model="m")))[0] == "INVALID_ARGUMENT"
    none = chat_pb2.GetCompletionsRequest(model="m", messages=[user("hi")], n=0)
    assert refused(lambda: ask(none)) == ("INVALID_ARGUMENT", "n: must be at least 1, not 0")


def test_bytes_that_are_no_request_are_refused(door: Door) -> None:
    with grpc.insecure_channel(door.host) as channel:
        for method in ("GetCompletion", "GetDeferredCompletion", "GetStoredCompletion", "CompactContext"):
            code, details = refused(partial(channel.unary_unary(f"/xai_api.Chat/{method}"), b"\xff\xff"))
            assert code == "INVALID_ARGUMENT"
            assert details.startswith("the request is not a ")
        assert refused(lambda: channel.unary_unary("/xai_api.Chat/Sing")(b""))[0] == "UNIMPLEMENTED"


def test_a_model_that_leads_nowhere_is_not_found(open_door: Callable[..., Door], upstream: Upstream) -> None:
    from multiturn.server.upstreams import Upstream as Place

    client = client_of(open_door(upstreams=(Place(name="u", urls=(upstream.url,), models=("tiny",)),)).host)
    code, details = refused(client.chat.create(model="tini", messages=[user("hi")]).sample)
    assert (code, details) == ("NOT_FOUND", "there is no model 'tini' here; did you mean 'tiny'?")
    client.close()


def test_a_long_error_in_any_alphabet_still_arrives(client: Any) -> None:
    wrong = chat_pb2.Tool(function={"name": "表" * 5000, "parameters": "{"})
    code, details = refused(client.chat.create(model="m", messages=[user("hi")], tools=[wrong]).sample)
    assert code == "INVALID_ARGUMENT"
    assert details.startswith("tools[表")


IDS = ["", "resp_x", "a" * 26, "../x", "a\0b", "ü", "x" * 5000]


@pytest.mark.parametrize("id", IDS, ids=["empty", "prefixed", "unknown", "path", "null", "letter", "long"])
def test_an_id_that_nothing_has_is_not_found(client: Any, id: str) -> None:
    following = client.chat.create(model="m", messages=[user("hi")], store_messages=True, previous_response_id=id)
    asked: list[Callable[[], object]] = [
        lambda: client.chat.get_stored_completion(id),
        lambda: client.chat.delete_stored_completion(id),
        lambda: client.chat._stub.GetDeferredCompletion(fetching(id)),
        *([following.sample] if id else []),  # an empty one is none
    ]
    assert [refused(ask) for ask in asked] == [("NOT_FOUND", "Response not found")] * len(asked)


def fetching(id: str) -> Any:
    from xai_sdk.proto import deferred_pb2

    return deferred_pb2.GetDeferredRequest(request_id=id)


# --- how much may be asked ------------------------------------------------------------------------------------------


def test_requests_have_limits_as_those_of_http(open_door: Callable[..., Door]) -> None:
    from multiturn.server.settings.values import Limits

    door = open_door(limits=Limits(body_bytes=100_000, items=3))
    client = client_of(door.host)
    code, details = refused(client.chat.create(model="m", messages=[user("x" * 200_000)]).sample)
    assert (code, "larger than max" in details) == ("RESOURCE_EXHAUSTED", True)
    code, details = refused(client.chat.create(model="m", messages=[user("x")] * 4).sample)
    assert code == "INVALID_ARGUMENT"
    assert details.startswith("the request holds 4 items, and may hold 3")
    code, _ = refused(lambda: client.chat.compact_context("m", [user("x")] * 4))
    assert code == "INVALID_ARGUMENT"
    assert client.chat.create(model="m", messages=[user("x" * 50_000)]).sample().content
    client.close()


def test_a_packed_request_is_as_large_as_it_is_unpacked(open_door: Callable[..., Door]) -> None:
    from multiturn.server.settings.values import Limits

    door = open_door(limits=Limits(body_bytes=100_000))
    request = chat_pb2.GetCompletionsRequest(model="m", messages=[user("x" * 10_000_000)]).SerializeToString()
    with grpc.insecure_channel(door.host, compression=grpc.Compression.Gzip) as channel:
        code, details = refused(lambda: channel.unary_unary("/xai_api.Chat/GetCompletion")(request))
    assert (code, details) == ("RESOURCE_EXHAUSTED", "Decompressed message larger than max")
    assert door.turns() == []


def test_an_answer_may_take_only_so_long(open_door: Callable[..., Door], upstream: Upstream) -> None:
    from multiturn.server.settings.values import Limits
    from multiturn.server.upstreams import Upstream as Place

    upstream.script(reply("word " * 200, streams=True, delay_s=0.02))
    door = open_door(upstreams=(Place(name="u", urls=(upstream.url,)),), limits=Limits(stream_s=0.3))
    client = client_of(door.host)
    chat = client.chat.create(model="m", messages=[user("Talk.")], store_messages=True)
    code, details = refused(lambda: list(chat.stream()))
    assert (code, details) == ("DEADLINE_EXCEEDED", "the answer took longer than 0.3 s, which is the most here")
    (turn,) = door.turns()
    assert (turn.status, turn.error and turn.error.kind) == (TurnStatus.FAILED, "TotalTimedOut")
    client.close()


# --- who may ask ----------------------------------------------------------------------------------------------------


def test_without_a_key_that_is_known_nobody_is_served(door: Door) -> None:
    door.key("acme")
    client = client_of(door.host, key="mt-wrong")
    code, details = refused(client.chat.create(model="m", messages=[user("hi")]).sample)
    assert code == "UNAUTHENTICATED"
    assert "mt-wrong" not in details
    assert refused(client.models.list_language_models)[0] == "UNAUTHENTICATED"
    client.close()


def test_another_tenants_responses_do_not_exist(door: Door) -> None:
    ours, theirs = client_of(door.host, key=door.key("acme")), client_of(door.host, key=door.key("other"))
    said = {"model": "m", "messages": [user("My name is Alice.")], "store_messages": True}
    id = ours.chat.create(**said).sample().id
    deferred = ours.chat._stub.StartDeferredCompletion(chat_pb2.GetCompletionsRequest(**said)).request_id
    for each in (id, deferred):
        following = theirs.chat.create(model="m", messages=[user("Who am I?")], previous_response_id=each)
        asked: list[Callable[[], object]] = [
            partial(theirs.chat.get_stored_completion, each),
            partial(theirs.chat.delete_stored_completion, each),
            partial(theirs.chat._stub.GetDeferredCompletion, fetching(each)),
            following.sample,
        ]
        assert [refused(ask) for ask in asked] == [("NOT_FOUND", "Response not found")] * 4
    theirs.chat.create(**said).sample()  # the same history is not theirs to go on from
    assert {turn.parent for turn in door.turns("other")} == {None}
    assert ours.chat.get_stored_completion(id)[0].content == "Nice to meet you, Alice."
    ours.close()
    theirs.close()


def test_a_key_that_asks_too_often_is_told_when_to_come_again(door: Door) -> None:
    client = client_of(door.host, key=door.key("acme", requests_per_minute=2))
    chat = client.chat.create(model="m", messages=[user("hi")])
    chat.sample()
    chat.sample()
    with pytest.raises(grpc.RpcError) as caught:
        chat.sample()
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert 1 <= int(dict(caught.value.trailing_metadata())["retry-after"]) <= 60
    client.close()


def test_who_asks_the_stand_in_is_told_so(door: Door) -> None:
    with grpc.insecure_channel(door.host) as channel:
        ask = channel.unary_unary("/xai_api.Chat/GetCompletion")
        request = chat_pb2.GetCompletionsRequest(model="m", messages=[user("hi")])
        _, call = ask.with_call(request.SerializeToString())
    told = dict(call.trailing_metadata())
    assert told["x-multiturn-model"] == "offline"
    assert told["x-request-id"].startswith("req_")


# --- what fails behind the server (each way it can: tests/conformance/test_xai.py) ------------------------------------


def test_when_to_come_again_is_passed_on(hasty_client: Any, upstream: Upstream) -> None:
    upstream.script(status(429, headers={"retry-after": "7"}))
    with pytest.raises(grpc.RpcError) as caught:
        hasty_client.chat.create(model="tiny", messages=[user("hi")]).sample()
    assert dict(caught.value.trailing_metadata())["retry-after"] == "7"


def test_the_sdks_own_retry_gets_the_answer(hasty: Door, upstream: Upstream) -> None:
    import xai_sdk

    upstream.script(drop(), reply("Hello."))
    client = xai_sdk.Client(api_key="none", api_host=hasty.host)
    assert client.chat.create(model="tiny", messages=[user("hi")]).sample().content == "Hello."
    client.close()


def test_an_error_of_our_own_tells_nothing_of_its_inside(
    client: Any, door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("SECRET")

    monkeypatch.setattr(door.server.service.exchanges, "begin", broken)
    chat = client.chat.create(model="m", messages=[user("hi")])
    assert refused(chat.sample) == ("INTERNAL", "The server failed; its log says why.")
    assert "SECRET" in caplog.text
