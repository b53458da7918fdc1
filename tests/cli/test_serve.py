"""`multiturn serve`: what it says before it serves, and that it does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest

from cli.conftest import Run
from cli.terminal import PATIENCE_S
from multiturn.server.settings.options import options
from ports import free_port


@contextmanager
def serving(env: dict[str, str], *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The server in a process of its own, once it answers, and its port."""
    port = free_port()
    command = [sys.executable, "-m", "multiturn", "serve", "--port", str(port), *arguments]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        until = time.monotonic() + PATIENCE_S
        while process.poll() is None and time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        yield process, port
    finally:
        process.kill()
        process.communicate()


def client(port: int, key: str = "any") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0)


def ask_for_long(asked: openai.OpenAI, id: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        asked.responses.retrieve(id)
        time.sleep(0.2)


# --- help -----------------------------------------------------------------------------------------------------------


def test_help_teaches(run: Run) -> None:
    done = run("serve", "--help")
    assert done.returncode == 0
    assert "Examples:\n    multiturn serve" in done.stdout
    assert "OpenAI(base_url=" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    for title in ("Options:", "More options:", "Limits:", "Log:", "Background responses:"):
        assert f"\n{title}\n" in done.stdout


def test_every_key_of_the_settings_is_a_flag(run: Run) -> None:
    shown = run("serve", "--help").stdout.split()
    for option in options():
        assert option.flag in shown
        assert option.is_switch is (f"--no-{option.flag[2:]}" in shown)


# --- what it would do -----------------------------------------------------------------------------------------------


def test_check_explains_and_changes_nothing(run: Run, tmp_path: Path) -> None:
    done = run("serve", "--check", "--no-metrics", "--limits-depth", "7", MULTITURN_DRAIN_S="3")
    assert (done.returncode, done.stderr) == (0, "")
    assert "offline, the built-in stand-in, answers every name" in done.stdout
    assert f"Keeps   conversations in sqlite:///{tmp_path}/data/multiturn/chats.db" in done.stdout
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line}
    assert rows["metrics"] == ["false", "from", "--metrics"]
    assert rows["limits.depth"] == ["7", "from", "--limits-depth"]
    assert rows["drain_s"] == ["3.0", "from", "MULTITURN_DRAIN_S"]
    assert list(tmp_path.iterdir()) == []


def test_a_file_says_what_to_do(run: Run, tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text('port = 9000\n[upstreams.gpu]\nurls = ["http://gpu:8000/v1"]\n')
    done = run("serve", "--config", "server.toml", "--check", "--host", "::1")
    assert done.returncode == 0
    assert "Listens on http://[::1]:9000/v1" in done.stdout
    assert "Asks    gpu at http://gpu:8000/v1" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--port", "x"], 2, "Invalid value for '--port': it must be a whole number from 0 to 65535, not 'x'"),
        (["--log-level", "loud"], 2, "it must be debug, info, warning or error, not 'loud'"),
        (["--prot", "1"], 2, "Did you mean"),
        (["--config", "nowhere.toml"], 1, "cannot read nowhere.toml: No such file or directory"),
        (["--config", "bad.toml"], 1, "bad.toml: prot is not known; did you mean port?"),
        (["--config", "secret.toml"], 1, "upstreams.gpu.key: a key does not belong in this file"),
        (["--upstreams", '{"openai": {}}'], 1, "set OPENAI_API_KEY"),
        (["--upstream", "gpu"], 1, "must be like https://host/v1"),
        (["--routes", '[{"match": "*", "to": "gpu"}]'], 1, "the route for * leads nowhere"),
        (["--store", "mysql://x"], 1, "'mysql://x' is not a store"),
        (["--host", "0.0.0.0"], 1, "make one with 'multiturn keys create', or listen on 127.0.0.1"),
    ],
)
@pytest.mark.parametrize("check", [["--check"], []])
def test_what_cannot_be_done_is_one_sentence(
    run: Run, tmp_path: Path, check: list[str], arguments: list[str], status: int, says: str
) -> None:
    (tmp_path / "bad.toml").write_text("prot = 1")
    (tmp_path / "secret.toml").write_text('[upstreams.gpu]\nkey = "hunter22"')
    done = run("serve", *check, *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert "hunter22" not in done.stderr


def test_a_port_in_use_is_one_sentence(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        done = run("serve", "--port", str(port))
    assert done.returncode == 1
    assert done.stderr == f"Error: port {port} is in use; choose another with --port, or stop what listens there.\n"


def test_an_address_of_another_machine_is_one_sentence(run: Run, tmp_path: Path) -> None:
    run("keys", "create")
    done = run("serve", "--host", "192.0.2.1")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: cannot listen on 192.0.2.1, port 8787: ")


def test_without_the_extra_it_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "multiturn.server.app", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = run("serve")
    assert done.returncode == 1
    assert done.stderr == "Error: the server needs uvicorn, which is not installed: pip install 'multiturn[server]'.\n"


# --- serving --------------------------------------------------------------------------------------------------------


def test_it_serves_and_ends_when_it_is_told_to(env: dict[str, str]) -> None:
    with serving(env) as (process, port), client(port) as asked:
        first = asked.responses.create(model="any", input="My name is Alice.")
        second = asked.responses.create(model="any", input="What is my name?", previous_response_id=first.id)
        assert "Alice" in second.output_text
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in said
    assert f"Listens on http://127.0.0.1:{port}/v1" in said


def test_keys_count_from_their_making_to_their_end(env: dict[str, str], run_process: Run) -> None:
    key = run_process("keys", "create", "--tenant", "acme").stdout.strip()
    id = run_process("keys", "list", "--json").stdout.partition('"id":"')[2].partition('"')[0]
    with serving(env) as (_, port):
        with client(port) as nobody, pytest.raises(openai.AuthenticationError):
            nobody.responses.create(model="any", input="hi")
        with client(port, key) as acme:
            made = acme.responses.create(model="any", input="hi")
            assert acme.responses.retrieve(made.id).output_text == made.output_text
            assert run_process("keys", "revoke", id).returncode == 0
            with pytest.raises(openai.AuthenticationError):
                ask_for_long(acme, made.id)


def test_several_processes_serve_the_same_conversations(env: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text(f'store = "sqlite:///{tmp_path / "served.db"}"\nworkers = 2\n[log]\nformat = "json"\n')
    with serving(env, "--config", str(config)) as (process, port):
        last = None
        for _ in range(6):
            with client(port) as asked:  # a connection of its own, so any of the processes
                turn = asked.responses.create(
                    model="any", input="What is my name?" if last else "My name is Alice.", previous_response_id=last
                )
                last = turn.id
        assert "Alice" in turn.output_text
        os.kill(process.pid, signal.SIGTERM)
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert "Listens on" not in said  # only lines of JSON


def test_rows_of_providers_may_stand_in_the_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('port = 9000\n[providers.mybox]\nbase_url = "http://gpu:8000/v1"\n[upstreams.mybox]\n')
    done = run("serve", "--config", "server.toml", "--check")
    assert "Asks    mybox at the address of mybox" in done.stdout
    assert run("serve", "--check", MULTITURN_CONFIG=str(file)).returncode == 0
    assert '"mybox"' in run("models", "mybox", "--offline", "--json", MULTITURN_CONFIG=str(file)).stdout
    file.write_text('[providers.mybox]\nbase_ulr = "http://gpu:8000/v1"\n')
    assert "did you mean base_url?" in run("serve", "--config", "server.toml", "--check").stderr
