"""`multiturn models`: who can be asked, and for what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Open, Run
from multiturn.models.catalogue import load
from multiturn.models.providers import PROVIDERS
from upstream import Upstream, drop, hang, reply, status

KEY = "sk-very-secret"
LISTED = {"object": "list", "data": [{"id": "qwen3:4b"}, {"id": "of-tomorrow"}]}


@pytest.fixture
def env(env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    variables = {
        name for row in PROVIDERS.values() for name in (*row.keys, row.url_variable, row.host_variable) if name
    }
    ours = {name: value for name, value in env.items() if name not in variables}
    return {**ours, "XDG_CONFIG_HOME": str(tmp_path / "config")}


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


def objects(text: str) -> dict[str, dict[str, Any]]:
    """The JSON lines, by provider."""
    return {line["provider"]: line for line in map(json.loads, text.splitlines())}


# --- who ------------------------------------------------------------------------------------------------------------


def test_a_provider_can_be_asked_once_its_key_is_set(run: Run) -> None:
    done = run("models", "--json", "--offline", ANTHROPIC_API_KEY=KEY, ARCEEAI_API_KEY=KEY)
    found = objects(done.stdout)
    assert list(found) == list(PROVIDERS)
    assert {name for name, line in found.items() if line["ready"]} == {"anthropic", "arcee"}
    assert found["anthropic"]["status"] == "ANTHROPIC_API_KEY is set"
    assert found["arcee"]["key_variable"] == "ARCEEAI_API_KEY"
    assert found["gemini"]["status"] == "set GEMINI_API_KEY or GOOGLE_API_KEY"
    assert found["azure"]["status"] == "set AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY"
    assert found["ollama"]["status"] == "not asked, at http://localhost:11434/v1"
    assert KEY not in done.stdout + done.stderr


def test_a_provider_at_another_address_needs_no_key(run: Run) -> None:
    line = objects(run("models", "openai", "--json", OPENAI_BASE_URL="http://proxy.example/v1").stdout)["openai"]
    assert (line["ready"], line["status"]) == (True, "it is at http://proxy.example/v1, without a key")


def test_a_list_of_many_models_is_read_to_its_end(run: Run, upstream: Upstream) -> None:
    many = {"data": [{"id": f"model-{n}", "description": "x" * 500} for n in range(5000)]}
    upstream.script(status(200, many))
    names = run("models", "ollama", OLLAMA_HOST=upstream.url).stdout.splitlines()
    assert (len(names), names[-1]) == (5000, "ollama:model-4999")


def test_a_local_server_is_asked_whether_it_is_there(run: Run, upstream: Upstream) -> None:
    upstream.script(status(200, LISTED))
    line = objects(run("models", "ollama", "--json", OLLAMA_HOST=upstream.url).stdout)["ollama"]
    assert (line["ready"], line["status"]) == (True, f"answers at {upstream.url}")
    assert [model["name"] for model in line["models"]] == ["ollama:qwen3:4b", "ollama:of-tomorrow"]
    assert [model["inputs"] for model in line["models"]] == [[], None]  # as far as its family is known
    assert [(received.method, received.path) for received in upstream.requests] == [("GET", "/v1/models")]
    assert "authorization" not in upstream.requests[0].headers


def test_the_upstream_s_models_are_asked_for_by_their_bare_names(run: Run, upstream: Upstream) -> None:
    upstream.script(status(200, LISTED))
    url = upstream.url.replace("//", "//me:word@")
    line = objects(run("models", "upstream", "--json", MULTITURN_UPSTREAM=url).stdout)["upstream"]
    assert [model["name"] for model in line["models"]] == ["qwen3:4b", "of-tomorrow"]
    assert "word" not in json.dumps(line)
    unset = objects(run("models", "upstream", "--json").stdout)["upstream"]
    assert (unset["ready"], unset["status"]) == (False, "set MULTITURN_UPSTREAM")


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (status(200, b"<html>"), "its answer is no list of models"),
        (status(200, b'"tiny"'), "its answer is no list of models"),
        (status(200, b"[" * 100_000), "its answer is no list of models"),
        (status(401), "it wants a key"),
        (status(404), "it answers 404"),
        (status(307, headers={"location": "http://elsewhere.example/"}), "it answers 307"),
        (drop(), "no answer"),
        (hang(), "no answer within 1 s"),
    ],
)
def test_what_goes_wrong_there_is_said(run: Run, upstream: Upstream, behaviour: Any, says: str) -> None:
    upstream.script(behaviour, behaviour)  # a GET that is dropped is tried again
    done = run("models", "ollama", "--json", OLLAMA_HOST=upstream.url)
    assert done.returncode == 0
    assert objects(done.stdout)["ollama"]["status"] == f"{says}, at {upstream.url}"


@pytest.mark.parametrize(
    ("url", "key", "says"),
    [
        ("gpu:8000", "", "the base URL of the server must be like https://host/v1, not 'gpu:8000'"),
        ("http://[::1/v1", "", "the base URL of the server must be like https://host/v1, not 'http://[::1/v1'"),
        ("http://me:word@gpu:8000/v1", KEY, "it cannot be asked, at http://me:***@gpu:8000/v1"),
    ],
)
def test_an_address_that_is_none_is_said(run: Run, url: str, key: str, says: str) -> None:
    done = run("models", "upstream", "--json", MULTITURN_UPSTREAM=url, MULTITURN_UPSTREAM_API_KEY=key)
    assert objects(done.stdout)["upstream"]["status"] == says


def test_nobody_is_there(run: Run) -> None:
    line = objects(run("models", "ollama", "--json", OLLAMA_HOST="http://127.0.0.1:1").stdout)["ollama"]
    assert (line["ready"], line["status"]) == (False, "no answer, at http://127.0.0.1:1/v1")


# --- for what -------------------------------------------------------------------------------------------------------


def test_the_catalogue_tells_of_the_models_of_who_can_be_asked(run: Run) -> None:
    done = run("models", "--offline", "--json", OPENAI_API_KEY=KEY)
    found = objects(done.stdout)
    assert [model["name"] for model in found["openai"]["models"]] == [
        f"openai:{id}" for id in load().providers["openai"].models
    ]
    mini = next(model for model in found["openai"]["models"] if model["name"] == "openai:gpt-5-mini")
    assert (mini["context"], mini["inputs"], mini["prices"][0]["input"]) == (400_000, ["image", "file"], 0.25)
    assert not any(line["models"] for name, line in found.items() if name != "openai")


def test_who_is_named_is_told_of_without_a_key(run: Run) -> None:
    done = run("models", "Groq:", "xai", "--offline")
    names = done.stdout.splitlines()
    assert names[0] == "groq:openai/gpt-oss-120b"
    assert "xai:grok-4.7" in names
    assert {name.partition(":")[0] for name in names} == {"groq", "xai"}


@pytest.mark.parametrize(
    ("provider", "variables", "listed", "path", "names"),
    [
        (
            "openai",
            "OPENAI_BASE_URL",
            {"data": [{"id": "gpt-5-mini"}, {"id": "of-tomorrow"}]},
            "/v1/models",
            ["openai:gpt-5-mini", "openai:of-tomorrow"],
        ),
        ("together", "TOGETHER_BASE_URL", [{"id": "a/b"}, {"object": "model"}], "/v1/models", ["together:a/b"]),
        (
            "anthropic",
            "ANTHROPIC_BASE_URL",
            {"data": [{"id": "claude-opus-5", "display_name": "Claude Opus 5"}], "has_more": False},
            "/v1/v1/models?limit=1000",
            ["anthropic:claude-opus-5"],
        ),
        (
            "gemini",
            "GOOGLE_GEMINI_BASE_URL",
            {
                "models": [
                    {"name": "models/gemini-3.8-flash", "supportedGenerationMethods": ["generateContent"]},
                    {"name": "models/gemini-embedding-2", "supportedGenerationMethods": ["embedContent"]},
                ]
            },
            "/v1/models?pageSize=1000",
            ["gemini:gemini-3.8-flash"],
        ),
        ("openai", "OPENAI_BASE_URL", {"data": None}, "/v1/models", []),
    ],
)
def test_live_models_are_those_that_the_provider_lists(
    run: Run, upstream: Upstream, provider: str, variables: str, listed: Any, path: str, names: list[str]
) -> None:
    upstream.script(status(200, json.dumps(listed).encode()))
    more = {variables: upstream.url, PROVIDERS[provider].keys[0]: KEY}
    done = run("models", provider, "--live", "--json", **more)
    line = objects(done.stdout)[provider]
    assert [model["name"] for model in line["models"]] == names
    assert line["ready"]
    assert upstream.requests[0].path == path
    assert upstream.requests[0].headers[PROVIDERS[provider].key_header.lower()].endswith(KEY)
    assert KEY not in done.stdout + done.stderr


def test_a_key_that_is_not_accepted_is_said(run: Run, upstream: Upstream) -> None:
    upstream.script(status(401, {"error": f"Incorrect API key provided: {KEY}"}))
    done = run("models", "openai", "--live", "--json", OPENAI_BASE_URL=upstream.url, OPENAI_API_KEY=KEY)
    line = objects(done.stdout)["openai"]
    assert (line["ready"], line["status"]) == (False, f"the key is not accepted, at {upstream.url}")
    assert KEY not in done.stdout


def test_rows_of_one_s_own_are_there_as_well(run: Run, upstream: Upstream, env: dict[str, str]) -> None:
    folder = Path(env["XDG_CONFIG_HOME"]) / "multiturn"
    folder.mkdir(parents=True)
    (folder / "providers.toml").write_text(
        f'[providers.mybox]\nbase_url = "{upstream.url}"\n[providers.mybox.models.of-tomorrow]\ncontext = 4096\n'
    )
    upstream.script(status(200, LISTED))
    line = objects(run("models", "mybox", "--json").stdout)["mybox"]
    assert [(model["name"], model["context"]) for model in line["models"]] == [
        ("mybox:qwen3:4b", None),
        ("mybox:of-tomorrow", 4096),
    ]
    assert run("models", "mybox", "--offline").stdout == "mybox:of-tomorrow\n"
    (folder / "providers.toml").write_text("[providers.mybox]\n")
    done = run("models")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Error: " in done.stderr
    assert "providers.mybox needs a base_url" in done.stderr


# --- how it looks ---------------------------------------------------------------------------------------------------


def test_through_a_pipe_it_is_a_name_a_line(run: Run) -> None:
    names = run("models", "--offline", XAI_API_KEY=KEY).stdout.splitlines()
    assert names == [f"xai:{id}" for id in load().providers["xai"].models]
    nobody = run("models", "--offline")
    assert (nobody.stdout, nobody.stderr) == ("", "There is nobody to ask yet.\n")
    assert run("models", "ollama", "--offline").stderr == "No models are known.\n"


def test_in_a_terminal_it_is_two_tables(open_terminal: Open) -> None:
    terminal = open_terminal("models", "groq", "mistral", "--offline", GROQ_API_KEY=KEY, columns=80)
    assert terminal.end() == 0
    lines = terminal.text.splitlines()
    assert lines[:4] == [
        "groq     GROQ_API_KEY is set",
        "mistral  set MISTRAL_API_KEY",
        "",
        "model                            context  answer  reads      in   cached    out",
    ]
    assert "groq:openai/gpt-oss-120b         131,072  65,536  text    $0.15   $0.075  $0.60" in lines
    assert "mistral:codestral-2508           128,000          text    $0.30    $0.03  $0.90" in lines
    assert f"Dollars for a million tokens, as of {load().date}." in lines
    assert max(map(len, lines)) <= 80
    assert KEY not in terminal.text


def test_a_terminal_says_what_to_do_where_nobody_can_be_asked(open_terminal: Open) -> None:
    terminal = open_terminal("models", "--offline")
    assert terminal.end() == 0
    assert terminal.text.endswith("Set the variable of a provider's key, or start a server such as Ollama.")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("models", "nobody"), "there is no provider 'nobody'; there are openai, anthropic, gemini"),
        (("models", "--live", "--offline"), "--live asks, and --offline does not; choose one"),
    ],
)
def test_a_wrong_command_line_is_explained(run: Run, arguments: tuple[str, ...], says: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert says in done.stderr


def test_it_explains_itself_with_examples(run: Run) -> None:
    done = run("models", "--help")
    assert "Examples:\n    multiturn models" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


# --- and then, talk -------------------------------------------------------------------------------------------------


def test_a_row_of_one_s_own_answers(run: Run, upstream: Upstream, env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "rows.toml").write_text(
        f'[providers.mybox]\nbase_url = "{upstream.url}"\nkey_variable = "MYBOX_KEY"\nlike = "mistral"\n'
    )
    upstream.script(reply("Hello."))
    more = {"MULTITURN_CONFIG": str(tmp_path / "rows.toml")}
    assert run("chat", "Hi", "--model", "mybox:tiny", MYBOX_KEY=KEY, **more).stdout == "Hello.\n"
    assert upstream.requests[0].headers["authorization"] == f"Bearer {KEY}"
    failed = run("chat", "Hi", "--model", "mybox:tiny", **more)
    assert failed.returncode == 1
    assert "mybox needs a key: set MYBOX_KEY." in failed.stderr


def test_claude_answers_in_the_terminal(run: Run, upstream: Upstream) -> None:
    answer = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5",
        "content": [{"type": "text", "text": "Hello."}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    upstream.script(status(200, answer))
    url = upstream.url.removesuffix("/v1")
    done = run("chat", "Hi", "--model", "anthropic:claude-opus-5", ANTHROPIC_BASE_URL=url, ANTHROPIC_API_KEY=KEY)
    assert done.stdout == "Hello.\n", done.stderr
    hint = run("chat", "Hi", "--model", "claude-opus-5")
    assert "Did you mean 'anthropic:claude-opus-5'?" in hint.stderr
    assert "anthropic needs a key: set ANTHROPIC_API_KEY." in run("chat", "Hi", "--model", "anthropic:m").stderr
