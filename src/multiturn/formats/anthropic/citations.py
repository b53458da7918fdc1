"""What a text rests on: our citations and Anthropic's, both ways.

A `Citation` holds every field of all five kinds, so that nothing is lost. Which kind it was is told by its fields: the
encrypted index of a web search is its `id`, and a search result has an address and a place among the results, where a
document has a place alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

from multiturn.messages import Citation

Unit: TypeAlias = Literal["source_character", "page", "block"]

_SPANS: dict[str, tuple[Unit, str]] = {
    "char_location": ("source_character", "char_index"),
    "page_location": ("page", "page_number"),
    "content_block_location": ("block", "block_index"),
}
"""Citations of documents: the kind, our unit, and how its positions are called."""

_KINDS = {unit: (kind, position) for kind, (unit, position) in _SPANS.items()}


def citations_of(items: object) -> tuple[Citation, ...]:
    """The citations that these are; those of a kind or a shape that we do not know are left out."""
    found = (_citation(item) for item in (items if isinstance(items, list) else ()))
    return tuple(citation for citation in found if citation is not None)


def _citation(item: object) -> Citation | None:
    match item:
        case {"type": "web_search_result_location", "url": str(url), "encrypted_index": str(id), **rest}:
            return Citation(url=url, id=id, title=_text(rest, "title"), quote=_text(rest, "cited_text"))
        case {"type": "search_result_location", "source": str(url), "search_result_index": int(index), **rest}:
            return _spanned(rest, "block", "block_index", title="title", document=index, url=url)
        case {"type": str(kind), "document_index": int(index), **rest} if kind in _SPANS:
            unit, position = _SPANS[kind]
            return _spanned(rest, unit, position, title="document_title", document=index)
    return None


def _spanned(
    fields: Mapping[Any, Any], unit: Unit, position: str, *, title: str, document: int, url: str | None = None
) -> Citation | None:
    start, end = fields.get(f"start_{position}"), fields.get(f"end_{position}")
    if not isinstance(start, int) or not isinstance(end, int):
        return None
    return Citation(
        url=url,
        title=_text(fields, title),
        quote=_text(fields, "cited_text"),
        start=start,
        end=end,
        unit=unit,
        document=document,
        file_id=_text(fields, "file_id"),
    )


def _text(fields: Mapping[Any, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


def citation_fields(citations: Iterable[Citation], *, replied: bool = False) -> list[dict[str, Any]]:
    """The citations as Anthropic words them, in a request or, if `replied`, in a reply, which also names the file.
    Those of no kind that it knows, such as a bare address, are left out."""
    made = (_fields(citation, replied) for citation in citations)
    return [fields for fields in made if fields is not None]


def _fields(citation: Citation, replied: bool) -> dict[str, Any] | None:
    cited_text = citation.quote or ""
    if citation.id is not None and citation.url is not None:
        return {
            "type": "web_search_result_location",
            "cited_text": cited_text,
            "encrypted_index": citation.id,
            "title": citation.title,
            "url": citation.url,
        }
    if citation.document is None or citation.start is None or citation.end is None or citation.unit not in _KINDS:
        return None
    kind, position = _KINDS[citation.unit]
    span = {f"start_{position}": citation.start, f"end_{position}": citation.end}
    if citation.url is None:
        place = {"document_index": citation.document, "document_title": citation.title}
        file = {"file_id": citation.file_id} if replied else {}
        return {"type": kind, "cited_text": cited_text, **place, **span, **file}
    if kind != "content_block_location":
        return None
    place = {"search_result_index": citation.document, "source": citation.url, "title": citation.title}
    return {"type": "search_result_location", "cited_text": cited_text, **place, **span}
