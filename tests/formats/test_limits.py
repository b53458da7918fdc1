"""What providers take of media: new input beyond it is refused, with words; history beyond it is described."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path as Folder
from typing import TypeAlias

import pytest
from hypothesis import given

from multiturn.errors import InvalidInput
from multiturn.formats import anthropic, chat_completions, gemini, responses
from multiturn.formats.limits import MIB, PROVIDERS, Limit, Limits, excess, known_limits
from multiturn.formats.switching import Switching, Target, check_input, switched
from multiturn.messages import (
    Audio,
    File,
    Image,
    Inline,
    Message,
    Part,
    ToolResult,
    Uploaded,
    Url,
    Video,
    assistant,
    user,
)
from multiturn.models.providers import PROVIDERS as ROWS
from multiturn.models.registry import resolve
from multiturn.path import Path
from multiturn.request import Request
from multiturn.turns import Turn
from samples import png
from strategies import any_conversation
from upstream import Upstream

OPENAI = chat_completions.Dialect()
CLAUDE = anthropic.Dialect()
Made: TypeAlias = Callable[[], tuple[Part, ...]]
"""Parts, made when they are wanted, for some are large."""
PNG = png()
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def by_chat(provider: str) -> Target:
    return chat_completions.Dialect(provider=provider)


def sized(count: int, media_type: str = "image/png") -> Image:
    """A picture of so many bytes, the first of which are one."""
    return Image(Inline(PNG.ljust(count, b"\0"), media_type))


def of_type(media_type: str) -> Image:
    return Image(Inline(b"\1\2\3", media_type))


def refused(target: Target, *parts: Part) -> str:
    with pytest.raises(InvalidInput) as caught:
        check_input([user(*parts)], target, "m")
    return str(caught.value)


# --- the figures ----------------------------------------------------------------------------------------------------

BEYOND: list[tuple[Target, Made, str]] = [
    # types
    (
        OPENAI,
        lambda: (of_type("image/heic"),),
        "openai takes image input as png, jpeg, webp, gif, not as image/heic; convert",
    ),
    (OPENAI, lambda: (Audio(Inline(b"OggS", "audio/ogg")),), "openai takes audio input as wav, mpeg, not as audio/ogg"),
    (responses.Dialect(), lambda: (of_type("image/tiff"),), "openai takes image input as png, jpeg, webp, gif, not"),
    (CLAUDE, lambda: (of_type("image/bmp"),), "anthropic takes image input as png, jpeg, webp, gif, not as image/bmp"),
    (
        CLAUDE,
        lambda: (File(Inline(b"PK", DOCX), "a.docx"),),
        f"application/json, image/png, .* not as {DOCX}; .*a.docx",
    ),
    (CLAUDE, lambda: (Image(Url("https://e.com/a", "image/tiff")),), "not as image/tiff"),
    (gemini.Dialect(), lambda: (of_type("image/svg+xml"),), "gemini takes image input as png, .* not as image/svg"),
    (by_chat("xai"), lambda: (of_type("image/webp"),), "xai takes image input as png, jpeg, not as image/webp"),
    (by_chat("mistral"), lambda: (of_type("image/bmp"),), "mistral takes image input as png, jpeg, webp, gif"),
    (by_chat("azure"), lambda: (of_type("image/avif"),), "azure takes image input as"),
    # the size of one: Anthropic counts base64
    (
        CLAUDE,
        lambda: (sized(10 * MIB * 3 // 4 + 1),),
        "anthropic takes image input of up to 7.5 MiB, and this is 7.6 MiB; ",
    ),
    (
        by_chat("xai"),
        lambda: (sized(20 * MIB + 1),),
        "xai takes image input of up to 20 MiB, and this is 20.1 MiB; make it",
    ),
    (
        by_chat("deepseek"),
        lambda: (sized(32 * MIB + 1),),
        "deepseek takes image input of up to 32 MiB, and this is 32.1 MiB",
    ),
    (by_chat("mistral"), lambda: (sized(20 * MIB + 1),), "mistral takes image input of up to 20 MiB"),
    (
        OPENAI,
        lambda: (File(Inline(bytes(50 * MIB + 1), "application/pdf")),),
        "openai takes file input of up to 50 MiB, and",
    ),
    (
        gemini.Dialect(),
        lambda: (File(Inline(bytes(50 * MIB + 1), "application/pdf")),),
        "gemini takes file input of up to 50",
    ),
    # its sides
    (
        CLAUDE,
        lambda: (Image(Inline(png(8001, 1), "image/png")),),
        "of up to 8000 pixels a side, and this has 8001x1; make it",
    ),
    (
        by_chat("deepseek"),
        lambda: (Image(Inline(png(1, 8193), "image/png")),),
        "up to 8192 pixels a side, and this has 1x8193",
    ),
    # how many
    (
        by_chat("mistral"),
        lambda: (sized(100),) * 9,
        "mistral takes up to 8 image inputs in a request, and these are 9; send",
    ),
    (
        CLAUDE,
        lambda: (Image(Url("https://e.com/a")),) * 601,
        "anthropic takes up to 600 image inputs in a request, .* 601",
    ),
    (OPENAI, lambda: (sized(100),) * 1501, "openai takes up to 1500 image inputs"),
    (by_chat("deepseek"), lambda: (sized(100),) * 601, "deepseek takes up to 600 image inputs"),
    # everything together, as base64
    (
        CLAUDE,
        lambda: (sized(7 * MIB),) * 4,
        "anthropic takes requests of up to 32 MiB, and the media of this one come to 37.4 ",
    ),
    (
        by_chat("groq"),
        lambda: (sized(4 * MIB),),
        "groq takes requests of up to 4 MiB, .* come to 5.4 MiB as base64; send less",
    ),
    (
        gemini.Dialect(),
        lambda: (Video(Inline(bytes(76 * MIB), "video/mp4")),),
        "gemini takes requests of up to 100 MiB",
    ),
    (by_chat("deepseek"), lambda: (sized(20 * MIB),) * 2, "deepseek takes requests of up to 48 MiB"),
]


@pytest.mark.parametrize(("target", "parts", "expected"), BEYOND, ids=[f"{n}" for n in range(len(BEYOND))])
def test_what_is_beyond_a_limit_is_refused_with_the_provider_the_limit_and_a_way_out(
    target: Target, parts: Made, expected: str
) -> None:
    with pytest.raises(InvalidInput, match=expected):
        check_input([user("look", *parts())], target, "m")


WITHIN: list[tuple[Target, Made]] = [
    (OPENAI, lambda: (sized(30 * MIB), sized(30 * MIB))),
    (OPENAI, lambda: (of_type("image/jpg"), of_type("IMAGE/PNG; a=b"), Audio(Inline(b"RIFF", "audio/x-wav")))),
    (CLAUDE, lambda: (sized(10 * MIB * 3 // 4),)),
    (CLAUDE, lambda: (Image(Inline(png(8000, 1), "image/png")),)),
    (CLAUDE, lambda: (File(Inline(b"a,b", "text/csv")), File(Url("https://e.com/a")), File(Inline(PNG, "image/png")))),
    (gemini.Dialect(), lambda: (of_type("image/heic"), Audio(Inline(b"fLaC", "audio/flac")))),
    (by_chat("xai"), lambda: (of_type("image/jpeg"), sized(20 * MIB))),
    (by_chat("mistral"), lambda: (sized(100),) * 8),
    (by_chat("groq"), lambda: (sized(3 * MIB),)),
    # of what says nothing, and of what is elsewhere, nothing is known
    (
        OPENAI,
        lambda: (of_type("application/x-odd"), Image(Url("https://e.com/a")), Image(Uploaded("file-1", "openai"))),
    ),
    # nor of a server that nobody knows
    (by_chat("mybox"), lambda: (sized(60 * MIB, "image/x-own"), Image(Inline(png(9000, 1), "image/png")))),
]


@pytest.mark.parametrize(("target", "parts"), WITHIN, ids=[f"{n}" for n in range(len(WITHIN))])
def test_what_is_within_them_is_sent(target: Target, parts: Made) -> None:
    check_input([user("look", *parts())], target, "m")


def test_every_provider_with_figures_is_one_that_can_be_asked() -> None:
    assert set(PROVIDERS) <= set(ROWS)


def test_the_page_of_media_has_every_figure() -> None:
    page = (Folder(__file__).parents[2] / "docs" / "howto" / "media.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    assert [name for name, *_ in rows] == list(PROVIDERS)
    for name, pictures, files, request in rows:
        limits = PROVIDERS[name]
        image = limits.image
        figures = [f"{count / MIB:g} MiB" for count in (image.bytes, limits.file.bytes, limits.request_bytes) if count]
        figures += [f"{image.pixels} pixels"] if image.pixels else []
        figures += [str(image.count)] if image.count else []
        assert all(figure in f"{pictures} {files} {request}" for figure in figures), name


def test_a_format_has_room_for_some_types_only_whoever_speaks_it() -> None:
    ogg = Audio(Inline(b"OggS", "audio/ogg"))
    assert "mybox takes audio input as wav, mpeg, not as audio/ogg" in refused(by_chat("mybox"), ogg)
    docx = File(Inline(b"PK", DOCX))
    assert "mybox takes file input as" in refused(anthropic.Dialect(provider="mybox"), docx)
    assert known_limits("mybox", "responses") == Limits()


# --- whose business it is -------------------------------------------------------------------------------------------

BMP = of_type("image/bmp")


def test_a_user_s_own_limits_take_the_place_of_what_is_known() -> None:
    dialect = anthropic.Dialect(limits=Limits(image=Limit(bytes=9 * MIB)))
    check_input([user(of_type("image/heic"), sized(9 * MIB))], dialect, "m")
    assert "anthropic takes image input of up to 9 MiB, and this is 9.1 MiB" in refused(dialect, sized(9 * MIB + 1))


def test_limits_can_be_written_in_a_row(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "providers.toml").write_text(
        '[providers.mybox]\nbase_url = "http://gpu/v1"\nlimits = { image = { count = 1, types = ["image/png"] } }\n'
    )
    monkeypatch.setenv("MULTITURN_CONFIG", str(tmp_path / "providers.toml"))
    target = resolve("mybox:tiny")._dialect  # type: ignore[attr-defined]
    assert "mybox takes up to 1 image inputs" in refused(target, sized(100), sized(100))


def test_where_the_policy_is_to_describe_it_goes_as_words() -> None:
    dialect = anthropic.Dialect(switching=Switching(media="describe"))
    noted: list[str] = []
    check_input([user(BMP)], dialect, "m")
    assert switched([user(BMP)], dialect, noted.append) == [user("[image (image/bmp), not shown]")]
    assert noted == ["media described"]


def test_what_is_described_counts_for_nothing() -> None:
    dialect = by_chat("mistral")
    described = chat_completions.Dialect(provider="mistral", switching=Switching(media="describe"))
    check_input([user(*[BMP] * 9)], described, "m")
    assert "up to 8" in refused(described, *[sized(100)] * 9)
    assert "not as image/bmp" in refused(dialect, *[BMP] * 9)


def test_what_a_tool_gave_back_is_input_too() -> None:
    result = Message("tool", (ToolResult("call_1", (BMP,)),))
    with pytest.raises(InvalidInput, match="not as image/bmp"):
        check_input([result], CLAUDE, "m")


def test_a_model_s_own_recording_goes_back_by_its_id() -> None:
    spoken = assistant(Audio(Inline(b"\1\2", "audio/pcm"), id="audio_1"))
    check_input([spoken], OPENAI, "m")
    assert switched([spoken], OPENAI) == [spoken]


# --- history --------------------------------------------------------------------------------------------------------


def test_history_that_another_provider_took_is_described_so_that_the_conversation_can_go_on() -> None:
    """A HEIC that Gemini has seen would be refused by OpenAI, in this turn and in every later one."""
    turn = Turn(id="1", conversation="c", input=(user("look", of_type("image/heic")),), output=(assistant("a cat"),))
    request = Request(path=Path((turn,)), input=(user("what was it?"),))
    history = [chat_completions.encode_messages(turn.messages, OPENAI)]
    body = json.loads(chat_completions.encode_request(request, history, model="m", dialect=OPENAI))
    assert body["messages"][0]["content"] == "look[image (image/heic), not shown]"


def test_history_may_be_longer_than_what_one_input_may_be() -> None:
    turn = Turn(id="1", conversation="c", input=(user(*[sized(100)] * 8),), output=(assistant("cats"),))
    dialect = by_chat("mistral")
    assert isinstance(dialect, chat_completions.Dialect)
    request = Request(path=Path((turn,)), input=(user(*[sized(100)] * 8),))
    history = [chat_completions.encode_messages(turn.messages, dialect)]
    assert chat_completions.encode_request(request, history, model="m", dialect=dialect).count(b"image_url") >= 16


@given(any_conversation())
def test_whatever_was_said_is_within_or_beyond(messages: list[Message]) -> None:
    for provider in PROVIDERS:
        try:
            check_input(messages, by_chat(provider), "m")
        except InvalidInput:
            continue
        for part in (part for message in messages for part in message.parts):
            if isinstance(part, Image | Audio | Video | File):
                assert excess(part, PROVIDERS[provider]) is None


# --- before anything is sent ----------------------------------------------------------------------------------------


async def test_nothing_is_sent_of_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with Upstream() as upstream:
        monkeypatch.setenv("MISTRAL_BASE_URL", upstream.url)
        model = resolve("mistral:pixtral-large", api_key="k")
        with pytest.raises(InvalidInput, match="mistral takes up to 8 image inputs"):
            async for _ in model.answer(Request(path=Path(), input=(user(*[sized(100)] * 9),))):
                pass
        await model.aclose()
        assert upstream.requests == []
