"""Images, recordings, films and files: the examples that providers print, and sizes that bytes tell."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.context import counter_for
from multiturn.context.media import USUAL_PIXELS, pages, pixels, seconds
from multiturn.context.rules import load
from multiturn.messages import Audio, Detail, File, Image, Inline, Part, Uploaded, Url, Video, user

WEB = Url("https://example.com/a")


def png(width: int, height: int) -> Inline:
    return Inline(b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height), "image/png")


def wav(duration: float) -> Inline:
    body = bytes(int(duration * 16_000))
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + len(body),
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        8000,
        16_000,
        2,
        16,
        b"data",
        len(body),
    )
    return Inline(header + body, "audio/wav")


def mp4(duration: float, version: int = 0) -> Inline:
    times = (
        struct.pack(">QQIQ", 0, 0, 600, int(600 * duration))
        if version
        else struct.pack(">IIII", 0, 0, 600, int(600 * duration))
    )
    return Inline(
        b"\0\0\0\x18ftypisom" + bytes(12) + b"\0\0\0\x6cmvhd" + bytes([version, 0, 0, 0]) + times, "video/mp4"
    )


def takes(provider: str, model: str, part: Part) -> int:
    """What a part adds to a user's message, without what is around an image."""
    counter = counter_for(provider, model)
    around = counter.rules.wrapping.image if isinstance(part, Image) else 0
    return counter.message(user("x", part)) - counter.message(user("x")) - around


# --- images by each provider's rule -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "model", "width", "height", "detail", "tokens"),
    [
        # developers.openai.com/api/docs/guides/images-vision, and as it was before GPT-5
        ("openai", "gpt-4o", 1024, 1024, "high", 765),
        ("openai", "gpt-4o", 2048, 4096, "high", 1105),
        ("openai", "gpt-4o", 4096, 8192, "low", 85),
        ("openai", "gpt-4o", 512, 512, None, 255),
        ("openai", "gpt-4o-mini", 1024, 1024, "high", 2833 + 4 * 5667),
        ("openai", "gpt-4.1", 1024, 1024, "auto", 765),
        ("openai", "gpt-5", 1024, 1024, None, 70 + 4 * 140),
        ("openai", "o3", 1024, 1024, "low", 75),
        ("openai", "gpt-6-astra", 1024, 1024, "high", 1229),
        ("openai", "gpt-6-astra", 2048, 2048, "high", 3000),
        ("openai", "gpt-6-astra", 4096, 512, "high", 2458),
        ("openai", "gpt-4.1-nano", 1024, 1024, None, 2520),  # 1024 patches, times 2.46
        ("openai", "o4-mini", 1800, 2400, None, 2498),  # 1452 patches, times 1.72
        ("openai", "gpt-5.2", 256, 256, "low", 77),
        # huggingface.co/datasets/JOHNISKING/image-token-cost, as measured
        ("openai", "gpt-6", 256, 256, "auto", 77),
        ("openai", "gpt-6", 1280, 720, "auto", 1104),
        ("openai", "gpt-6", 1920, 1080, "auto", 2448),
        ("openai", "gpt-6", 2560, 1440, "auto", 4320),
        ("openai", "gpt-6", 2560, 1440, "high", 2931),
        ("openai", "gpt-6", 3840, 2160, "auto", 9792),
        ("openai", "gpt-5.5", 4032, 3024, "auto", 11868),
        # platform.claude.com/docs/en/build-with-claude/vision
        ("anthropic", "claude-sonnet-4-5", 200, 200, None, 64),
        ("anthropic", "claude-sonnet-4-5", 1000, 1000, None, 1296),
        ("anthropic", "claude-sonnet-4-5", 1092, 1092, None, 1521),
        ("anthropic", "claude-sonnet-4-5", 1920, 1080, None, 1560),
        ("anthropic", "claude-sonnet-4-5", 3840, 2160, None, 1560),
        ("anthropic", "claude-opus-4-7", 1920, 1080, None, 2691),
        ("anthropic", "claude-opus-4-7", 3840, 2160, None, 4784),
        # ai.google.dev/gemini-api/docs/image-understanding, tokens and media-resolution; the grids as measured
        ("gemini", "gemini-2.0-flash", 384, 384, None, 258),
        ("gemini", "gemini-2.0-flash", 540, 360, None, 7 * 258),
        ("gemini", "gemini-2.0-flash", 960, 540, None, 7 * 258),
        ("gemini", "gemini-2.5-pro", 4000, 3000, None, 258),
        ("gemini", "gemini-3-pro-preview", 1000, 1000, None, 1089),
        ("gemini", "gemini-3-pro-preview", 1920, 1080, None, 1100),
        ("gemini", "gemini-3-pro-preview", 4032, 3024, None, 1064),
        # docs.x.ai/docs/guides/image-understanding, and recorded
        ("xai", "grok-4", 448, 448, None, 256),
        ("xai", "grok-4", 597, 566, None, 256),
        ("xai", "grok-4", 896, 448, None, 3 * 256),
        ("xai", "grok-4", 8000, 8000, None, 7 * 256),
        # docs.mistral.ai/capabilities/vision: patches of 28, or of 16 for Pixtral
        ("mistral", "mistral-medium-latest", 1540, 1540, None, 3025),
        ("mistral", "pixtral-12b", 1024, 1024, None, 4096),
        ("ollama", "gemma3", 1000, 10, None, 256),
        ("lab", "odd", 280, 280, None, 100),
    ],
)
def test_an_image_takes_what_its_providers_page_says(
    provider: str, model: str, width: int, height: int, detail: Detail | None, tokens: int
) -> None:
    assert takes(provider, model, Image(png(width, height), detail)) == tokens


