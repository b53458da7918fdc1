"""vLLM's agentic-api: a gateway (Rust) that keeps Responses, over HTTP, each request naming the response before it."""

import atexit
import http.client
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

from growth import upstream
from growth.metering import Send, run


def open_chat(folder: Path) -> Send:
    gateway, previous = start(folder), None

    async def send(text: str) -> str:
        nonlocal previous
        asked = {"model": "gpt-5-mini", "input": text, "store": True, "previous_response_id": previous}
        gateway.request("POST", "/v1/responses", json.dumps(asked), {"content-type": "application/json"})
        answered = json.load(gateway.getresponse())
        previous = answered["id"]
        return str(answered["output"][0]["content"][0]["text"])

    return send


def start(folder: Path) -> http.client.HTTPConnection:
    """A connection to a gateway of our own, which ends with this process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("agentic-server")), "--skip-llm-ready-check"]
    command += ["--llm-api-base", upstream.start(), "--db-url", f"sqlite://{folder.resolve()}/agentic.db"]
    command += ["--gateway-host", "127.0.0.1", "--gateway-port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    atexit.register(server.kill)
    for _ in range(200):
        time.sleep(0.05)
        try:
            gateway = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            gateway.connect()
        except OSError:
            continue
        return gateway
    raise SystemExit("agentic-server did not start")


if __name__ == "__main__":
    run(open_chat)
