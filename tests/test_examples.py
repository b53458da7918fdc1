"""Every example is run: by itself with no key, and against providers that follow a script on this machine."""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytest

import upstream_anthropic as anthropic
import upstream_gemini as gemini
import upstream_responses as responses
import upstream_xai as xai
from upstream import Json, Upstream, reply, tool_call
from upstream_responses import Provider, ResponsesUpstream
from upstream_xai import XaiUpstream

EXAMPLES = Path(__file__).parent.parent / "examples"

SAID = {
    "arcee": [
        "Round 1",
        "  assistant: Nice to meet you, Alice. 6 × 7 = 42.",
        "Round 2",
        "  assistant: Your name is Alice.",
    ],
    "definable": ["15 × 23 = 345.", "345 ÷ 5 = 69. True True", "69 + 1 = 70.", "may it send_report? yes. "],
    "demo": ["  bot › 345 ÷ 5 = 69."],
    "dhenara": ["offline › From get_price (item: easel): 80.0", 'offline called get_price({"item":"robot"})'],
    "grok": ["Your favorite color is blue.", "1, 2, 3, 4, 5", "after the reset: [] You are a friendly assistant."],
    "menu": ["so far: {'cuisine': 'Italian'", "  Margherita, $9.50: tomato and mozzarella", "for two: $19.00"],
    "openai_chat": [
        " bot › Your name is Alice.",
        "Your name is Bob.",
        "after the reset: [] You are a helpful assistant.",
    ],
    "openai_responses": [" bot › Your name is Alice.", " bot › You said: “My name is Alice.”", "after the reset: []"],
    "picture": [
        " bot › A PNG image (image/png), 64x48 pixels",
        " bot › It is 64 pixels wide.",
        " bot › It is 48 pixels",
    ],
    "server": [
        " bot › Your name is Alice.",
        " bot › 15 × 23 = 345.",
        "after a restart › 15 × 23 = 345.",
        " bot › 345 ÷ 5 = 69.",
        "for which the model has read 7 messages",
    ],
    "support_bot": ['tool › lookup_order {"order_id":"ORD-123"}', " bot › Your name is Alice.", "tickets: [{'issue'"],
    "weather": [' bot › [get_weather {"city":"Tokyo"}', ' bot › [get_weather {"city":"New York"}'],
}
"""How lines begin that an example prints with the offline model, in this order."""


