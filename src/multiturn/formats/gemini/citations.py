"""What an answer rests on: Google's citation sources and grounding, as citations of our texts.

Google counts in bytes of UTF-8, in the whole text or in a part; we count characters of one text. A segment that says
its words is looked for by them, since the parts of a stream are not those that it counts. Of a source without an
address its title is kept, of Google's search entry point and its scores nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from multiturn.messages import Citation, Part, Text

Span: TypeAlias = tuple[int, int] | None  # in bytes of all texts, end-exclusive
Found: TypeAlias = tuple[Citation, Span]


def cited(parts: Sequence[Part], metadata: Iterable[Any], grounding: Any) -> tuple[Part, ...]:
    """The parts, each text with the citations that fall into it; those of no place are the last text's. `metadata` are
    the candidate's `citationMetadata`, of which a stream has several. Fields of a strange shape are as good as
    absent."""
    whole = "".join(part.text for part in parts if isinstance(part, Text)).encode(errors="replace")
    found = list(dict.fromkeys([*_sources(metadata), *_grounds(grounding, whole)]))
    if not found:
        return tuple(parts)
    made, end = list(parts), len(whole)
    for n in reversed(range(len(made))):
        part = made[n]
        if isinstance(part, Text):
            start = end - len(part.text.encode(errors="replace"))
            here = [each for each in found if each[1] is None or each[1][0] >= start]
            found = [each for each in found if each not in here]
            citations = tuple(_placed(citation, span, whole[start:end], start) for citation, span in here)
            made[n] = msgspec.structs.replace(part, citations=citations)
            end = start
    return tuple(made)


def _placed(citation: Citation, span: Span, text: bytes, offset: int) -> Citation:
    if span is None:
        return citation
    start, end = (len(text[: max(0, place - offset)].decode(errors="ignore")) for place in span)
    return msgspec.structs.replace(citation, start=start, end=end)


def _sources(metadata: Iterable[Any]) -> Iterator[Found]:
    """`citationSources`, as the Gemini API has them, or `citations`, as Vertex AI does."""
    for each in metadata:
        found = each if isinstance(each, Mapping) else {}
        for source in _list(found.get("citationSources") or found.get("citations")):
            match source:
                case {"uri": str(uri)}:
                    end = _int(source.get("endIndex"))
                    span = (_int(source.get("startIndex")), end) if end else None
                    yield Citation(url=uri, title=_text(source.get("title"))), span


def _grounds(grounding: Any, whole: bytes) -> Iterator[Found]:
    """A citation for each place that a source supports, then the sources that support none."""
    found = grounding if isinstance(grounding, Mapping) else {}
    sources = [_source(chunk) for chunk in _list(found.get("groundingChunks"))]
    used: set[int] = set()
    for support in _list(found.get("groundingSupports")):
        match support:
            case {"groundingChunkIndices": list(indices)}:
                for index in indices:
                    if isinstance(index, int) and 0 <= index < len(sources) and (source := sources[index]):
                        used.add(index)
                        yield source, _span(support.get("segment"), whole)
    for index, source in enumerate(sources):
        if source and index not in used:
            yield source, None


def _source(chunk: Any) -> Citation | None:
    match chunk:
        case {"web": dict(said)} | {"maps": dict(said)} | {"image": dict(said)}:
            return Citation(url=_text(said.get("uri") or said.get("sourceUri")), title=_text(said.get("title")))
        case {"retrievedContext": dict(said)}:
            url, title, quote = (_text(said.get(name)) for name in ("uri", "title", "text"))
            return Citation(url=url, title=title, quote=quote)
    return None


def _span(segment: Any, whole: bytes) -> Span:
    if not isinstance(segment, Mapping):
        return None
    start, end = _int(segment.get("startIndex")), _int(segment.get("endIndex"))
    words = (_text(segment.get("text")) or "").encode(errors="replace")
    if words and whole[start:end] != words:
        start = whole.find(words)
        end = start + len(words)
    return (start, end) if 0 <= start < end <= len(whole) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _int(value: Any) -> int:
    return value if isinstance(value, int) else 0


# --- as a server ----------------------------------------------------------------------------------------------------


def grounding_of(parts: Iterable[Part]) -> dict[str, Any] | None:
    """The citations of addresses in these parts as grounding; None if there are none."""
    chunks: list[dict[str, Any]] = []
    supports: list[dict[str, Any]] = []
    offset = 0
    for text in (part for part in parts if isinstance(part, Text)):
        for citation in text.citations:
            if citation.url:
                supports.append(
                    {"segment": _segment(citation, text.text, offset), "groundingChunkIndices": [len(chunks)]}
                )
                chunks.append(_chunk(citation))
        offset += len(text.text.encode(errors="replace"))
    return {"groundingChunks": chunks, "groundingSupports": supports} if chunks else None


def _chunk(citation: Citation) -> dict[str, Any]:
    fields = {"uri": citation.url, "title": citation.title, "text": citation.quote}
    said = {name: value for name, value in fields.items() if value}
    return {"retrievedContext" if citation.quote else "web": said}


def _segment(citation: Citation, text: str, offset: int) -> dict[str, Any]:
    if citation.unit != "answer_character" or citation.end is None:
        return {}
    start, end = (len(text[:place].encode(errors="replace")) for place in (citation.start or 0, citation.end))
    return {"startIndex": offset + start, "endIndex": offset + end, "text": text[citation.start or 0 : citation.end]}
