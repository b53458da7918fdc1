"""xAI's gRPC API, on a port of its own: `xai_api.Chat`, and the language models of `xai_api.Models`. Imported only
where it is served, for it needs the wheel `xai-sdk` (extra `[xai]`)."""

from multiturn.server.xai.serving import Grpc

__all__ = ["Grpc"]
