"""Our server, in this process and on a real socket.

    with Server(upstream=upstream.url) as server:            # its store is a file
        client = OpenAI(base_url=server.base_url, api_key="none")
        ...
        server.restart()                                     # another process would find the same store

It runs in a thread of its own, with its own event loop, so it serves sync and async clients alike. Settings are given
by name as `ServerSettings` has them; without an upstream, the model `offline` answers every name.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

import uvicorn

from multiturn.server.app import create_app
from multiturn.server.service import Service
from multiturn.server.settings import ServerSettings

T = TypeVar("T")


class Server:
    """The server, for the length of a `with` block. `settings` need a `store`."""

    def __init__(self, **settings: Any) -> None:
        self.settings = ServerSettings(**{"port": 0, "grpc": False, **settings})
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What OpenAI's SDK wants."""
        return f"{self.url}/v1"

    @property
    def service(self) -> Service:
        service: Service = self._app.state.service
        return service

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do this on the server's own loop, for what its store and caches hold."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def restart(self) -> None:
        """End it, and begin anew on the same store and port."""
        self._stop()
        self._start(self.port)

    def __enter__(self) -> Server:
        self._start(self.settings.port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def _start(self, port: int) -> None:
        self._app = create_app(self.settings)
        config = uvicorn.Config(
            self._app,
            port=port,
            http="httptools",
            ws="websockets-sansio",
            lifespan="on",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        started = self._started = threading.Event()
        self._thread.start()
        assert started.wait(20), "the server did not start"
        if self._failed is not None:
            raise self._failed

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                runner.run(self._serve())
        except BaseException as error:
            self._failed = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        serving = asyncio.create_task(self._server.serve())
        while not self._server.started and not serving.done():
            await asyncio.sleep(0.005)
        if self._server.started:
            self.port = self._server.servers[0].sockets[0].getsockname()[1]
            self._started.set()
        await serving

    def _stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive(), "the server did not end"
        if self._failed is not None:
            raise self._failed
