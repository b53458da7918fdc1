"""A log for the servers of each test, the check that none of them is left, and servers that several tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_servers.serving import Log, stdio
from multiturn.mcp import MCPServer


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "mcp.log")
    yield log
    assert log.running == []


@pytest.fixture(scope="module", params=[(), ("--old",)], ids=["new", "old"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MCPServer, Log]]:
    """A server over stdio that is open already, and its log; by the protocol of 2026, and by that of 2025."""
    log = Log(tmp_path_factory.mktemp("shared") / "mcp.log")
    with stdio(log, "shop", *request.param) as server:
        yield server, log
    assert len(log.pids) == 1
    assert log.running == []


@pytest.fixture
def shop(shared: tuple[MCPServer, Log]) -> MCPServer:
    return shared[0]


@pytest.fixture
def shop_log(shared: tuple[MCPServer, Log]) -> Log:
    """The log, empty at the start of each test, but for the process."""
    shared[1].forget()
    return shared[1]
