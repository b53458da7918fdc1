"""How much of pictures, recordings, films and files a provider takes, as data, and what is beyond it.

Where a provider's pages disagree, or it takes more than they say, the larger figure stands here: what is refused here
was never seen by the provider, which knows best. Figures looked up on 2026-11-21; MB means MiB wherever it was tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from multiturn.formats.media import in_mib
from multiturn.headers import picture
from multiturn.media_types import canonical, kind_of
from multiturn.messages import Audio, File, Image, Inline, Video

MIB = 1 << 20
Media: TypeAlias = Image | Audio | Video | File


class Limit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is taken of one kind. None is not known, and then everything is sent. `types` are media types, `text/*` all
    texts; `bytes` those of one, as they are before base64; `pixels` those of a picture's longer side; `count` how many
    a request may hold."""

    types: tuple[str, ...] | None = None
    bytes: int | None = None
    pixels: int | None = None
    count: int | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one provider takes. `request_bytes` is what all media of a request may come to, as base64."""

    image: Limit = Limit()
    audio: Limit = Limit()
    video: Limit = Limit()
    file: Limit = Limit()
    request_bytes: int | None = None


# --- who takes what -------------------------------------------------------------------------------------------------

_USUAL = ("image/png", "image/jpeg", "image/webp", "image/gif")
_WAV_MP3 = Limit(types=("audio/wav", "audio/mpeg"))

PROVIDERS = {
    "openai": Limits(
        # developers.openai.com/api/docs/guides/images-vision: 1,500 images and 512 MB a request
        image=Limit(types=_USUAL, count=1500),
        audio=_WAV_MP3,
        # developers.openai.com/api/docs/guides/pdf-files: each file must be under 50 MB
        file=Limit(bytes=50 * MIB),
        request_bytes=512 * MIB,
    ),
    "azure": Limits(
        image=Limit(types=_USUAL),
        audio=_WAV_MP3,
        # learn.microsoft.com/azure/foundry/openai/how-to/responses: each file must be under 50 MB
        file=Limit(bytes=50 * MIB),
    ),
    "anthropic": Limits(
        # platform.claude.com/docs/en/build-with-claude/vision: 10 MB as base64, 8000 pixels a side, 600 in a request
        # (of models with a window of 200,000 tokens 100)
        image=Limit(types=_USUAL, bytes=10 * MIB * 3 // 4, pixels=8000, count=600),
        # platform.claude.com/docs/en/build-with-claude/files: PDF and plain text; pictures are sent as such
        file=Limit(types=("application/pdf", "text/*", "application/json", *_USUAL)),
        # platform.claude.com/docs/en/api/overview: 32 MB
        request_bytes=32 * MIB,
    ),
    "gemini": Limits(
        # ai.google.dev/api/caching (Blob) and /api/interactions-api
        image=Limit(types=(*_USUAL, "image/heic", "image/heif", "image/avif", "image/bmp", "image/tiff")),
        # ai.google.dev/gemini-api/docs/file-input-methods: 100 MB inline, a PDF 50 MB
        file=Limit(bytes=50 * MIB),
        request_bytes=100 * MIB,
    ),
    "xai": Limits(
        # docs.x.ai/developers/model-capabilities/images/understanding: 20 MiB, JPEG or PNG, any number
        image=Limit(types=("image/png", "image/jpeg"), bytes=20 * MIB),
    ),
    "deepseek": Limits(
        # api-docs.deepseek.com/guides/vision: 32 MiB, 8192 pixels a side, 600 images, a body of 48 MiB
        image=Limit(types=_USUAL, bytes=32 * MIB, pixels=8192, count=600),
        request_bytes=48 * MIB,
    ),
    "mistral": Limits(
        # docs.mistral.ai/capabilities/vision: 8 images, of 10 MB; /resources/known-limitations: of 20 MB
        image=Limit(types=_USUAL, bytes=20 * MIB, count=8),
    ),
    "groq": Limits(
        # console.groq.com/docs/vision: 4 MB for a request that holds images as base64
        request_bytes=4 * MIB,
    ),
}

FORMATS = {
    "chat_completions": Limits(audio=_WAV_MP3),
    "anthropic": Limits(image=Limit(types=_USUAL), file=PROVIDERS["anthropic"].file),
}
"""What a format has room for, whoever speaks it."""


def known_limits(provider: str, format: str) -> Limits:
    """What is known of a provider, else of whoever speaks this format."""
    return PROVIDERS.get(provider) or FORMATS.get(format, _NOTHING_KNOWN)


_NOTHING_KNOWN = Limits()


# --- what is beyond them --------------------------------------------------------------------------------------------


def excess(part: Media, limits: Limits) -> str | None:
    """In what a part goes beyond what is taken, and what to do about it: the end of a sentence that begins with the
    provider's name. None if it does not, if nothing is known of it, and for what a model has recorded itself, which
    goes back by its id."""
    if isinstance(part, Audio) and part.id:
        return None
    kind = _kind(part)
    limit: Limit = getattr(limits, kind)
    media_type = canonical((part.source and part.source.media_type) or "")
    if limit.types is not None and not _among(media_type, limit.types) and kind in ("file", kind_of(media_type)):
        known = ", ".join(each.removeprefix(f"{kind}/") for each in limit.types)
        return f"takes {kind} input as {known}, not as {media_type}; convert it"
    if not isinstance(part.source, Inline):
        return None
    data = part.source.data
    if limit.bytes is not None and len(data) > limit.bytes:
        at_most = f"takes {kind} input of up to {in_mib(limit.bytes)}, and this is {in_mib(len(data))}"
        return f"{at_most}; make it smaller, upload it there, or give its URL"
    shape = picture(data) if limit.pixels is not None else None
    if shape and limit.pixels and max(shape.width, shape.height) > limit.pixels:
        return (
            f"takes pictures of up to {limit.pixels} pixels a side, and this has {shape.width}x{shape.height}; "
            f"make it smaller"
        )
    return None


def total_excess(parts: Sequence[Media], limits: Limits) -> str | None:
    """The same of all media that one request brings."""
    for kind in ("image", "audio", "video", "file"):
        limit: Limit = getattr(limits, kind)
        count = sum(_kind(part) == kind for part in parts)
        if limit.count is not None and count > limit.count:
            return f"takes up to {limit.count} {kind} inputs in a request, and these are {count}; send fewer at a time"
    size = sum(_base64_length(part.source.data) for part in parts if isinstance(part.source, Inline))
    if limits.request_bytes is not None and size > limits.request_bytes:
        return (
            f"takes requests of up to {in_mib(limits.request_bytes)}, and the media of this one come to {in_mib(size)} "
            f"as base64; send less at a time, upload it there, or give its URL"
        )
    return None


def _kind(part: Media) -> str:
    return type(part).__name__.lower()


def _among(media_type: str, types: Sequence[str]) -> bool:
    """Whether this is one of these; what does not say what it is may be."""
    return not media_type or media_type in types or f"{media_type.partition('/')[0]}/*" in types


def _base64_length(data: bytes) -> int:
    return -(-len(data) // 3) * 4