def check_lines(printed: str, beginnings: list[str]) -> None:
    lines = iter(printed.splitlines())
    for beginning in beginnings:
        assert any(line.startswith(beginning) for line in lines), f"no line {beginning!r}, or not in order:\n{printed}"


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_an_example_runs_as_it_is(name: str, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}  # no key
    program = [sys.executable, str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(
        program, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    check_lines(done.stdout, SAID[name])


def test_the_list_of_examples_has_all_of_them() -> None:
    listed = re.findall(r"\]\((\w+\.py)\)", (EXAMPLES / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(path.name for path in EXAMPLES.glob("*.py"))


# --- providers that follow a script -----------------------------------------------------------------------------------

Said: TypeAlias = str | tuple[str, Json]
"""An answer: words, or a call of a tool."""


class Scripted(NamedTuple):
    """A provider on this machine."""

    model: str
    environment: dict[str, str]
    script: Callable[[Said], None]
    read: Callable[[], list[str]]  # what its model has read for each answer, as JSON


_numbers = itertools.count(1)


@contextmanager
def over_chat_completions(provider: str = "openai", model: str = "gpt-5-mini") -> Iterator[Scripted]:
    def script(said: Said) -> None:
        up.script(reply(said) if isinstance(said, str) else tool_call(*said, call_id=f"call_{next(_numbers)}"))

    with Upstream() as up:
        environment = {f"{provider.upper()}_API_KEY": "k", f"{provider.upper()}_BASE_URL": up.url}
        yield Scripted(f"{provider}:{model}", environment, script, lambda: bodies(up))


@contextmanager
def over_responses(folder: Path) -> Iterator[Scripted]:
    """Through a row of the user's own, for a model's name alone does not ask for this API."""
    provider = Provider()

    def script(said: Said) -> None:
        if isinstance(said, str):
            provider.says(responses.message(said))
        else:
            provider.says(responses.call(*said, call_id=f"call_{next(_numbers)}"))

    with ResponsesUpstream(provider) as up:
        config = folder / "providers.toml"
        config.write_text(f'[providers.kept]\nbase_url = "{up.url}"\nlike = "openai"\nformat = "responses"\n')
        environment = {"MULTITURN_CONFIG": str(config)}
        yield Scripted("kept:gpt-5-mini", environment, script, lambda: [*map(in_json, provider.contexts)])


@contextmanager
def over_anthropic() -> Iterator[Scripted]:
    def script(said: Said) -> None:
        block = said if isinstance(said, str) else anthropic.tool_use(*said, id=f"toolu_{next(_numbers)}")
        up.script(anthropic.judged(anthropic.reply(block)))

    with Upstream() as up:
        environment = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": anthropic.base_url(up)}
        yield Scripted("anthropic:claude-sonnet-5", environment, script, lambda: bodies(up))


@contextmanager
def over_gemini() -> Iterator[Scripted]:
    def script(said: Said) -> None:
        if isinstance(said, str):
            part: Json = {"text": said}
        else:
            part = {"functionCall": {"name": said[0], "args": said[1]}, "thoughtSignature": "c2lnbmVk"}
        up.script(gemini.checked(gemini.said(part)))

    with Upstream() as up:
        environment = {"GEMINI_API_KEY": "k", "GOOGLE_GEMINI_BASE_URL": f"http://127.0.0.1:{up.port}"}
        yield Scripted("gemini:gemini-3.5-flash", environment, script, lambda: bodies(up))


def bodies(upstream: Upstream) -> list[str]:
    return [in_json(request.json) for request in upstream.requests]


def in_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@pytest.fixture(params=["chat_completions", "responses", "anthropic", "gemini"])
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scripted]:
    """One after another."""
    opened: dict[str, Callable[[], AbstractContextManager[Scripted]]] = {
        "chat_completions": over_chat_completions,
        "responses": lambda: over_responses(tmp_path),
        "anthropic": over_anthropic,
        "gemini": over_gemini,
    }
    with opened[request.param]() as scripted:
        yield scripted


Run: TypeAlias = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs an example as a program, with these providers' environment, and gives what it printed."""

    def run(name: str, *arguments: str, at: list[Scripted] | None = None, **environment: str) -> str:
        for variables in (environment, *(scripted.environment for scripted in at or ())):
            for variable, value in variables.items():
                monkeypatch.setenv(variable, value)
        monkeypatch.setattr(sys, "argv", [name, *(scripted.model for scripted in at or ()), *arguments])
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


# --- one provider -----------------------------------------------------------------------------------------------------


def test_the_weather_of_the_first_turn_is_there_in_the_second(provider: Scripted, run: Run) -> None:
    for said in (("get_weather", {"city": "Tokyo"}), "It is sunny.", ("get_weather", {"city": "New York"}), "Cloudy."):
        provider.script(said)
    printed = run("weather", at=[provider])
    check_lines(printed, [' bot › [get_weather {"city": "Tokyo"} → {"celsius":22,"sky":"sunny"}] It is sunny.'])
    assert "user, assistant, tool, assistant, user, assistant, tool, assistant" in printed
    assert [text.count("celsius") for text in provider.read()] == [0, 1, 1, 2]
    assert all(words in provider.read()[-1] for words in ("It is sunny.", "New York", "cloudy"))


def test_the_support_bot_looks_up_orders_and_opens_tickets(provider: Scripted, run: Run) -> None:
    complaint = {"issue": "The parcel is late.", "priority": "high"}
    for said in (
        "Hello Alice.",
        *(("lookup_order", {"order_id": "ORD-123"}), "It is on its way."),
        *(("lookup_order", {"order_id": "ORD-999"}), "There is none."),
        *(("create_ticket", complaint), "Done."),
        "You are Alice.",
    ):
        provider.script(said)
    check_lines(run("support_bot", at=[provider]), [" bot › It is on its way.", f"tickets: [{complaint}]"])
    read = provider.read()
    assert "2 days" in read[2]
    assert "there is no order ORD-999" in read[4]
    assert "ticket 1 is open" in read[6]


def test_the_picture_stays_in_sight(provider: Scripted, run: Run, tmp_path: Path) -> None:
    picture = tmp_path / "photo.png"
    picture.write_bytes(b"\x89PNG and so on")
    for said in ("A photo.", "Very wide.", "Quite tall."):
        provider.script(said)
    check_lines(run("picture", str(picture), at=[provider]), [" bot › A photo.", " bot › Very", " bot › Quite"])
    assert [text.count(base64.b64encode(picture.read_bytes()).decode()) for text in provider.read()] == [1, 1, 1]


def test_the_menu_is_a_value(provider: Scripted, run: Run) -> None:
    menu = {"cuisine": "Thai", "dishes": [{"name": "Pad Thai", "price": 11, "description": "noodles"}]}
    provider.script(in_json(menu))
    provider.script('{"answer": 22}')
    check_lines(
        run("menu", at=[provider]), ["so far: {'cuisine': 'Thai'", "  Pad Thai, $11.00: noodles", "for two: $22"]
    )


def test_the_agents_messages_are_carried_on(provider: Scripted, run: Run) -> None:
    for said in ("345", "69", "70, as you see", ("send_report", {"text": "Well done"}), "It is sent."):
        provider.script(said)
    printed = run("definable", at=[provider])
    check_lines(printed, ["345", "69 True True", "70, as you see", "may it send_report? yes. It is sent."])
    read = provider.read()
    assert all(words in read[-1] for words in ("15 * 23", "345", "70, as you see", "sent: Well done"))
    assert len(read) == 5  # nobody was asked while the call waited


# --- several providers, and APIs --------------------------------------------------------------------------------------


def test_the_server_asks_a_provider_with_all_that_was_said(run: Run) -> None:
    with over_chat_completions() as openai:
        for said in ("Hello Alice.", "You are Alice.", "345", "69"):
            openai.script(said)
        printed = run("server", at=[openai])
        check_lines(printed, [" bot › You are Alice.", " bot › 345", "after a restart › 345", " bot › 69"])
        last = openai.read()[-1]
    assert all(words in last for words in ("My name is Alice.", "Hello Alice.", "You are Alice.", "345", "Divide that"))


def test_another_provider_each_turn_reads_one_history(run: Run) -> None:
    with over_chat_completions() as openai, over_anthropic() as claude, over_gemini() as google:
        for at, said in (
            *((openai, ("get_price", {"item": "robot"})), (openai, "It is 1200 dollars.")),
            *((claude, ("get_price", {"item": "easel"})), (claude, "It is 80 dollars.")),
            (google, "Robots are dear."),
        ):
            at.script(said)
        printed = run("dhenara", at=[openai, claude, google])
    check_lines(printed, [f"{at.model} › {said}" for at, said in ((openai, "It is"), (google, "Robots"))])
    check_lines(
        printed, ['openai called get_price({"item": "robot"})', 'anthropic called get_price({"item": "easel"})']
    )
    assert "(tool calls and their results carry ids that this provider takes" in printed
    for words in ("Come to a conclusion.", "robot", "1200.0", "It is 1200 dollars.", "easel", "80.0"):
        assert words in google.read()[0]
    assert '"call_' not in claude.read()[0]


def test_a_chat_goes_on_in_the_other_mode(run: Run) -> None:
    provider = Provider()
    provider.says(responses.message("You are Bob."))
    with ResponsesUpstream(provider) as up:
        up.script(reply("Hello Alice."), reply("You are Alice."), reply("Hello Bob."))
        printed = run("openai_chat", "openai:gpt-5-mini", OPENAI_API_KEY="k", OPENAI_BASE_URL=up.url)
    check_lines(printed, [" bot › You are Alice.", "You are Bob.", "user: I am Bob.", "after the reset: []"])
    assert [request.path for request in up.requests] == ["/v1/chat/completions"] * 3 + ["/v1/responses"]
    assert [each["content"] for each in up.requests[1].json["messages"]] == [
        "You are a helpful assistant.",
        "My name is Alice.",
        "Hello Alice.",
        "What's my name?",
    ]
    assert all(words in in_json(provider.contexts[0]) for words in ("I am Bob.", "Hello Bob.", "Who am I?"))


def test_only_what_is_new_is_sent_and_all_of_it_when_the_provider_has_lost_it(run: Run) -> None:
    provider = Provider()

    async def forgetful(exchange: Any) -> None:
        provider.forget()
        await provider(exchange)

    with ResponsesUpstream(provider) as up:
        up.script(provider, provider, forgetful)
        printed = run("openai_responses", "openai:gpt-5-mini", OPENAI_API_KEY="k", OPENAI_BASE_URL=up.url)
    first, second, lost, resent, forked, *_ = (request.json for request in up.requests)
    assert first.get("previous_response_id") is None
    assert len(second["input"]) == len(lost["input"]) == 1
    assert resent.get("previous_response_id") is None
    assert [len(context) for context in provider.contexts] == [1, 3, 5, 3]
    assert all(body["instructions"] == "Be brief." for body in (first, second, lost, resent, forked))
    check_lines(printed, [f"  goes on from {second['previous_response_id']}", "  (openai no longer holds the earlier"])


def test_xai_keeps_the_chat(run: Run) -> None:
    with XaiUpstream() as up:
        up.script(xai.reply("Noted."), xai.reply("It is blue."), xai.reply("1, 2, 3"))
        printed = run("grok", "xai:grok-4.5", XAI_API_KEY=xai.KEY, XAI_BASE_URL=f"http://{up.host}/v1")
    check_lines(
        printed, ["Noted.", "It is blue.", "1, 2, 3", "user: My favorite color is blue.", "after the reset: []"]
    )
    assert [request.method for request in up.requests] == ["GetCompletion", "GetCompletion", "GetCompletionChunk"]
    assert up.requests[1].said == [("user", "What's my favorite color?")]
    assert [request.proto.previous_response_id for request in up.requests] == ["", "resp_1", "resp_2"]
    assert all(request.proto.store_messages for request in up.requests)


def test_thinking_goes_back_to_arcee_or_is_stripped(run: Run) -> None:
    with over_chat_completions("arcee", "trinity-mini") as arcee, Upstream() as up:
        up.script(reply("42, Alice.", reasoning_content="Six sevens."), reply("Alice."), reply("Alice, still."))
        printed = run("arcee", "arcee:trinity-large-thinking", arcee.model, ARCEE_API_KEY="k", ARCEE_BASE_URL=up.url)
    check_lines(printed, ["Round 1", "  assistant: 42, Alice. (thinking: Six sevens.)", "Round 2", "Round 2 again"])
    assert [request.json["model"] for request in up.requests] == ["trinity-large-thinking", *["trinity-mini"] * 2]
    assert [text.count("Six sevens.") for text in bodies(up)] == [0, 1, 0]
    assert [text.count("42, Alice.") for text in bodies(up)] == [0, 1, 1]
