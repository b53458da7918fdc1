"""Annotations of a text, and our citations, both ways. The four kinds that OpenAI has are told apart by the fields that
they have, so that what came in goes out again; others are not kept.

    url_citation              url, title, start and end
    file_citation             file_id, title (its file name), start (its `index`)
    container_file_citation   file_id, title (its file name), start and end, id (the container)
    file_path                 file_id, start (its `index`)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from multiturn.messages import Citation

_BEYOND = 2**53  # places in a text are far below it, and JSON elsewhere holds no more exactly


def citations_of(annotations: object) -> tuple[Citation, ...]:
    """The citations that these annotations are; nothing here raises. A span from 0 to 0 is none."""
    items = annotations if isinstance(annotations, list) else []
    return tuple(made for item in items if (made := _citation(item)) is not None)


def _citation(annotation: object) -> Citation | None:
    match annotation:
        case {"type": "url_citation", "url": str(url), **rest}:
            start, end = _number(rest.get("start_index")), _number(rest.get("end_index"))
            if not (start or end):
                start = end = None
            return Citation(url=url, title=_text(rest.get("title")) or None, start=start, end=end)
        case {"type": "container_file_citation", "file_id": str(id), "container_id": str(container), **rest}:
            start, end = _number(rest.get("start_index")), _number(rest.get("end_index"))
            return Citation(title=_text(rest.get("filename")) or "", start=start, end=end, file_id=id, id=container)
        case {"type": "file_citation", "file_id": str(id), **rest}:
            return Citation(title=_text(rest.get("filename")) or "", start=_number(rest.get("index")), file_id=id)
        case {"type": "file_path", "file_id": str(id), **rest}:
            return Citation(start=_number(rest.get("index")), file_id=id)
    return None


def annotations_for(citations: Iterable[Citation], offset: int = 0) -> list[dict[str, Any]]:
    """What stands for these citations of a text that begins at `offset` of what is sent; nothing for those that name
    neither an address nor a file."""
    return [made for citation in citations if (made := _annotation(citation, offset)) is not None]


def _annotation(citation: Citation, offset: int) -> dict[str, Any] | None:
    start, end = _span(citation, offset)
    span = {"start_index": start, "end_index": end}
    if citation.url is not None:
        return {"type": "url_citation", **span, "url": citation.url, "title": citation.title or ""}
    if citation.file_id is None:
        return None
    file = {"file_id": citation.file_id}
    if citation.id is not None:
        names = {"container_id": citation.id, "filename": citation.title or ""}
        return {"type": "container_file_citation", **file, **names, **span}
    if citation.title is not None:
        return {"type": "file_citation", **file, "filename": citation.title, "index": start}
    return {"type": "file_path", **file, "index": start}


def _span(citation: Citation, offset: int) -> tuple[int, int]:
    if citation.unit != "answer_character" or (citation.start is None and citation.end is None):
        return 0, 0
    return offset + (citation.start or 0), offset + (citation.end or 0)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and -_BEYOND < value < _BEYOND else None
