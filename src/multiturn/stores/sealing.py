"""Encryption at rest: what a store writes, sealed with AES-GCM (NIST SP 800-38D), and opened again.

Sealed are turns, instructions, attachments and what is streamed. Not sealed is what a store has to find things by: ids,
users, metadata, times, token counts.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from multiturn.errors import InvalidInput, Sealed

KEY, KEY_FILE = "MULTITURN_ENCRYPTION_KEY", "MULTITURN_ENCRYPTION_KEY_FILE"

_MARK = b"\x01"  # how sealed bytes begin
_PLAIN = b"\x00"  # stands before plain bytes that begin as if they were marked
_NAME_BYTES, _NONCE_BYTES = 4, 12
_KEY_BYTES = 32
_NOTE_BYTES = 16


class Seal(Protocol):
    """What a store does to the bytes that it writes."""

    @property
    def on(self) -> bool:
        """Whether it hides anything."""

    def seal(self, data: bytes, about: bytes) -> bytes:
        """The bytes to be written. `about` is what they belong to, such as a turn's id: they open only with the
        same."""

    def open(self, data: bytes, about: bytes) -> bytes:
        """The bytes that were sealed, or that were written plainly. Raises `Sealed`."""

    def digest(self, data: bytes) -> bytes:
        """32 bytes, equal for equal data, by which it is found again."""


class Plain:
    """No encryption. Opens what was written plainly, and says so about the rest."""

    on = False

    def seal(self, data: bytes, about: bytes) -> bytes:
        return _PLAIN + data if data[:1] in (_PLAIN, _MARK) else data

    def open(self, data: bytes, about: bytes) -> bytes:
        if data[:1] == _MARK:
            raise Sealed(f"this store is encrypted; set {KEY} or {KEY_FILE} to its key")
        return data.removeprefix(_PLAIN)

    def digest(self, data: bytes) -> bytes:
        return hashlib.sha256(data).digest()


class Keys:
    """AES-256-GCM. The first key seals; any of them opens, so that an old one can stay until all is sealed anew."""

    on = True

    def __init__(self, keys: Sequence[bytes]) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            raise InvalidInput("encryption needs a package: pip install 'multiturn[encryption]'") from error
        self._first = keys[0]
        self._ciphers = {_name(key): AESGCM(key) for key in keys}

    def seal(self, data: bytes, about: bytes) -> bytes:
        name, nonce = _name(self._first), os.urandom(_NONCE_BYTES)
        return _MARK + name + nonce + self._ciphers[name].encrypt(nonce, data, about)

    def open(self, data: bytes, about: bytes) -> bytes:
        if data[:1] != _MARK:
            return data.removeprefix(_PLAIN)
        from cryptography.exceptions import InvalidTag

        name = data[1 : 1 + _NAME_BYTES]
        nonce = data[1 + _NAME_BYTES : 1 + _NAME_BYTES + _NONCE_BYTES]
        if name not in self._ciphers:
            raise Sealed(f"this store is encrypted with another key than the one in {KEY} or {KEY_FILE}")
        try:
            return self._ciphers[name].decrypt(nonce, data[1 + _NAME_BYTES + _NONCE_BYTES :], about)
        except InvalidTag as error:
            raise Sealed("what is stored has been changed since it was encrypted, or belongs elsewhere") from error

    def is_current(self, data: bytes) -> bool:
        """Whether the first key has sealed this."""
        return data[: 1 + _NAME_BYTES] == _MARK + _name(self._first)

    def digest(self, data: bytes) -> bytes:
        return hmac.digest(self._first, data, "sha256")


def note_of(seal: Seal, digest: bytes) -> bytes:
    """16 bytes for a digest of what was said. Where the seal is on, nobody without its key can tell from them whether
    it was just that."""
    return seal.digest(digest)[:_NOTE_BYTES]


def _name(key: bytes) -> bytes:
    """A few bytes by which a key is told from others, and that tell nothing of it."""
    return hashlib.sha256(b"multiturn key name" + key).digest()[:_NAME_BYTES]


def new_key() -> str:
    """A new key, as text: 32 random bytes in base64."""
    return base64.b64encode(os.urandom(_KEY_BYTES)).decode()


def seal_of(environment: Mapping[str, str] = os.environ) -> Seal:
    """The seal that the environment asks for: keys in base64, divided by white space, the sealing one first, in a
    variable or in the file that another variable names; plain without either. Raises `InvalidInput`."""
    text = environment.get(KEY)
    if text is None and (file := environment.get(KEY_FILE)):
        try:
            text = Path(file).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"cannot read the key that {KEY_FILE} names: {error}") from error
    if text is None or not text.split():
        return Plain()
    return Keys([_key(word) for word in text.split()])


def _key(word: str) -> bytes:
    try:
        key = base64.b64decode(word, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _KEY_BYTES:
        raise InvalidInput(f"an encryption key is {_KEY_BYTES} bytes in base64; make one with: multiturn new-key")
    return key