sides = st.integers(1, 9000)


@given(st.sampled_from(sorted(load().images)), sides, sides, st.sampled_from(["auto", "low", "high", "original", None]))
def test_every_rule_counts_images_of_every_shape(name: str, width: int, height: int, detail: Detail | None) -> None:
    rule = load().images[name]
    tokens = rule.tokens(width, height, detail)
    assert 1 <= tokens <= 120_000
    assert isinstance(tokens, int)


@given(sides, sides, st.sampled_from(["claude", "claude 4.7", "mistral", "pixtral"]))
def test_an_image_that_is_made_to_fit_is_within_its_limit(width: int, height: int, name: str) -> None:
    assert load().images[name].tokens(width, height, None) <= {"claude": 1568, "claude 4.7": 4784}.get(name, 4096)


def test_an_image_is_as_large_as_its_bytes_say() -> None:
    assert pixels(png(640, 480)) == (640, 480)
    gif = Inline(b"GIF89a" + struct.pack("<HH", 30, 20), "image/gif")
    assert pixels(gif) == (30, 20)


def test_an_image_of_unknown_size_is_taken_for_a_usual_one() -> None:
    usual = takes("openai", "gpt-4o", Image(png(*USUAL_PIXELS)))
    for source in (WEB, Uploaded("f1", "openai"), Inline(b"?", "image/png"), png(0, 5)):
        assert takes("openai", "gpt-4o", Image(source)) == usual


# --- recordings and films ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "lasts"),
    [
        (wav(2.5), 2.5),
        (mp4(90.0), 90.0),
        (mp4(90.0, version=1), 90.0),
        (Inline(bytes(32_000), "audio/mpeg"), 2.0),
        (Inline(bytes(500_000), "video/webm"), 2.0),
        (Inline(b"\0\0\0\x18ftypisom" + bytes(12) + b"mvhd", "video/mp4"), 28 / 250_000),
        (WEB, 60.0),
        (Uploaded("f1", "gemini"), 60.0),
        (None, 60.0),
    ],
)
def test_a_recording_lasts_as_long_as_its_bytes_say(source: Inline | Url | Uploaded | None, lasts: float) -> None:
    assert seconds(source) == pytest.approx(lasts)


@pytest.mark.parametrize(
    ("provider", "model", "part", "tokens"),
    [
        ("gemini", "gemini-2.5-flash", Audio(wav(10)), 320),  # 32 a second: ai.google.dev/gemini-api/docs/tokens
        ("gemini", "gemini-2.5-flash", Video(mp4(60)), 60 * 295),  # 258 a frame, 32 of sound, and its time
        ("gemini", "gemini-3-pro", Video(mp4(60)), 60 * 102),  # 70 a frame, and 32
        ("openai", "gpt-audio", Audio(wav(10)), 100),  # one for 100 ms
        ("openai", "gpt-audio", Audio(transcript="hello"), 1),
        ("openai", "gpt-audio", Audio(), 0),
    ],
)
def test_a_recording_takes_so_much_a_second(provider: str, model: str, part: Part, tokens: int) -> None:
    assert takes(provider, model, part) == tokens


# --- files ------------------------------------------------------------------------------------------------------------

PDF = b"%PDF-1.4\n1 0 obj <</Type /Pages /Kids [2 0 R] /Count 3>>\n2 0 obj <</Type/Page>>\n"


def test_a_document_has_as_many_pages_as_it_says() -> None:
    assert pages(Inline(PDF, "application/pdf")) == 3
    assert pages(Inline(b"%PDF-1.4 " + b"<</Type /Page >>" * 5, "application/pdf")) == 5
    assert pages(Inline(b"%PDF-1.7 " + bytes(120_000), "application/pdf")) == 3  # by its size
    assert pages(Inline(b"odd", "application/msword")) == 1
    assert pages(WEB) == 10


def test_a_document_takes_so_much_a_page() -> None:
    file = File(Inline(PDF, "application/pdf"))
    assert takes("gemini", "gemini-2.5-pro", file) == 3 * 258
    assert takes("gemini", "gemini-3-pro", file) == 3 * 560
    assert takes("anthropic", "claude-sonnet-4-5", file) == 3 * 3800
    name = counter_for("openai", "gpt-4o").text("x.pdf")
    assert takes("openai", "gpt-4o", File(Inline(PDF, "application/pdf"), name="x.pdf")) == 3 * 1500 + name


def test_a_file_of_another_kind_takes_what_that_kind_does() -> None:
    counter = counter_for("openai", "gpt-4o")
    assert takes("openai", "gpt-4o", File(Inline(b"hello world", "text/plain"))) == counter.text("hello world")
    assert takes("openai", "gpt-4o", File(png(512, 512))) == 255
    assert takes("gemini", "gemini-2.5-pro", File(wav(2))) == 64
    assert takes("gemini", "gemini-2.5-pro", File(mp4(2))) == 590


def test_a_jpegs_size_is_found_behind_its_tables() -> None:
    jpeg = (
        b"\xff\xd8\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0"
        + b"\xff\xc0\x00\x11\x08"
        + struct.pack(">HH", 300, 400)
        + bytes(9)
    )
    assert takes("openai", "gpt-4o", Image(Inline(jpeg, "image/jpeg"))) == 255
