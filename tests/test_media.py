"""Pictures, recordings, films and files to say, from wherever they are; and that later turns see them again."""

from __future__ import annotations

import base64
import io
import os
import re
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn import Conversation
from multiturn.errors import InvalidInput
from multiturn.inputs import as_messages
from multiturn.media import Content, audio, file, image, part_of, video
from multiturn.media_types import kind_of
from multiturn.messages import Audio, File, Image, Inline, Text, ToolResult, Url, Video, tool_result, user
from samples import SAMPLES, office, png, wav
from upstream import Upstream, reply

PNG = png(7, 5)
JPEG = SAMPLES["image/jpeg"][0]
MP3 = SAMPLES["audio/mpeg"][0]
MP4 = SAMPLES["video/mp4"][0]
PDF = SAMPLES["application/pdf"][0]
PNG_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which relative paths begin."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- from wherever it is --------------------------------------------------------------------------------------------

WAYS: dict[str, Callable[[Path], Content]] = {
    "a path": lambda path: str(path),
    "a relative path": lambda path: path.name,
    "a pathlib path": lambda path: path,
    "bytes": lambda path: path.read_bytes(),
    "a bytearray": lambda path: bytearray(path.read_bytes()),
    "a memoryview": lambda path: memoryview(b"\0" + path.read_bytes())[1:],
    "a data URL": lambda path: PNG_URL,
    "a data URL in capitals": lambda path: "DATA:image/png;base64," + PNG_URL.partition(",")[2],
    "a data URL without its padding": lambda path: PNG_URL.rstrip("="),
    "a data URL with percent signs": lambda path: "data:," + "".join(f"%{byte:02x}" for byte in PNG),
    "a data URL that says something else": lambda path: PNG_URL.replace("image/png", "image/jpeg"),
    "an open file": lambda path: path.open("rb"),
    "a file in memory": lambda path: io.BytesIO(path.read_bytes()),
    "a file that reads little at a time": lambda path: Slow(path.read_bytes()),
}


