"""What files say of themselves, and what their names add."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.formats.media import AUDIO_FORMATS, audio_type, file_name, file_type
from multiturn.media_types import SUFFIXES, by_name, canonical, kind_of, recognised, spellings
from samples import SAMPLES, iso, matroska, office, wav, zipped

ALL = [pytest.param(type_, data, id=f"{type_}-{n}") for type_, every in SAMPLES.items() for n, data in enumerate(every)]


@pytest.mark.parametrize(("media_type", "data"), ALL)
def test_every_kind_of_file_is_told_by_its_bytes(media_type: str, data: bytes) -> None:
    assert recognised(data) == media_type


@pytest.mark.parametrize(("media_type", "data"), ALL)
def test_no_name_makes_something_else_of_them(media_type: str, data: bytes) -> None:
    """A name may say more of a text, an archive, an old office file or a container; nothing else."""
    for suffix, named in SUFFIXES.items():
        found = recognised(data, f"name{suffix}")
        assert found in (media_type, named)
        if found != media_type:
            assert media_type in (
                "text/plain",
                "text/xml",
                "application/zip",
                "application/x-ole-storage",
                "video/mp4",
                "video/webm",
            )


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        # texts look alike
        (b"# A page", "a.md", "text/markdown"),
        (b"a,b\n1,2\n", "A.CSV", "text/csv"),
        (b'{"a": 1}', "a.json", "application/json"),
        (b"<p>hi", "a.html", "text/html"),
        (b"hi", "Makefile", "text/plain"),
        (b"hi", "csv", "text/plain"),
        # a page that was saved under the name of a picture, and a picture that was never fetched
        (b"<!DOCTYPE html><h1>404", "cat.png", "text/html"),
        (b"version https://git-lfs.github.com/spec/v1\n", "cat.png", "text/plain"),
        # archives and old office files
        (zipped({"a": b""}), "a.docx", SUFFIXES[".docx"]),
        (zipped({"a": b""}), "a.pdf", "application/zip"),
        (office("xl/workbook.xml"), "a.docx", SUFFIXES[".xlsx"]),
        (SAMPLES["application/x-ole-storage"][0], "a.doc", "application/msword"),
        (SAMPLES["application/x-ole-storage"][0], "a.png", "application/x-ole-storage"),
        # a recording in a film's container whose tracks cannot be seen
        (iso(b"iso5"), "a.m4a", "audio/mp4"),
        (matroska(b"webm"), "a.weba", "audio/webm"),
        # bytes that say nothing
        (b"\x01\x02\x03", "a.mp3", "audio/mpeg"),
        (b"\x01\x02\x03", "a.xyz", None),
        (b"\x01\x02\x03", None, None),
        # no UTF-8, so no text, whatever the name says
        ("grüße".encode("latin-1"), "a.txt", None),
        ("grüße".encode("utf-16"), "a.csv", None),
    ],
)
def test_a_name_decides_among_what_looks_alike(data: bytes, name: str | None, expected: str | None) -> None:
    assert recognised(data, name) == expected


@pytest.mark.parametrize("media_type", SAMPLES)
def test_a_file_cut_off_anywhere_is_no_error(media_type: str) -> None:
    for data in SAMPLES[media_type]:
        for length in range(len(data)):
            recognised(data[:length])


@given(st.binary(max_size=64), st.sampled_from([data[:n] for all in SAMPLES.values() for data in all for n in (4, 12)]))
def test_no_bytes_are_an_error(data: bytes, start: bytes) -> None:
    found = recognised(start + data)
    assert found is None or found == canonical(found)


# --- names and spellings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("image/jpg", "image/jpeg"),
        ("Audio/X-Wav; codecs=1", "audio/wav"),
        ("audio/mp3", "audio/mpeg"),
        (" text/plain ;charset=utf-8", "text/plain"),
        ("application/x-y+z", "application/x-y+z"),
        ("", ""),
    ],
)
def test_a_type_has_one_spelling(written: str, expected: str) -> None:
    assert canonical(written) == expected


def test_every_suffix_leads_to_a_type_in_its_one_spelling() -> None:
    assert all(canonical(media_type) == media_type for media_type in SUFFIXES.values())
    assert all(canonical(odd) == right for right in SUFFIXES.values() for odd in spellings(right))
    assert by_name("A.PNG") == "image/png"
    assert [by_name(name) for name in ("png", "", None, "a.", "a.b")] == [None] * 5


def test_kinds() -> None:
    kinds = {
        media_type: kind_of(media_type) for media_type in ("image/png", "audio/wav", "video/mp4", "text/plain", "")
    }
    assert list(kinds.values()) == ["image", "audio", "video", "file", "file"]


def test_formats_name_files_by_the_same_table() -> None:
    assert file_type("a.jpeg") == "image/jpeg"
    assert file_type("a") == file_type(None) == "application/octet-stream"
    assert file_name("image/jpg") == "file.jpg"
    assert file_name("text/plain; charset=utf-8") == "file.txt"
    assert file_name("application/x-odd") == "file"
    assert {
        **dict.fromkeys(["audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"], "wav"),
        **dict.fromkeys(["audio/mpeg", "audio/mp3", "audio/x-mp3"], "mp3"),
    } == AUDIO_FORMATS


def test_the_recording_of_a_reply_is_told_by_its_bytes_and_is_bare_samples_otherwise() -> None:
    assert audio_type(wav()) == "audio/wav"
    assert audio_type(SAMPLES["audio/ogg"][0]) == "audio/ogg"
    assert audio_type(b"\x01\0\x02\0") == "audio/pcm"
    assert audio_type(b"") == "audio/pcm"
