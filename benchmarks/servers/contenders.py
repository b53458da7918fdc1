"""The servers that are measured: how each is started, and where it keeps what is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import peers
from growth.metering import weigh
from places import Place
from servers.processes import Process, free_port

Command = Callable[[Path, int, str, Path], list[str | Path]]
"""From an interpreter, a port, the upstream's base URL without `/v1` and an empty folder."""

OURS, AGENTIC, LITELLM = "multiturn", "agentic-api", "LiteLLM proxy"


_VARIABLES = {
    "OPENAI_API_KEY": "sk-none",
    "LITELLM_LOG": "ERROR",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # no keys: none of the servers looks for any
}


@dataclass(frozen=True)
class Contender:
    """One server. `stores` is whether it keeps Responses; else only its Chat Completions are measured."""

    name: str
    python: Path
    command: Command
    stores: bool = True
    size: Callable[[Path], int] = weigh
    """Bytes that are stored, when it does not run."""

    def serve(self, port: int, upstream: str, folder: Path) -> Process:
        command = self.command(self.python, port, upstream, folder)
        return Process(
            command, port, log=folder / "server.log", variables=_VARIABLES | {"AGENTIC_API_HOME": str(folder)}
        )


def ours(python: Path) -> Contender:
    """Our server on SQLite."""

    def command(python: Path, port: int, upstream: str, folder: Path) -> list[str | Path]:
        return _ours(python, port, upstream, f"sqlite:///{folder}/multiturn.db")

    return Contender(OURS, python, command)


def ours_on(place: Place, python: Path) -> Contender:
    """Our server on a new database there; for one measurement."""
    url = place.fresh()

    def command(python: Path, port: int, upstream: str, folder: Path) -> list[str | Path]:
        return _ours(python, port, upstream, url)

    return Contender(f"{OURS}, {place.name}", python, command, size=lambda folder: place.size(url))


def _ours(python: Path, port: int, upstream: str, store: str) -> list[str | Path]:
    where = ["--host", "127.0.0.1", "--port", str(port), "--grpc-port", str(free_port()), "--store", store]
    return [python, "-m", "multiturn", "serve", *where, "--upstream", f"{upstream}/v1"]


def _agentic(python: Path, port: int, upstream: str, folder: Path) -> list[str | Path]:
    listen = ["--gateway-host", "127.0.0.1", "--gateway-port", str(port)]
    place = ["--llm-api-base", upstream, "--db-url", f"sqlite://{folder}/agentic.db"]
    return [python.with_name("agentic-server"), "--skip-llm-ready-check", *listen, *place]


_LITELLM = """\
model_list:
  - model_name: gpt-5-mini
    litellm_params: {{model: openai/gpt-5-mini, api_base: "{upstream}/v1", api_key: sk-none}}
"""


def _litellm(python: Path, port: int, upstream: str, folder: Path) -> list[str | Path]:
    configuration = folder / "litellm.yaml"
    configuration.write_text(_LITELLM.format(upstream=upstream))
    return [python.with_name("litellm"), "--config", configuration, "--host", "127.0.0.1", "--port", str(port)]


def contenders(own: Path, *, quick: bool) -> list[Contender]:
    """Ours first, run by that interpreter. Peers are installed when they are not, except when `quick`: then they are
    left out; LiteLLM is in any case, for it takes ten seconds to start."""
    python = peers.installed() if quick else peers.python()
    found = [ours(own)]
    if python is not None:
        found.append(Contender(AGENTIC, python, _agentic))
    if not quick:
        found.append(Contender(LITELLM, peers.python("peers-litellm-proxy"), _litellm, stores=False))
    return found
