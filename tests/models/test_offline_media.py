"""Images, recordings, films and files, told by their headers."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.headers import Picture, picture, wav
from multiturn.messages import Audio, File, Image, Inline, Message, Part, Uploaded, Url, Video, assistant, user
from multiturn.models.offline.model import answer_to
from multiturn.path import Path
from multiturn.request import Request


def answer(*said: Message) -> str:
    return answer_to(Request(path=Path(), input=said)).message.text


# --- real headers ---------------------------------------------------------------------------------------------------


def png(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b";"


def jpeg(width: int, height: int) -> bytes:
    """With a JFIF segment, a fill byte, a Huffman table that is no frame, then a progressive frame."""
    jfif = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
    table = b"\xff\xff\xc4" + struct.pack(">H", 5) + b"\0\0\0"
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 17, 8, height, width, 3) + b"\0" * 9
    return b"\xff\xd8" + jfif + table + frame + b"\xff\xd9"


def _webp(layout: bytes, data: bytes) -> bytes:
    body = b"WEBP" + layout + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_lossy(width: int, height: int) -> bytes:
    return _webp(b"VP8 ", b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height))


def webp_lossless(width: int, height: int) -> bytes:
    return _webp(b"VP8L", b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14))


def webp_extended(width: int, height: int) -> bytes:
    return _webp(b"VP8X", b"\0" * 4 + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))


def wave(seconds: float, *, rate: int = 8000, channels: int = 1, size: int | None = None) -> bytes:
    data = b"\0" * int(seconds * rate * channels * 2)
    fmt = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    chunks = b"LIST" + struct.pack("<I", 3) + b"abc\0"  # odd-sized, so padded
    chunks += b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", size or len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


MAKERS = {
    "PNG": [png],
    "GIF": [gif],
    "JPEG": [jpeg],
    "WebP": [webp_lossy, webp_lossless, webp_extended],
}


@pytest.mark.parametrize(("kind", "make"), [(kind, make) for kind, makers in MAKERS.items() for make in makers])
@given(width=st.integers(1, 16383), height=st.integers(1, 16383))
def test_every_picture_tells_its_size(kind, make, width: int, height: int) -> None:  # type: ignore[no-untyped-def]
    assert picture(make(width, height)) == Picture(kind, width, height)


@pytest.mark.parametrize("make", [make for makers in MAKERS.values() for make in makers])
def test_a_picture_that_is_cut_off_is_no_error(make) -> None:  # type: ignore[no-untyped-def]
    whole = make(300, 200)
    for length in range(len(whole)):
        assert picture(whole[:length]) in (None, picture(whole))


@given(
    st.binary(max_size=200),
    st.sampled_from(
        [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF0000WEBP", b"RIFF0000WAVE", b"RIFF0000WEBPVP8X"]
    ),
)
def test_no_bytes_break_the_readers(data: bytes, head: bytes) -> None:
    picture(head + data)
    wav(head + data)


# --- what is said of them -------------------------------------------------------------------------------------------


def image(data: bytes, media_type: str = "image/png") -> Image:
    return Image(source=Inline(data=data, media_type=media_type))


def test_an_image_is_described_by_type_size_and_bytes() -> None:
    data = png(640, 480)
    expected = f"A PNG image (image/png), 640x480 pixels, {len(data)} bytes."
    assert answer(user("What is in this picture?", image(data))) == expected
    assert answer(user(image(data))) == expected


def test_a_wrong_media_type_is_noticed() -> None:
    assert "image/gif, though declared as image/png" in answer(user(image(gif(3, 4))))


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Image(source=Url(url="https://x.example/cat.png")), "cat.png, which I cannot open: I am offline"),
        (Image(source=Uploaded(file_id="file-1", provider="openai")), "openai holds as file-1"),
        (Image(source=Inline(data=b"?", media_type="image/tiff")), "(image/tiff) of 1 byte, whose dimensions I cannot"),
        (Audio(source=Inline(data=wave(1.5), media_type="audio/wav")), "1.5 seconds, 8000 Hz, mono"),
        (
            Audio(source=Inline(data=wave(0.25, rate=44100, channels=2), media_type="audio/wav")),
            "0.25 seconds, 44100 Hz",
        ),
        (Audio(source=Inline(data=wave(2, size=0xFFFFFFFF), media_type="audio/wav")), "2 seconds"),
        (Audio(source=Inline(data=b"ID3", media_type="audio/mpeg")), "a recording (audio/mpeg), 3 bytes"),
        (Audio(transcript="Good evening"), "saying “Good evening”"),
        (Video(source=Inline(data=b"1234", media_type="video/mp4")), "a video (video/mp4), 4 bytes"),
        (
            File(source=Inline(data=b"a,b\n1,2\n", media_type="text/csv"), name="t.csv"),
            "a file named t.csv (text/csv), 8 bytes, 2 lines, the first being “a,b”",
        ),
        (File(source=Inline(data=b"%PDF-1.7\n\xff\0", media_type="application/pdf")), "(application/pdf), 11 bytes."),
        (File(source=Inline(data=png(9, 8), media_type="image/png")), "a PNG image of 9x8 pixels"),
    ],
)
def test_every_medium_is_described(part: Part, expected: str) -> None:
    assert expected.lower() in answer(user("What is this?", part)).lower()


def test_several_media_are_all_described() -> None:
    text = answer(user("Compare these:", image(png(1, 2)), image(jpeg(3, 4), "image/jpeg")))
    assert "1x2" in text
    assert "3x4" in text


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How wide is it?", "70 pixels wide"),
        ("what's its height? I mean, how tall is the image?", "60 pixels tall"),
        ("How big is the picture?", "70x60"),
        ("What was in the first image?", "50x40"),
        ("Describe the second photo", "70x60"),
        ("How many images have I sent?", "2 images"),
        ("What format is it?", "JPEG"),
    ],
)
def test_later_questions_see_earlier_images(question: str, expected: str) -> None:
    first = user("Look", image(png(50, 40)))
    second = user("And this", image(jpeg(70, 60), "image/jpeg"))
    assert expected in answer(first, assistant("I see."), second, assistant("I see."), user("Thanks"), user(question))


def test_a_statement_beside_an_image_is_noted_too() -> None:
    text = answer(user("My name is Ezra.", image(png(5, 6))))
    assert "5x6" in text
    assert "Nice to meet you, Ezra." in text


def test_an_image_does_not_disturb_other_questions() -> None:
    history = (user("Look", image(png(5, 6))), assistant("I see."))
    assert answer(*history, user("What is 2 + 2?")) == "2 + 2 = 4."
