"""What is logged, and how it looks."""

from __future__ import annotations

import io
import json
import logging
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from multiturn.errors import StoreError
from multiturn.server.observing import logs, watching
from multiturn.server.settings import Log
from observed import PATIENCE_S, ask, logged, page
from serving import Server
from upstream import Upstream, reply, status

REQUESTS = "multiturn.server.requests"


def lines(written: io.StringIO, logger: str = REQUESTS) -> list[dict[str, Any]]:
    every = [json.loads(line) for line in written.getvalue().splitlines()]
    return [line for line in every if line["logger"] == logger]


def told(server: Server, written: io.StringIO) -> list[dict[str, Any]]:
    """The lines, once the server has done with all that was asked of it: with the figures it catches up on them."""
    page(server)
    return lines(written)


def test_a_request_is_one_line(relay: Server, upstream: Upstream) -> None:
    upstream.script(reply("Yes.", usage={"prompt_tokens": 40, "completion_tokens": 2}))
    with logged() as written:
        answer = ask(relay)
        (line,) = told(relay, written)
    assert line["level"] == "info"
    assert line["message"] == "POST /v1/responses"
    assert (line["door"], line["status"], line["model"]) == ("responses", 200, "tiny")
    assert (line["input_tokens"], line["output_tokens"]) == (40, 2)
    assert line["turn"] == answer.json()["id"].replace("resp_", "turn_")
    assert line["turn_status"] == "completed"
    assert line["request_id"] == answer.headers["x-request-id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])
    assert not {"input", "output", "instructions", "error"} & set(line)


def test_a_stream_is_one_line_too(server: Server) -> None:
    with logged() as written:
        ask(server, stream=True)
        (line,) = told(server, written)
    assert 0 <= line["first_ms"] <= line["ms"]


def test_a_failure_says_its_kind_and_not_the_providers_words(relay: Server, upstream: Upstream) -> None:
    upstream.script(status(400, {"error": {"message": "not nice: What is 2+2?"}}), status(500))
    with logged() as written:
        ask(relay)
        ask(relay)
        mine, theirs = told(relay, written)
    assert (mine["level"], mine["status"], mine["error"]) == ("info", 400, "RequestRejected")
    assert (theirs["level"], theirs["status"], theirs["error"]) == ("warning", 502, "ProviderFailed")
    assert "2+2" not in written.getvalue()


def test_what_was_said_is_logged_where_that_is_set(serve: Callable[..., Server]) -> None:
    server = serve(log=Log(content=True))
    with logged(content=True) as written:
        ask(server, instructions="Be brief.")
        (line,) = told(server, written)
    assert line["input"] == ["user: What is 2+2?"]
    assert "4" in line["output"][0]
    assert line["instructions"] == "Be brief."


def test_every_turn_of_a_websocket_has_its_line_and_the_connection_one_more(server: Server) -> None:
    with logged() as written:
        with connect(f"{server.url}/v1/responses".replace("http", "ws")) as socket:
            id = socket.response.headers["x-request-id"] if socket.response else ""
            for _ in range(2):
                socket.send(json.dumps({"type": "response.create", "model": "tiny", "input": "Hello"}))
                while json.loads(socket.recv())["type"] != "response.completed":
                    pass
        *turns, whole = eventually(lambda: told(server, written), 3)
    assert [line["message"] for line in turns] == ["a turn", "a turn"]
    assert {line["turn_status"] for line in turns} == {"completed"}
    assert (whole["message"], whole["status"]) == ("WEBSOCKET /v1/responses", 101)
    assert {line["request_id"] for line in (*turns, whole)} == {id}


def test_a_turn_in_the_background_has_a_line_when_it_ends(relay: Server, upstream: Upstream) -> None:
    upstream.script(reply("Yes.", delay_s=0.1))
    with logged() as written:
        answer = ask(relay, background=True)
        request, turn = eventually(lambda: told(relay, written), 2)
    assert "turn_status" not in request
    assert (turn["message"], turn["turn_status"]) == ("a turn", "completed")
    assert turn["request_id"] == request["request_id"] == answer.headers["x-request-id"]


def eventually(read: Callable[[], list[dict[str, Any]]], count: int) -> list[dict[str, Any]]:
    until = time.monotonic() + PATIENCE_S
    while len(found := read()) < count:
        assert time.monotonic() < until, found
        time.sleep(0.02)
    return found


# --- request ids ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["abc", "7d2f-11.x:9/+=@", "x" * 128])
def test_the_clients_id_comes_back(server: Server, given: str) -> None:
    answer = httpx.get(f"{server.base_url}/models", headers={"x-request-id": given})
    assert answer.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, '{"a":1}', "caf\u00e9"])
def test_an_id_that_is_no_plain_word_does_not(server: Server, given: str) -> None:
    answer = httpx.get(f"{server.base_url}/models", headers=[(b"x-request-id", given.encode())])
    assert re.fullmatch(r"req_[0-9a-v]{26}", answer.headers["x-request-id"])


