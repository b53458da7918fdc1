"""`Upstream`: what the settings say of one place that models are asked at."""

from __future__ import annotations

import math
import re
from urllib.parse import urlsplit

import msgspec

from multiturn.errors import InvalidInput
from multiturn.models.limits import Retries, Timeouts
from multiturn.models.provider import Api
from multiturn.models.remote import Endpoint

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """Servers that have the same models, and how they are asked. Checked when made: raises `InvalidInput`."""

    name: str
    """What routes, logs and errors call it."""

    urls: tuple[str, ...] = ()
    """The base URL of each replica, as in `http://gpu-1:8000/v1`; the provider's own address if there is none."""

    provider: str | None = None
    """Whose habits it has: `openai`, `anthropic`, `vllm`, …, or a row of your own. Without it, the provider whose
    address it is, or who has this upstream's name; else any OpenAI-compatible server."""

    api: Api | None = None
    """The API it is asked by, where its provider has several: `chat`, `responses` or `grpc`."""

    key_variable: str | None = None
    """The variable that holds its key. A provider's usual variable is read at that provider's own address alone."""

    key_file: str | None = None
    """The file that holds its key, and nothing else."""

    models: tuple[str, ...] = ()
    """The names of its models. They lead here, unless a route names them, and are listed by `/v1/models`."""

    timeouts: Timeouts = Timeouts()
    """How long to wait for it."""

    retries: Retries = Retries(attempts=2, longest_wait_s=5.0)
    """How often to ask all of its replicas while none answers; the caller's SDK tries again as well."""

    concurrency: int | None = None
    """How many calls each replica is given at once; None for as many as come."""

    queue: int = 100
    """How many more may wait for each replica."""

    queue_s: float = 30.0
    """How long a call may wait, in seconds."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or self.name == "offline":
            raise InvalidInput(f"{self.name!r} cannot be an upstream's name; take letters and digits, as in gpu-1")
        for url in self.urls:
            self._check_url(url)
        if len(set(self.urls)) < len(self.urls):
            raise InvalidInput(f"upstream {self.name} has the same URL twice")
        if self.key_variable is not None and self.key_file is not None:
            raise InvalidInput(f"upstream {self.name} has a key_variable and a key_file; give one")
        if self.key_variable is not None and not VARIABLE.fullmatch(self.key_variable):
            raise InvalidInput(f"upstream {self.name}: key_variable must be a variable's name, never the key itself")
        if self.concurrency is not None and self.concurrency < 1:
            raise InvalidInput(f"upstream {self.name}: concurrency is {self.concurrency}; it must be at least 1")
        if self.queue < 0:
            raise InvalidInput(f"upstream {self.name}: queue is {self.queue}; it must be at least 0")
        if not 0 < self.queue_s < math.inf:
            raise InvalidInput(f"upstream {self.name}: queue_s is {self.queue_s}; it must be above 0")

    def _check_url(self, url: str) -> None:
        Endpoint(provider=f"upstream {self.name}", base_url=url)
        if urlsplit(url).username is not None:
            raise InvalidInput(f"upstream {self.name}: a key does not belong into its URL; see key_variable, key_file")
