"""xAI's own API: the gRPC service `xai_api.Chat`, in the protobuf messages of the wheel `xai-sdk` (extra `[xai]`).

Protobuf is not JSON, so this is not a `multiturn.formats.base.Format`, but its functions have the same names and do
the same work: bytes in, our values out, and back, without I/O. `encode_messages` gives the `messages` fields of a
request. Repeated fields are concatenated on the wire, so a request is its history's kept bytes and what is new.

Here is only what needs no wheel; everything else is in the modules, each of which says what to install:

    messages, content, requests     what a client sends
    replies, streams, readings      what it gets
    failures                        gRPC's status codes as errors, and back
    incoming, outgoing              as a server: requests decoded; replies and streams encoded
    served, compaction              and the other messages of the service

Not kept, in either direction: log probabilities, debug output, the system fingerprint, the service tier. Pictures that
the image generation tool makes stay inside the opaque part of its output. `messages.CANNOT_CARRY` says what becomes
of the parts of messages that the format does not know.
"""

from multiturn.formats.xai.dialect import Dialect

__all__ = ["Dialect"]