def test_every_answer_has_one_of_its_own(server: Server) -> None:
    answers = [
        ask(server),
        ask(server, stream=True),
        httpx.post(f"{server.base_url}/responses", content=b"{"),
        httpx.get(f"{server.base_url}/responses/resp_nothing"),
        httpx.get(f"{server.base_url}/nowhere"),
        httpx.put(f"{server.base_url}/responses"),
        httpx.get(f"{server.base_url}/models", headers={"host": "example.com"}),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 400, 404, 404, 405, 401]
    assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)


# --- how lines look -------------------------------------------------------------------------------------------------


def record(message: str, error: BaseException | None = None, **fields: Any) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("multiturn.server", logging.WARNING, __file__, 1, message, None, info)
    vars(made).update(fields)
    return made


def test_a_line_for_people_is_read_from_left_to_right() -> None:
    text = logs.TextFormat(False).format(record("an upstream failed", upstream="gpu", status=500, code=None))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d [\d:.]{12}  warning: an upstream failed  upstream=gpu  status=500", text)


def test_nobody_can_write_a_line_of_their_own() -> None:
    forged = "tiny\n2026-01-01 00:00:00.000  all is well"
    for format in (logs.TextFormat(True), logs.JSONFormat(True)):
        assert "\n" not in format.format(record("a turn", model=forged))
        assert "\n" not in format.format(record(forged))


def test_an_exception_tells_where_it_was_raised_and_not_what_it_quotes() -> None:
    try:
        try:
            int("my secret")
        except ValueError as error:
            raise RuntimeError("about my secret") from error
    except RuntimeError as error:
        failed = record("a request failed", error)
    for hidden in (logs.TextFormat(False), logs.JSONFormat(False)):
        text = hidden.format(failed)
        assert "secret" not in text
        assert "ValueError" in text
        assert "RuntimeError" in text
        assert "test_observing_logs.py" in text
    assert "RuntimeError: about my secret" in logs.TextFormat(True).format(failed)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), StoreError("the disk is full")])
def test_an_exception_of_this_machine_is_told_in_full(error: Exception) -> None:
    assert str(error) in logs.TextFormat(False).format(record("a request failed", error))


def test_of_what_other_libraries_say_the_first_line_is_told() -> None:
    other = logging.LogRecord("asyncio", logging.ERROR, "", 1, "Task failed\nfuture: <Task my secret>", None, None)
    assert json.loads(logs.JSONFormat(False).format(other))["message"] == "Task failed"


def test_what_cannot_be_encoded_is_shown_somehow() -> None:
    line = logs.JSONFormat(False).format(record("odd", place=object, lone="\ud800"))
    assert json.loads(line)["place"] == "<class 'object'>"


def test_configuring_sets_format_and_level() -> None:
    root, ours = logging.getLogger(), logging.getLogger("multiturn")
    before = root.handlers[:], root.level, ours.level
    written = io.StringIO()
    try:
        for level in ("warning", "info"):
            logs.configure(Log(format="json", level=level), written)
            logging.getLogger("multiturn.server").info("listening", extra={"port": 1})
            logging.getLogger("uvicorn.error").info('"WebSocket /v1?key=secret" [accepted]')
    finally:
        root.handlers[:], root.level = before[0], before[1]
        root.setLevel(before[1])
        ours.setLevel(before[2])
    (line,) = written.getvalue().splitlines()
    assert json.loads(line)["port"] == 1
    assert "secret" not in written.getvalue()


def test_nothing_is_made_of_a_line_that_nobody_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs.requests, "disabled", True)
    assert logs.wanted(200) is None


def at(level: int, message: str) -> logging.LogRecord:
    return logging.makeLogRecord({"levelno": level, "msg": message})


def test_lines_of_a_moment_are_written_together(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    handler = logs._Handler(written)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    handler.handle(at(logging.INFO, "one"))
    assert written.getvalue() == "one\n"
    with logs.together():
        handler.handle(at(logging.INFO, "two"))
        handler.handle(at(logging.INFO, "three"))
        assert written.getvalue() == "one\n"
    assert written.getvalue() == "one\ntwo\nthree\n"


def test_a_line_comes_by_itself_and_with_the_time_of_what_it_tells(server: Server) -> None:
    with logged() as written:
        before = time.time()
        ask(server)
        after = time.time()
        (line,) = eventually(lambda: lines(written), 1)
    assert before - 0.001 <= datetime.fromisoformat(line["time"]).timestamp() <= after + 0.05


def test_a_warning_is_not_waited_for(relay: Server, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_WAITS_S", 3600.0)
    upstream.script(reply("Yes."), status(500))
    with logged() as written:
        ask(relay)
        assert lines(written) == []
        ask(relay)
        assert [line["level"] for line in eventually(lambda: lines(written), 2)] == ["info", "warning"]
