"""What needs no server: names, results as values, and doing without the SDK."""

from __future__ import annotations

import base64
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    Tool,
    ToolAnnotations,
)

from multiturn.mcp.hints import Hints, hints_of
from multiturn.mcp.names import names_for
from multiturn.mcp.results import parts_of
from multiturn.messages import Audio, File, Image, Inline, Text, Video
from multiturn.tools import ToolFailed
from multiturn.tools.results import ResultPart

# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("original", "name"),
    [
        ("add", "add"),
        ("read-file_2", "read-file_2"),
        ("files.read", "files_read"),
        ("files/read it", "files_read_it"),
        ("2fa", "_2fa"),  # Gemini wants a letter or `_` first
        ("-x", "_-x"),
        ("x" * 64, "x" * 64),
        ("x" * 65, "x" * 55 + "_" + "9537c5fd"),
    ],
)
def test_names_that_providers_take(original: str, name: str) -> None:
    assert names_for([original]) == {original: name}


def test_a_prefix_goes_before_the_name() -> None:
    assert names_for(["add", "a.b"], "my shop:") == {"add": "my_shop_add", "a.b": "my_shop_a_b"}


def test_names_that_come_to_the_same_are_told_apart() -> None:
    names = names_for(["a.b", "a_b", "a b"])
    assert names["a_b"] == "a_b"
    assert len(set(names.values())) == 3
    assert all(name.startswith("a_b") for name in names.values())


@settings(max_examples=100)
@given(st.lists(st.text(max_size=80), max_size=8, unique=True), st.text(max_size=10))
def test_any_names_have_names_of_their_own_that_are_taken(originals: list[str], prefix: str) -> None:
    names = names_for(originals, prefix)
    assert list(names) == originals
    assert len(set(names.values())) == len(originals)
    assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}", name) for name in names.values())
    assert names_for(originals, prefix) == names


# --- results ----------------------------------------------------------------------------------------------------------

DATA = base64.b64encode(b"\0\1\2").decode()


def blob(uri: str, media_type: str | None) -> EmbeddedResource:
    return EmbeddedResource(resource=BlobResourceContents(uri=uri, blob=DATA, mime_type=media_type))


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (TextContent(text="hi"), Text("hi")),
        (ImageContent(data=DATA, mime_type="image/webp"), Image(Inline(b"\0\1\2", "image/webp"))),
        (AudioContent(data=DATA, mime_type="audio/wav"), Audio(Inline(b"\0\1\2", "audio/wav"))),
        (EmbeddedResource(resource=TextResourceContents(uri="x:/a", text="A")), Text("x:/a\nA")),
        (blob("x:/a.png", "image/png"), Image(Inline(b"\0\1\2", "image/png"))),
        (blob("x:/a.mp3", "audio/mpeg"), Audio(Inline(b"\0\1\2", "audio/mpeg"))),
        (blob("x:/a.mp4", "video/mp4"), Video(Inline(b"\0\1\2", "video/mp4"))),
        (blob("x:/b/a.pdf", "application/pdf"), File(Inline(b"\0\1\2", "application/pdf"), "a.pdf")),
        (blob("x:/b/", None), File(Inline(b"\0\1\2", "application/octet-stream"), "b")),
        (ResourceLink(uri="x:/a", name="a"), Text("a <x:/a>")),
        (ResourceLink(uri="x:/a", name="a", title="The A", description="first"), Text("The A <x:/a>: first")),
    ],
)
def test_each_kind_of_content_has_its_part(block: ContentBlock, part: ResultPart) -> None:
    assert parts_of(CallToolResult(content=[block])) == (part,)


def test_texts_in_a_row_stand_on_lines_of_their_own() -> None:
    image = ImageContent(data=DATA, mime_type="image/png")
    content: list[ContentBlock] = [TextContent(text="a"), TextContent(text="b"), image, TextContent(text="c")]
    parts = parts_of(CallToolResult(content=content))
    assert [part.text if isinstance(part, Text) else None for part in parts] == ["a\nb", None, "c"]


def test_structured_content_is_told_where_no_text_tells_it() -> None:
    structured = {"n": 1, "é": None}
    assert parts_of(CallToolResult(content=[], structured_content=structured)) == (Text('{"n":1,"é":null}'),)
    text = TextContent(text='{ "n": 1 }')
    assert parts_of(CallToolResult(content=[text], structured_content=structured)) == (Text('{ "n": 1 }'),)
    image = ImageContent(data=DATA, mime_type="image/png")
    assert len(parts_of(CallToolResult(content=[image], structured_content=structured))) == 2
    assert parts_of(CallToolResult(content=[])) == ()


def test_an_error_is_told_in_words() -> None:
    image = ImageContent(data=DATA, mime_type="image/png")
    content: list[ContentBlock] = [TextContent(text="no"), TextContent(text="never"), image]
    with pytest.raises(ToolFailed, match=r"^no\nnever\n\[image\]$"):
        parts_of(CallToolResult(content=content, is_error=True))
    with pytest.raises(ToolFailed, match=r'^\{"code":7\}$'):
        parts_of(CallToolResult(content=[], structured_content={"code": 7}, is_error=True))


def test_what_is_not_base64_is_an_error() -> None:
    with pytest.raises(ValueError, match="base64"):
        parts_of(CallToolResult(content=[ImageContent(data="not base64!", mime_type="image/png")]))


# --- hints ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "hints"),
    [
        (None, Hints("t")),
        (ToolAnnotations(), Hints("t")),
        (ToolAnnotations(read_only_hint=True), Hints("t", read_only=True, destructive=False, idempotent=True)),
        (ToolAnnotations(destructive_hint=False), Hints("t", destructive=False)),
        (ToolAnnotations(idempotent_hint=True, open_world_hint=False), Hints("t", idempotent=True, open_world=False)),
        (ToolAnnotations(title="The T"), Hints("t", "The T")),
    ],
)
def test_hints_have_the_protocols_defaults(said: ToolAnnotations | None, hints: Hints) -> None:
    assert hints_of(Tool(name="t", input_schema={"type": "object"}, annotations=said)) == hints


# --- without the SDK --------------------------------------------------------------------------------------------------


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)


def test_the_sdk_is_not_imported_before_it_is_needed() -> None:
    done = run("import sys, multiturn.mcp; sys.exit('mcp' in sys.modules or 'pydantic' in sys.modules)")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("missing", ["mcp", "mcp.client"])
def test_without_the_sdk_an_error_says_what_to_install(missing: str) -> None:
    done = run(
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from multiturn import InvalidInput\n"
        "from multiturn.mcp import MCPServer\n"
        "try: MCPServer.stdio('x')\n"
        "except InvalidInput as error: print(error)"
    )
    assert done.stdout.startswith('MCP servers need the package mcp, 2.3 or newer: pip install "multiturn[mcp]" (')
