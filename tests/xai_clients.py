"""Official clients of xAI's, for the gRPC door of our own server."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import grpc
import pytest
import xai_sdk

from multiturn.server.auth import new_key
from multiturn.server.xai import Grpc
from multiturn.turns import Turn
from serving import Server

T = TypeVar("T")
ONCE: list[tuple[str, Any]] = [("grpc.enable_retries", 0)]


class Door:
    """The gRPC door of a server, open until it is closed."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._grpc = Grpc()
        self.port = server.run(self._grpc.start(server.service))
        self._is_open = True

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    def close(self, grace_s: float = 1.0) -> None:
        if self._is_open:
            self._is_open = False
            self.server.run(self._grpc.stop(grace_s))

    def turns(self, tenant: str = "") -> list[Turn]:
        """Everything that is stored, oldest first."""

        async def read() -> list[Turn]:
            store = self.server.service.store.tenant(tenant)
            trees = [await store.tree(record.id) for record in await store.conversations()]
            return sorted({turn.id: turn for tree in trees for turn in tree}.values(), key=lambda turn: turn.id)

        return self.server.run(read())

    def key(self, tenant: str, **limits: Any) -> str:
        """A new API key of this tenant's. From the first one on, everybody needs one."""
        text, record = new_key(tenant, **limits)
        self.server.run(self.server.service.store.create_key(record))
        return text


def client_of(host: str, key: str = "none", **more: Any) -> Any:
    """A client that tries nothing twice."""
    return xai_sdk.Client(api_key=key, api_host=host, **{"channel_options": ONCE, **more})


def async_client_of(host: str, key: str = "none") -> Any:
    return xai_sdk.AsyncClient(api_key=key, api_host=host, channel_options=ONCE)


def refused(ask: Callable[[], object]) -> tuple[str, str]:
    """The status with which the call ends: its code's name, and its details."""
    with pytest.raises(grpc.RpcError) as caught:
        ask()
    return caught.value.code().name, caught.value.details()


async def refused_async(asking: Coroutine[Any, Any, object]) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        await asking
    error: Any = caught.value
    return error.code().name, error.details()
