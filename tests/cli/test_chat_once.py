"""`multiturn chat` in scripts: a question as arguments or from a pipe, plain text or JSON, and the exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Open, Run
from upstream import Upstream, hang, reply, status, stream

SLOWLY = {"MULTITURN_OFFLINE_DELAY_MS": "20"}


def test_a_question_from_a_pipe_is_answered_once(run_process: Run) -> None:
    done = run_process("chat", say="What is 15 * 23?\n")
    assert (done.returncode, done.stdout) == (0, "15 × 23 = 345.\n")
    assert done.stderr.startswith("The built-in offline model answers: a small stand-in, not a real model.")


def test_a_question_as_arguments_goes_on_with_a_conversation(run: Run) -> None:
    run("chat", "--conversation", "alice-1", "My", "name", "is", "Alice")
    done = run("chat", "--conversation", "alice-1", "What's my name?")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Your name is Alice.\n", "")


def test_a_dash_among_the_arguments_stands_for_stdin(run: Run) -> None:
    done = run("chat", "Repeat after me:", "-", say="one\ntwo\n")
    assert done.stdout == "one\ntwo\n"


def test_the_answer_is_printed_as_it_comes_and_as_it_is(env: dict[str, str]) -> None:
    with Upstream() as upstream:
        upstream.script(stream("**one** \x1b[1m", "two\n", "three\n", delay_s=0.05))
        command = [sys.executable, "-m", "multiturn", "chat", "--base-url", upstream.url, "--model", "tiny", "count"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=env) as process:
            assert process.stdout is not None
            assert os.read(process.stdout.fileno(), 100) == b"**one** \x1b[1m"
            assert process.stdout.read() == b"two\nthree\n"


def test_on_a_terminal_the_answer_is_drawn_and_the_way_back_shown(open_terminal: Open) -> None:
    terminal = open_terminal("chat", "--conversation", "c", "--model", "offline", "say **hello**")
    assert terminal.end() == 0
    assert terminal.text == "hello\n\nTo go on: multiturn chat --conversation c"


def test_words_from_a_pipe_are_answered_on_the_terminal(open_terminal: Open) -> None:
    terminal = open_terminal("chat", "--model", "offline", piped="echo 'say **hello**'")
    assert terminal.end() == 0
    assert terminal.text == "hello"


def test_system_and_model_come_from_options_variables_and_the_conversation(run: Run, tmp_path: Path) -> None:
    with Upstream() as upstream:
        upstream.script(*(reply("ok") for _ in range(5)))
        to = ("chat", "--base-url", upstream.url, "--conversation", "c")
        run(*to, "--model", "first", "--system", "Be brief", "hi")
        run(*to, "hi")
        run(*to, "hi", MULTITURN_MODEL="of the variable")
        run(*to, "--model", "other", "hi", MULTITURN_MODEL="of the variable")
        run("chat", "--base-url", upstream.url, "--conversation", "new", "hi", MULTITURN_MODEL="of the variable")
        asked = [request.json["model"] for request in upstream.requests]
        assert asked == ["first", "first", "first", "other", "of the variable"]
        assert upstream.requests[1].json["messages"][0] == {"role": "system", "content": "Be brief"}
    store = f"sqlite:///{tmp_path}/elsewhere.db"
    run("chat", "--conversation", "there", "My name is Bob", MULTITURN_STORE=store)
    assert run("chat", "--conversation", "there", "--store", store, "What's my name?").stdout == "Your name is Bob.\n"


# --- JSON -----------------------------------------------------------------------------------------------------------


def test_json_is_one_object_with_the_whole_answer(run: Run) -> None:
    done = run("chat", "--json", "--conversation", "c", "What is 15 * 23?")
    report = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert report["turn"].startswith("turn_")
    assert report["usage"]["total_tokens"] == report["usage"]["input_tokens"] + report["usage"]["output_tokens"] > 0
    assert {name: report[name] for name in ("conversation", "status", "text", "model")} == {
        "conversation": "c",
        "status": "completed",
        "text": "15 × 23 = 345.",
        "model": "offline",
    }


def test_json_of_a_failed_turn_says_why(run: Run) -> None:
    with Upstream() as upstream:
        upstream.script(status(400))
        done = run("chat", "--json", "--base-url", upstream.url, "--model", "tiny", "hi")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert (report["status"], report["error"]["kind"]) == ("failed", "RequestRejected")
    assert done.stderr == f"Error: {report['error']['message']}\n"


# --- signals and pipes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_the_answer_so_far_is_kept(signum: int, env: dict[str, str], run: Run) -> None:
    command = [sys.executable, "-m", "multiturn", "chat", "--conversation", "c", "count to 500"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**env, **SLOWLY}, stdin=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        while process.stdout.read(1) != b"3":
            pass
        process.send_signal(signum)
        rest, errors = process.communicate(timeout=10)
    assert process.returncode == 128 + signum
    assert rest.endswith(b"\n")
    assert errors.endswith(b"Stopped; what there is of the answer is kept.\n")
    assert "1, 2, 3" in run("show", "c").stdout
    assert "incomplete: interrupted" in run("show", "c").stdout


def test_json_tells_of_a_stopped_turn_too(env: dict[str, str]) -> None:
    with Upstream() as upstream:
        upstream.script(hang())
        command = [
            sys.executable,
            "-m",
            "multiturn",
            "chat",
            "--json",
            "--base-url",
            upstream.url,
            "--model",
            "m",
            "hi",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env) as process:
            assert upstream.wait(lambda: len(upstream.requests) == 1, 10)
            process.send_signal(signal.SIGINT)
            report = json.loads(process.communicate(timeout=10)[0])
    assert process.returncode == 130
    assert (report["status"], report["text"], report["reason"]) == ("incomplete", "", "interrupted")


def test_a_reader_that_leaves_early_stops_it_quietly(env: dict[str, str], run: Run) -> None:
    command = f"{sys.executable} -m multiturn chat --model offline --conversation c 'count to 5000' | head -c 9"
    done = subprocess.run(
        ["bash", "-c", f'{command}; echo "/${{PIPESTATUS[0]}}"'], capture_output=True, text=True, env=env, check=True
    )
    assert (done.stdout, done.stderr) == ("1, 2, 3, /141\n", "")
    assert "incomplete: interrupted" in run("show", "c").stdout


# --- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("chat",), 2, "there is nothing to say; give a PROMPT, or words on stdin"),
        (("chat", "--nope"), 2, "No such option"),
        (("chat", "--store", "nowhere", "hi"), 1, "'nowhere' is not a store"),
        (("chat", "--model", "openai:gpt-5-mini", "hi"), 1, "openai needs a key: set OPENAI_API_KEY."),
        (("chat", "--model", "nobody:nothing", "hi"), 1, "nobody:nothing"),
        (("chat", "--base-url", "http://127.0.0.1:1/v1", "hi"), 2, "--base-url names a server, but no model"),
        (("chat", "--base-url", "127.0.0.1", "--model", "m", "hi"), 1, "must be like https://host/v1"),
        (("chat", "--base-url", "http://127.0.0.1:1/v1", "--model", "m", "hi"), 1, "is the server running"),
        (("chat", "--store", "sqlite:////proc/no/x.db", "hi"), 1, "/proc/no/x.db"),
        (("chta",), 2, "No such command 'chta'"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_a_status(
    arguments: tuple[str, ...], status: int, sentence: str, run: Run
) -> None:
    done = run(*arguments)
    complaint = done.stderr.splitlines()[-1]
    assert (done.returncode, done.stdout) == (status, "")
    assert complaint.startswith("Error: ")
    assert complaint.endswith((".", "?"))
    assert sentence in complaint
    assert "Traceback" not in done.stderr


def test_a_key_is_never_printed(run: Run) -> None:
    with Upstream() as upstream:
        upstream.script(status(401, {"error": {"message": "bad key sk-secret", "code": "invalid_api_key"}}))
        done = run("chat", "--base-url", upstream.url, "--model", "m", "hi", MULTITURN_UPSTREAM_API_KEY="sk-secret")
    assert done.returncode == 1
    assert "sk-secret" not in done.stdout + done.stderr


def test_a_data_folder_that_cannot_be_made_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = run("chat", "--model", "offline", "hi", XDG_DATA_HOME=str(tmp_path / "file"))
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: cannot make {tmp_path}/file/multiturn: ")
    assert "--store or MULTITURN_STORE" in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_streams_that_are_closed_do_not_break_it(closed: str, env: dict[str, str]) -> None:
    command = f"{sys.executable} -m multiturn chat --model offline 'say hello' {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=env, check=True)
    assert (done.stdout, done.stderr) == ("" if closed == ">&-" else "hello\n", "")


def test_bytes_that_are_no_text_do_not_break_it(env: dict[str, str]) -> None:
    command: list[str | bytes] = [sys.executable, "-m", "multiturn", "chat", "--model", "offline"]
    done = subprocess.run([*command, b"say caf\xe9"], capture_output=True, env=env, check=True)
    assert done.stdout == "caf�\n".encode()
    done = subprocess.run(command, input=b"say caf\xe9", capture_output=True, env=env, check=True)
    assert done.stdout == "caf�\n".encode()
