"""`Counter`: what messages, tools and requests take beside their words, and whose rules they are counted by."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiturn.context import Counter, counter_for, register
from multiturn.context.declarations import json as as_json
from multiturn.context.declarations import typescript
from multiturn.context.rules import load, rules_for
from multiturn.context.tokens import rules_of
from multiturn.messages import (
    Image,
    Inline,
    Message,
    Opaque,
    Origin,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Usage,
    assistant,
    system,
    tool_result,
    user,
)
from multiturn.request import OutputSchema, ToolSpec
from strategies import any_message

ROOT = Path(__file__).parents[2]


def by_letters(provider: str = "openai", model: str = "gpt-4o") -> Counter:
    """The rules of a model, and a token for each letter, so that what the rules add is seen."""
    return Counter(provider, model, rules_for(provider, model), len)


def spec(name: str, description: str = "", **properties: object) -> ToolSpec:
    schema = {"type": "object", "properties": properties, "required": [*properties][:1]}
    return ToolSpec(name, description, msgspec.Raw(msgspec.json.encode(schema)))


# --- messages ---------------------------------------------------------------------------------------------------------


def test_a_message_takes_its_words_and_what_openai_says_is_around_them() -> None:
    """Three for each message and one for its role; three for each answer to come."""
    counter = by_letters()
    assert counter.message(user("hello")) == 5 + 4
    assert counter.messages([system("be kind"), user("hello")]) == 7 + 4 + 5 + 4
    assert counter.opening(None) == 3


def test_a_name_takes_its_words_and_one_more() -> None:
    assert by_letters().message(user("hello", name="Ann")) == 5 + 4 + 3 + 1


def test_texts_of_a_message_are_counted_as_one() -> None:
    counter = counter_for("openai", "gpt-4o")
    assert counter.message(user("exam", "ple")) == counter.message(user("example"))
    assert counter.message(Message("assistant", (Refusal(text="no"),))) == counter.message(assistant("no"))


def test_a_call_takes_its_name_its_arguments_and_what_is_around_them() -> None:
    counter, call = by_letters(), ToolCall(call_id="c1", name="look", arguments='{"x":1}')
    one = counter.message(Message("assistant", (call,)))
    assert one == 4 + 7 + 10
    assert counter.message(Message("assistant", (call, call))) == 2 * (4 + 7 + 17)
    assert counter.message(Message("assistant", (Text(text="so"), call))) == one + 2 + 4
    assert counter.message(Message("assistant", (ToolCall(call_id="c1", name="look"),))) == 4 + 2 + 10


def test_a_result_takes_its_words_and_its_media() -> None:
    counter = by_letters()
    words = counter.message(tool_result("c1", "sunny", name="look"))
    assert words == 5 + 4 + 3
    shown = tool_result("c1", ["sunny", Image(source=Inline(b"", "image/png"), detail="low")], name="look")
    assert counter.message(shown) == words + 85


def test_an_empty_message_takes_what_is_around_it() -> None:
    assert by_letters().message(user()) == 4


def test_what_only_another_provider_understands_is_not_sent_and_takes_nothing() -> None:
    counter, item = by_letters(), Opaque(provider="openai", data=msgspec.Raw(b'{"a":1}'))
    plain = counter.message(assistant("so"))
    assert counter.message(assistant("so", item)) == plain + 7
    assert by_letters("azure").message(assistant("so", item)) == plain


def test_thinking_counts_where_later_requests_hold_it() -> None:
    thought = (Reasoning(text="hm, well"), Reasoning(text="so"), Text(text="yes"))
    told = Usage(input_tokens=9, output_tokens=50, reasoning_tokens=40)
    for provider, model, kept in (
        ("openai", "gpt-5", False),
        ("openai", "gpt-5.6", True),
        ("anthropic", "claude-opus-4-1", False),
        ("anthropic", "claude-opus-4-5", True),
        ("gemini", "gemini-3-pro", False),
        ("deepseek", "deepseek-chat", False),
    ):
        counter, origin = by_letters(provider, model), Origin(provider, model)
        plain = counter.message(assistant("yes"))
        assert counter.message(Message("assistant", thought, origin=origin)) == plain + 10 * kept
        assert counter.message(Message("assistant", thought, origin=origin, usage=told)) == plain + 40 * kept
        assert counter.message(Message("assistant", thought, origin=Origin("elsewhere"), usage=told)) == plain


# --- tools and the rest -----------------------------------------------------------------------------------------------


def test_tools_are_counted_as_openai_writes_them() -> None:
    tool = spec(
        "find",
        "Find it.",
        q={"type": "string", "description": "What to find"},
        kind={"enum": ["a", "b"]},
        tags={"type": "array", "items": {"type": "string"}},
        at={"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": ["number", "null"]}}},
        either={"anyOf": [{"type": "boolean"}, {"type": "null"}]},
    )
    assert typescript([tool, spec("stop")], joined=False) == (
        "namespace functions {\n\n// Find it.\ntype find = (_: {\n// What to find\nq: string,\n"
        'kind?: "a" | "b",\ntags?: string[],\nat?: {\n  x?: number,\n  y?: number | null,\n},\n'
        "either?: boolean | null,\n}) => any;\n\ntype stop = () => any;\n\n} // namespace functions"
    )
    assert "q: string}) => any;" in typescript([spec("find", q={"type": "string"})], joined=True)


def test_titles_and_tidied_descriptions_are_comments() -> None:
    field = {"type": "string", "title": "Query", "description": "What to find", "default": "all"}
    tool = spec("find", "Find it.\n\n    Args:\n        q: words\n    ", q=field, at=field)
    assert typescript([tool], joined=False) == (
        "namespace functions {\n\n// Find it.\n\nArgs:\n    q: words\ntype find = (_: {\n"
        "// Query\n// What to find\nq: string,\n// Query\n// What to find\nat?: string,\n}) => any;\n\n"
        "} // namespace functions"
    )


def test_a_comment_after_the_brace_takes_one_more_since_gpt_4o() -> None:
    counter = counter_for("openai", "gpt-4o")
    plain = counter.tools([spec("find", q={"type": "string"}, at={"type": "string"})])
    first = counter.tools([spec("find", q={"type": "string", "description": "words"}, at={"type": "string"})])
    second = counter.tools([spec("find", q={"type": "string"}, at={"type": "string", "description": "words"})])
    if counter.error == 0:
        assert first == second + 1 > plain + 1


def test_that_a_schema_is_closed_adds_nothing() -> None:
    closed = {"type": "object", "properties": {"at": {"type": "object", "additionalProperties": False}}}
    said = as_json(spec("find", **closed["properties"]))  # type: ignore[arg-type]
    assert "additionalProperties" not in said
    assert '"additionalProperties":true' in as_json(spec("find", at={"additionalProperties": True}))
    named = spec("find", additionalProperties={"type": "string"})
    assert '"additionalProperties":{"type":"string"}' in as_json(named)


@pytest.mark.parametrize(
    "schema",
    [
        b"true",
        b'{"properties":[]}',
        b'{"type":"object","properties":{"a":true,"b":{"type":7},"c":{"$ref":"#/$defs/x"}},"required":"a"}',
        b'{"type":"object","properties":{"a":{"type":"array","items":true},"b":{"type":"object"}}}',
    ],
)
def test_odd_schemas_are_counted_too(schema: bytes) -> None:
    for provider, model in (("openai", "gpt-4o"), ("openai", "gpt-5"), ("anthropic", "claude-opus-5")):
        assert counter_for(provider, model).tools([ToolSpec("odd", parameters=msgspec.Raw(schema))]) > 5


def test_tools_add_up_and_none_is_nothing() -> None:
    for provider, model in (("openai", "gpt-4o"), ("gemini", "gemini-3-pro"), ("mistral", "mistral-large")):
        counter = counter_for(provider, model)
        one, two = spec("find", "Find it.", q={"type": "string"}), spec("stop", "Stop.")
        assert counter.tools([]) == 0
        assert counter.tools([one]) < counter.tools([one, two]) <= counter.tools([one]) + counter.tools([two])


def test_spaces_in_a_schema_are_not_sent_and_not_counted() -> None:
    tight = ToolSpec("a", parameters=msgspec.Raw(b'{"type":"object","properties":{}}'))
    loose = ToolSpec("a", parameters=msgspec.Raw(b'{\n  "type": "object",\n  "properties": {}\n}'))
    counter = counter_for("anthropic", "claude-opus-5")
    assert counter.tools([tight]) == counter.tools([loose])


def test_anthropic_tells_more_where_a_tool_must_be_called() -> None:
    """The table of its page: platform.claude.com/docs/en/agents-and-tools/tool-use/overview."""
    for model, auto, forced in (
        ("claude-opus-4-8", 290, 410),
        ("claude-opus-4-7", 675, 804),
        ("claude-sonnet-4-6", 497, 589),
        ("claude-haiku-4-5-20251001", 496, 588),
        ("claude-sonnet-4-20250514", 313, 315),
        ("claude-3-7-sonnet-latest", 346, 313),
    ):
        counter, tools = counter_for("anthropic", model), [spec("stop")]
        assert counter.tools(tools, forced=True) - counter.tools(tools) == forced - auto
        assert counter.rules.tool_prompt.auto == auto


def test_gpt_4o_counts_another_way_over_responses() -> None:
    chat, responses = by_letters(), Counter("openai", "gpt-4o", rules_of("openai", "gpt-4o", "responses"), len)
    tools, call = [spec("stop")], ToolCall(call_id="c1", name="look", arguments='{"x":1}')
    assert responses.tools(tools) == chat.tools(tools) - 6
    assert responses.opening("be kind", tools) == chat.opening("be kind", tools) - 2
    exchange = [Message("assistant", (call,)), tool_result("c1", "sunny", name="look")]
    assert responses.messages(exchange) == chat.messages(exchange) - 2
    assert responses.message(Message("assistant", (call, call))) == 2 * responses.message(exchange[0])


def test_other_models_count_alike_over_every_format() -> None:
    for provider, model in (("openai", "gpt-5.5"), ("azure", "o3"), ("openai", "gpt-4"), ("xai", "grok-4"), ("x", "y")):
        assert rules_of(provider, model, "responses") == rules_of(provider, model) == rules_for(provider, model)
        assert rules_of(provider, model, "chat_completions") == rules_for(provider, model)
    assert counter_for("openai", "gpt-4o", "responses") is counter_for("openai", "gpt-4o", "responses")


def test_the_call_of_an_only_tool_that_must_be_called_begins_in_the_prompt() -> None:
    """Of GPT-4o over Responses."""
    tools = [spec("stop"), spec("find")]
    for model, format, begun in (("gpt-4o", "responses", 4 + 7), ("gpt-4o", None, 0), ("gpt-5.5", "responses", 0)):
        counter = Counter("openai", model, rules_of("openai", model, format), len, format)
        assert counter.tools(tools[:1], forced=True) == counter.tools(tools[:1]) + begun
        assert counter.tools(tools, forced=True) == counter.tools(tools)


def test_instructions_take_their_words_and_less_beside_tools() -> None:
    counter, tools = by_letters(), [spec("stop")]
    assert counter.instructions(None) == counter.instructions("") == 0
    assert counter.instructions("be kind") == 7 + 4
    assert counter.opening("be kind") == 3 + 7 + 4
    assert counter.opening("be kind", tools) == 3 + 7 + 4 + counter.tools(tools) - 4


def test_the_schema_of_the_answer_counts_as_its_json() -> None:
    schema = OutputSchema(msgspec.Raw(b'{"type":"object"}'), "city", "A city")
    assert by_letters().opening(None, output=schema) == 3 + 17 + 4 + 6
    assert by_letters().opening(None, output=OutputSchema()) == 3


# --- sums -------------------------------------------------------------------------------------------------------------

counters = st.sampled_from(
    [
        counter_for("openai", "gpt-4o"),
        counter_for("openai", "gpt-5.6"),
        counter_for("anthropic", "claude-opus-5"),
        counter_for("gemini", "gemini-3-pro"),
        counter_for("xai", "grok-4"),
        counter_for("elsewhere", "odd"),
    ]
)


@settings(max_examples=80)
@given(counters, st.lists(any_message(), max_size=4), st.lists(any_message(), max_size=4))
def test_counts_add_up_and_more_is_never_less(counter: Counter, first: list[Message], then: list[Message]) -> None:
    assert counter.messages(first + then) == counter.messages(first) + counter.messages(then)
    assert counter.messages(first + then) >= counter.messages(first) >= 0


@settings(max_examples=40)
@given(counters, any_message())
def test_an_image_more_is_more(counter: Counter, message: Message) -> None:
    shown = (*message.parts, Image(source=Inline(b"", "image/png")))
    assert counter.message(msgspec.structs.replace(message, parts=shown)) > counter.message(message)


# --- one's own --------------------------------------------------------------------------------------------------------


@pytest.fixture
def registering() -> Iterator[None]:
    yield
    for names in ({"model": "*mine*"}, {"provider": "lab", "model": "*"}, {"provider": "lab"}):
        register(None, **names)


@pytest.mark.usefixtures("registering")
def test_a_tokenizer_of_ones_own_counts_the_texts_of_its_models() -> None:
    before = counter_for("lab", "mine-7b")
    assert before.error > 0
    register(lambda text: len(text.split()), model="*mine*")
    counter = counter_for("lab", "Mine-7B")
    assert counter.text("one two three") == 3
    assert counter.error == 0
    assert counter.rules == before.rules
    assert counter.message(user("one two three")) == 3 + counter.rules.wrapping.message
    assert counter_for("lab", "other").text("one two three four") == before.text("one two three four")


@pytest.mark.usefixtures("registering")
def test_the_tokenizer_that_was_registered_last_counts() -> None:
    register(lambda text: 1, provider="lab")
    register(lambda text: 2, model="*mine*")
    assert counter_for("lab", "mine").text("x") == 2
    assert counter_for("lab", "other").text("x") == 1
    register(lambda text: 3, provider="lab")
    assert counter_for("lab", "mine").text("x") == 3
    register(None, provider="lab")
    assert counter_for("lab", "mine").text("x") == 2
    register(None, model="*mine*")
    assert counter_for("lab", "mine").error > 0
    register(None, model="*mine*")  # nothing is there to be taken away


def test_a_counter_is_the_same_each_time() -> None:
    assert counter_for("openai", "gpt-4o") is counter_for("openai", "gpt-4o")
    assert repr(counter_for("openai", "gpt-4o")) == "<Counter openai:gpt-4o>"


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "model", "text", "image"),
    [
        ("openai", "gpt-4o-2024-11-20", "o200k", "openai tiles"),
        ("openai", "gpt-4-turbo", "cl100k", "openai tiles"),
        ("openai", "ft:gpt-3.5-turbo:me::1", "cl100k", "openai tiles"),
        ("azure", "gpt-35-turbo", "cl100k", "openai tiles"),
        ("openai", "gpt-4.1-mini", "o200k", "openai patches 4.1 mini"),
        ("openai", "gpt-4.1", "o200k", "openai tiles"),
        ("openai", "gpt-5", "o200k", "openai tiles 5"),
        ("openai", "gpt-5-mini", "o200k", "openai patches 5 mini"),
        ("openai", "gpt-5.4", "o200k", "openai patches 5.4"),
        ("openai", "o3", "o200k", "openai tiles o"),
        ("openai", "o4-mini", "o200k", "openai patches o4 mini"),
        ("openai", "something-new", "o200k", "openai patches 6"),
        ("openrouter", "openai/gpt-4o", "o200k", "openai tiles"),
        ("openrouter", "anthropic/claude-sonnet-4.5", "claude", "claude"),
        ("anthropic", "claude-3-5-haiku-latest", "claude", "claude"),
        ("anthropic", "claude-opus-4-7", "claude 4.7", "claude 4.7"),
        ("anthropic", "claude-next", "claude 4.7", "claude 4.7"),
        ("gemini", "gemini-2.0-flash", "gemini", "gemini 2"),
        ("gemini", "gemini-2.5-pro", "gemini", "gemini 2.5"),
        ("gemini", "gemini-3-pro-preview", "gemini", "gemini 3"),
        ("xai", "grok-4", "grok", "grok"),
        ("mistral", "mistral-large-latest", "tekken", "mistral"),
        ("mistral", "pixtral-12b", "tekken", "pixtral"),
        ("together", "meta-llama/Llama-3.3-70B-Instruct", "llama 3", "usual"),
        ("groq", "openai/gpt-oss-120b", "o200k", "usual"),
        ("ollama", "qwen3:8b", "qwen", "qwen"),
        ("deepseek", "deepseek-chat", "deepseek", "usual"),
        ("ollama", "gemma3", "gemini", "gemma"),
        ("lab", "odd", "usual", "usual"),
    ],
)
def test_a_model_is_counted_by_its_familys_rules(provider: str, model: str, text: str, image: str) -> None:
    table, rules = load(), rules_for(provider, model)
    assert rules.text == table.texts[text]
    assert rules.image == table.images[image]


def test_every_block_of_the_table_is_used_and_says_where_it_is_from() -> None:
    table = load()
    for field, blocks in (
        ("text", table.texts),
        ("wrapping", table.wrappings),
        ("image", table.images),
        ("media", table.media),
    ):
        assert {getattr(row, field) for row in table.models} - {None} == {*blocks}
        for name, block in dict[str, Any](blocks).items():
            assert block.source, name
            for source in block.source:
                assert source.startswith("https://") or (ROOT / source).exists(), source


def test_no_row_of_the_table_stands_in_anothers_shadow() -> None:
    """Each pattern finds something that no earlier row of the same field has found."""
    rows, fields = load().models, ("text", "wrapping", "image", "media", "tool_prompt")
    taken: dict[str, list[str]] = {field: [] for field in fields}
    for row in rows:
        settled = [field for field in fields if getattr(row, field) is not None]
        for pattern in row.models:
            name = re.sub(r"\[(.).*?\]", r"\1", pattern.replace("*", "~"))
            assert any(not any(fnmatchcase(name, other) for other in taken[field]) for field in settled), pattern
        for field in settled:
            taken[field].extend(row.models)


def test_the_last_row_is_for_all_models_and_says_everything_but_a_tools_prompt() -> None:
    last = load().models[-1]
    assert last.models == ("*",)
    assert last.text
    assert last.wrapping
    assert last.image
    assert last.media


def test_the_table_is_json_of_known_fields_alone() -> None:
    raw = json.loads((ROOT / "src/multiturn/context/rules.json").read_text())
    assert {*raw} == {"date", "texts", "wrappings", "images", "media", "tool_prompts", "models"}
