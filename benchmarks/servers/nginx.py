"""An upstream that answers at once: nginx with files, on two ports, for it does not look into a request: one whose
answers are whole, and one whose answers are streams."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from servers import answers
from servers.processes import Process, free_port

INSTALL = "the upstream of this benchmark is nginx: apt-get install nginx"

_CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  open_file_cache max=10;
  client_max_body_size 1g;
  client_body_buffer_size 16m;  # in memory, whatever the length of a conversation
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{whole};
    default_type application/json;
    location = /v1/chat/completions {{ return 200 '{completion}'; }}
    location = /v1/responses {{ return 200 '{response}'; }}
  }}
  server {{
    listen 127.0.0.1:{streamed};
    default_type text/event-stream;
    root {folder};
    error_page 405 =200 $uri;  # a file answers a POST as it does a GET
    sub_filter {id} $request_id;
    sub_filter_once off;
    sub_filter_types text/event-stream;
  }}
}}
"""


class Upstream(NamedTuple):
    """Base URLs, without `/v1`."""

    whole: str
    streamed: str


def missing() -> bool:
    return _program() is None


def _program() -> str | None:
    """Debian keeps it where only root looks."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def serve(folder: Path) -> Iterator[Upstream]:
    """nginx for as long as the block lasts; `folder` is for its files. Exits where nginx is not installed."""
    program = _program()
    if program is None:
        raise SystemExit(INSTALL)
    (folder / "v1" / "chat").mkdir(parents=True)
    (folder / "v1" / "chat" / "completions").write_bytes(answers.streamed_completion())
    (folder / "v1" / "responses").write_bytes(answers.streamed_response())
    whole, streamed, configuration = free_port(), free_port(), folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            folder=folder,
            user="user root;" if os.geteuid() == 0 else "",  # root's nginx would read files as `nobody`
            whole=whole,
            streamed=streamed,
            completion=_with_id(answers.whole_completion()),
            response=_with_id(answers.whole_response()),
            id=answers.ID,
        )
    )
    command: list[str | Path] = [program, "-e", folder / "nginx.log", "-p", folder, "-c", configuration]
    with Process(command, streamed, log=folder / "nginx.out"):
        yield Upstream(f"http://127.0.0.1:{whole}", f"http://127.0.0.1:{streamed}")


def _with_id(answer: bytes) -> str:
    """As nginx's configuration wants it, every answer with an id of its own, as real ones have."""
    return answer.decode().replace(answers.ID, "$request_id")