class Slow(io.RawIOBase):
    """Reads five bytes at a time, as a socket may."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        piece, self.rest = self.rest[: min(5, len(into))], self.rest[min(5, len(into)) :]
        into[: len(piece)] = piece
        return len(piece)


@contextmanager
def given_as(way: str, path: Path) -> Iterator[Content]:
    what = WAYS[way](path)
    yield what
    if isinstance(what, io.IOBase):
        what.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_picture_comes_from_everywhere(way: str, here: Path) -> None:
    path = here / "cat.dat"
    path.write_bytes(PNG)
    with given_as(way, path) as what:
        assert image(what) == Image(Inline(PNG, "image/png"))


def test_an_address_is_passed_on_and_never_fetched() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/cat.jpg?a=b#c"
        assert image(address, detail="high") == Image(Url(address), "high")
        assert audio(address, transcript="meow") == Audio(Url(address), "meow")
        assert video(address, media_type="video/mov") == Video(Url(address, "video/quicktime"))
        assert file(address, name="a.pdf") == File(Url(address), "a.pdf")
        with pytest.raises(TimeoutError):
            listening.accept()


def test_every_builder_makes_its_part(here: Path) -> None:
    for name, data in {"a.mp3": MP3, "a.mp4": MP4, "report.pdf": PDF}.items():
        (here / name).write_bytes(data)
    assert audio("a.mp3", transcript="meow") == Audio(Inline(MP3, "audio/mpeg"), "meow")
    assert video("a.mp4") == Video(Inline(MP4, "video/mp4"))
    assert file("report.pdf") == File(Inline(PDF, "application/pdf"), "report.pdf")
    assert file(Path("report.pdf"), name="q3.pdf").name == "q3.pdf"
    assert file("a.mp3") == File(Inline(MP3, "audio/mpeg"), "a.mp3")  # anything may be a file
    with open("report.pdf", "rb") as opened:
        assert file(opened) == File(Inline(PDF, "application/pdf"), "report.pdf")
    assert file(PDF) == File(Inline(PDF, "application/pdf"))


def test_what_the_bytes_do_not_say_a_name_or_the_caller_says() -> None:
    assert file(b"a,b", name="t.csv") == File(Inline(b"a,b", "text/csv"), "t.csv")
    assert file(b"\x01\x02").source == Inline(b"\x01\x02", "application/octet-stream")
    assert audio(b"\x01\x02", media_type="audio/pcm").source == Inline(b"\x01\x02", "audio/pcm")
    assert image(PNG, media_type="Image/JPG").source == Inline(PNG, "image/jpeg")
    assert audio("data:audio/L16;rate=24000;base64,AAEC").source == Inline(b"\0\1\2", "audio/l16")


@pytest.mark.parametrize("media_type", SAMPLES)
def test_each_kind_of_file_is_taken_by_its_own_builder_alone(media_type: str) -> None:
    builders: dict[str, Callable[[Content], Image | Audio | Video]] = {"image": image, "audio": audio, "video": video}
    own = kind_of(media_type)
    for kind, build in builders.items():
        if kind == own:
            assert build(SAMPLES[media_type][0]).source == Inline(SAMPLES[media_type][0], media_type)
        else:
            with pytest.raises(InvalidInput, match=rf"is no \w+ but {re.escape(media_type)}; give it to {own}\("):
                build(SAMPLES[media_type][0])


# --- what cannot be used --------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_read_is_named(here: Path) -> None:
    (here / "empty.png").touch()
    (here / "text.png").write_text("no picture")
    (here / "latin.csv").write_bytes("Zürich;1".encode("latin-1"))
    (here / "odd.bin").write_bytes(b"\x01\x02")
    (here / "folder").mkdir()
    os.mkfifo(here / "pipe")
    told = {
        "missing.png": r"there is no file 'missing\.png'",
        "folder": "'folder' is a folder",
        "pipe": "'pipe' is no regular file; open it",
        "empty.png": r"'empty\.png' is empty",
        "text.png": r"'text\.png' is no image but text/plain; give it to file\(\)",
        "latin.csv": r"'latin\.csv' is named as text \(text/csv\), but its bytes are no UTF-8",
        "odd.bin": r"'odd\.bin': no image that we know; say what it is by media_type=",
        "a\0b": "is no file name",
        "x" * 5000: "cannot be read: File name too long",
        "": "there is no file ''",
        "odd.bin/a": "cannot be read: Not a directory",
    }
    for path, message in told.items():
        with pytest.raises(InvalidInput, match=message):
            image(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_one_may_not_read_is_named(here: Path) -> None:
    (here / "secret.png").write_bytes(PNG)
    (here / "secret.png").chmod(0)
    with pytest.raises(InvalidInput, match=r"'secret\.png' cannot be read: Permission denied"):
        image("secret.png")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("https://", "no address for media"),
        ("http://[::1/cat.png", "no address for media"),
        ("https://e.com/a b", "no address for media"),
        ("ftp://e.com/cat.png", "give an http or https URL, or a path"),
        ("file:///etc/passwd", "give an http or https URL, or a path"),
        ("data:image/png;base64", "the data URL cannot be read: a data URL needs a comma"),
        ("data:image/png;base64,?!", "the data URL cannot be read: not base64"),
        ("data:image/png;base64,ü", "the data URL cannot be read"),
        ("data:nonsense,abc", "'nonsense' is no media type"),
        ("data:image/png;base64,", "the data URL is empty"),
        (b"", r"what was given \(0 bytes\) is empty"),
        (io.BytesIO(b""), "the open file is empty"),
        (io.StringIO("text"), "the open file reads as str; open it with mode 'rb'"),
        (None, "None cannot be shown; give a path"),
        (7, "7 cannot be shown"),
        (["cat.png"], "cannot be shown"),
    ],
)
def test_what_cannot_be_shown_is_refused(what: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        image(what)


def test_an_open_file_must_be_open_and_for_reading(here: Path) -> None:
    with open("out.png", "wb") as writing, pytest.raises(InvalidInput, match=r"'out\.png' cannot be read .*'rb'"):
        image(writing)
    opened = io.BytesIO(PNG)
    image(opened)
    with pytest.raises(InvalidInput, match="is empty"):  # it was read to its end
        image(opened)
    opened.close()
    with pytest.raises(InvalidInput, match=r"the open file cannot be read .*closed"):
        image(opened)


def test_words_that_mean_nothing_are_refused() -> None:
    with pytest.raises(InvalidInput, match="detail is 'hihg'; it can be auto, low, high, original"):
        image(PNG, detail="hihg")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="'png' is no media type; one is written as in image/png"):
        image(PNG, media_type="png")
    with pytest.raises(InvalidInput, match="is no image but audio/wav"):
        image(PNG, media_type="audio/wav")
    with pytest.raises(InvalidInput, match="is no media type"):
        image("https://e.com/a", media_type="image/png\r\nx")


# --- sizes ----------------------------------------------------------------------------------------------------------


def test_a_file_is_measured_before_it_is_read(here: Path) -> None:
    with open("film.mov", "wb") as sparse:
        sparse.truncate(1 << 40)  # a terabyte, of which nothing is on the disk
    with pytest.raises(InvalidInput, match=r"'film\.mov' has 1048576 MiB, and no more than 64 MiB are read"):
        video("film.mov")


@pytest.mark.parametrize("way", WAYS)
def test_no_more_is_read_than_allowed(way: str, here: Path) -> None:
    path = here / "cat.dat"
    path.write_bytes(PNG)
    with given_as(way, path) as what:
        assert image(what, max_bytes=len(PNG)).source == Inline(PNG, "image/png")
    with (
        given_as(way, path) as what,
        pytest.raises(InvalidInput, match=r"no more than .* are read; make it smaller, give"),
    ):
        image(what, max_bytes=len(PNG) - 1)


def test_an_endless_file_is_not_read_for_ever() -> None:
    with open("/dev/zero", "rb") as endless, pytest.raises(InvalidInput, match="'/dev/zero' has"):
        file(endless, max_bytes=1 << 16)


@given(st.binary(max_size=100) | st.sampled_from([data[:40] for every in SAMPLES.values() for data in every]))
def test_whatever_the_bytes_they_make_a_part_or_an_invalid_input(data: bytes) -> None:
    for build in (image, audio, video, file):
        try:
            made = build(data)
        except InvalidInput:
            assert build is not file or not data
            continue
        assert isinstance(made.source, Inline)
        assert made.source.data == data


@given(st.text(max_size=30) | st.text(max_size=30).map("data:image/png;base64,{}".format))
def test_whatever_the_text_it_makes_a_part_or_an_invalid_input(text: str) -> None:
    for build in (image, file):
        try:
            build(text)
        except InvalidInput:
            continue


# --- said -----------------------------------------------------------------------------------------------------------


def test_a_path_among_the_words_becomes_the_part_that_it_holds(here: Path) -> None:
    kept = {"cat.png": PNG, "a.mp3": MP3, "a.mp4": MP4, "q3.docx": office("word/document.xml"), "a.bin": b"\1\2"}
    for name, data in kept.items():
        (here / name).write_bytes(data)
    shown = [part_of(Path(name)) for name in kept]
    assert [type(part) for part in shown] == [Image, Audio, Video, File, File]
    assert [part.name for part in shown if isinstance(part, File)] == ["q3.docx", "a.bin"]
    assert as_messages(["What is this?", Path("cat.png")]) == (user("What is this?", Image(Inline(PNG, "image/png"))),)
    assert as_messages(Path("cat.png")) == (user(image("cat.png")),)
    assert as_messages([user("hi"), Path("cat.png")]) == (user("hi"), user(image("cat.png")))
    with pytest.raises(InvalidInput, match=r"there is no file '.*dog\.png'"):
        as_messages(["What is this?", here / "dog.png"])


def test_bytes_among_the_words_are_told_how_to_be_said() -> None:
    with pytest.raises(InvalidInput, match=r"a part such as image\(…\)"):
        as_messages(["What is this?", PNG])  # type: ignore[list-item]


def test_a_tool_s_answer_may_hold_pictures() -> None:
    shot = image(PNG)
    for output, expected in [
        (shot, (shot,)),
        (["the page:", shot], (Text("the page:"), shot)),
        (["a", "b"], (Text('["a","b"]'),)),
        ([], (Text("[]"),)),
        ("a", (Text("a"),)),
        ({"a": 1}, (Text('{"a":1}'),)),
    ]:
        assert tool_result("call_1", output).parts == (ToolResult("call_1", expected),)


# --- seen again -----------------------------------------------------------------------------------------------------


def test_a_later_question_sees_the_picture_again() -> None:
    chat = Conversation("offline")
    chat.send(["What is on it?", image(PNG)])
    chat.send("My name is Alice.")
    assert chat.send("How wide is the image?").text == "It is 7 pixels wide."


BIG = PNG + bytes(4096)  # attachments are what is worth being one


def test_a_later_turn_sends_the_picture_again_byte_for_byte_and_it_is_stored_once(here: Path) -> None:
    store = "sqlite:///chats.db"
    (here / "cat.png").write_bytes(BIG)
    (here / "report.pdf").write_bytes(PDF * 100)
    with Upstream() as upstream:
        upstream.script(reply("A cat."), reply("Black."), reply("Still black."), reply("The same."))
        where: dict[str, Any] = {"base_url": upstream.url, "api_key": "k", "store": store, "id": "cats"}
        chat = Conversation("openai:tiny", **where)
        chat.send(["What is on it?", image("cat.png", detail="low"), file("report.pdf")])
        chat.send("Which colour?")
        again = Conversation(**where)  # as another process would go on
        again.send("Sure?")
        again.send(["And this one?", image(BIG)])
        shown = [request.json["messages"][0]["content"] for request in upstream.requests]
        said = [request.json["messages"][-1]["content"] for request in upstream.requests]
    assert shown[0][1]["image_url"] == {
        "url": "data:image/png;base64," + base64.b64encode(BIG).decode(),
        "detail": "low",
    }
    assert shown[0][2]["file"]["filename"] == "report.pdf"
    assert shown[1:] == [shown[0]] * 3
    assert said[1:3] == ["Which colour?", "Sure?"]
    database = sqlite3.connect(here / "chats.db")
    bodies = [body for (body,) in database.execute("SELECT body FROM attachments")]
    database.close()
    assert sorted(bodies) == sorted([BIG, PDF * 100])


def test_a_recording_is_heard_again() -> None:
    with Upstream() as upstream:
        upstream.script(reply("Silence."), reply("Yes."))
        chat = Conversation("openai:tiny", base_url=upstream.url, api_key="k")
        chat.send(["What do you hear?", audio(wav())])
        chat.send("Sure?")
        first, second = (request.json["messages"][0]["content"][1] for request in upstream.requests)
    assert (
        first
        == second
        == {
            "type": "input_audio",
            "input_audio": {"data": base64.b64encode(wav()).decode(), "format": "wav"},
        }
    )


def test_a_picture_that_is_too_much_fails_the_turn_before_anything_is_sent() -> None:
    with Upstream() as upstream:
        chat = Conversation("openai:tiny", base_url=upstream.url, api_key="k")
        with pytest.raises(InvalidInput, match="openai takes image input as png, jpeg, webp, gif, not as image/heic"):
            chat.send(["What is on it?", image(SAMPLES["image/heic"][0])])
        assert upstream.requests == []
        chat.send(["What is on it?", image(JPEG)])
        assert len(upstream.requests) == 1
