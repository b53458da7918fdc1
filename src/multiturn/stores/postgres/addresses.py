"""A `postgresql://` URL: what the driver is given, and what may be shown."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from multiturn.errors import InvalidInput

SCHEMA = "multiturn"
"""Where our tables are, unless the URL has a `search_path`."""


class Address(NamedTuple):
    """`url` as it was given; `shown` without its password; `secrets` are the spellings of it; `schema` the namespace of
    the tables."""

    url: str
    shown: str
    secrets: tuple[str, ...]
    schema: str

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    def without_secrets(self, text: str) -> str:
        """The text, the password in it replaced by stars."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def read(url: str) -> Address:
    """The parts of a URL. Raises `InvalidInput`, which shows nothing of it."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("postgresql", "postgres"):
        raise InvalidInput(
            "this is not the URL of a PostgreSQL database; use postgresql://user:password@host:5432/database, "
            "and write special characters of the password as %40 and the like"
        )
    account, at, place = parts.netloc.rpartition("@")
    user, _, password = account.partition(":")
    settings = parse_qsl(parts.query, keep_blank_values=True)
    hidden = [password, *(value for name, value in settings if name == "password")]
    shown = urlunsplit(
        parts._replace(
            netloc=user + at + place,
            query=urlencode([pair for pair in settings if pair[0] != "password"], safe="/,"),
        )
    )
    secrets = {spelling for each in hidden if each for spelling in (each, unquote(each), quote(unquote(each), safe=""))}
    schema = dict(settings).get("search_path", SCHEMA).split(",")[0].strip()
    return Address(url, shown, tuple(sorted(secrets, key=len, reverse=True)), schema)
