"""Property tests draw the same examples in every run of `make test`, so that what fails fails again; `make torture`
draws new ones."""

from __future__ import annotations

import os

from hypothesis import settings

# Terminals are forked off, and gRPC's handlers abort a fork while its threads are at work; it reads this when imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

settings.register_profile("same", derandomize=True)
settings.register_profile("new")
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
