"""Which conversation, where, and who answers: what the options of `multiturn chat` come to."""

from __future__ import annotations

import os
import shlex
from typing import NamedTuple

import click

from multiturn.cli.ids import known_id
from multiturn.cli.places import open_for_writing, without_password
from multiturn.conversation import Conversation
from multiturn.models.registry import UPSTREAM, resolve

OFFLINE = "offline"


class Asked(NamedTuple):
    """The options, as they were given."""

    model: str | None = None
    store: str | None = None
    conversation: str | None = None
    system: str | None = None
    base_url: str | None = None
    tenant: str | None = None

    def way_back(self, id: str) -> str:
        """The command that goes on with a conversation; a password in it is left to be filled in."""
        store = ["--store", without_password(self.store)] if self.store else []
        tenant = ["--tenant", self.tenant] if self.tenant else []
        server = ["--base-url", without_password(self.base_url)] if self.base_url else []
        return shlex.join(["multiturn", "chat", "--conversation", id, *store, *tenant, *server])


class Opened(NamedTuple):
    """A conversation to talk in. `resumed` says that there was one; `stand_in`, that the offline model answers because
    nobody named one."""

    chat: Conversation
    asked: Asked
    resumed: bool
    stand_in: bool


async def open_chat(asked: Asked) -> Opened:
    """The conversation to talk in. Raises where no model can be meant, before anything is said."""
    store = open_for_writing(asked.store, asked.tenant)
    id = await known_id(store, asked.conversation) if asked.conversation else None
    chat = Conversation(asked.model, instructions=asked.system, store=store, id=id, base_url=asked.base_url)
    stored = await chat.alatest() if id else None
    chosen = stored.model if stored and stored.model != OFFLINE else None  # the stand-in was nobody's choice
    named = asked.model or chosen or os.environ.get("MULTITURN_MODEL")
    chat.model = named or OFFLINE
    if not named:
        _check_no_server(asked)
    resolve(chat.model, base_url=asked.base_url)
    return Opened(chat, asked, resumed=stored is not None, stand_in=named is None and stored is None)


def _check_no_server(asked: Asked) -> None:
    """A server without a model's name is not to be answered for by the stand-in."""
    given = "--base-url" if asked.base_url else UPSTREAM if os.environ.get(UPSTREAM) else None
    if given:
        raise click.UsageError(f"{given} names a server, but no model; add --model NAME")
