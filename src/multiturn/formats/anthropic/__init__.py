"""Anthropic's Messages API (`POST /v1/messages`), spoken by Claude and by many servers of open models. As a module this
is a `multiturn.formats.base.Format`; `Dialect` says what an endpoint does differently. Beside the client's side stands
the server's: requests decoded, replies, streams and errors encoded.

An endpoint wants the headers of `HEADERS`, and its key in `KEY_HEADER`. No beta feature is asked for; those that a
caller wants go into `Settings.extra` and the endpoint's headers. `CANNOT_CARRY` says what becomes of that which the
format does not know.
"""

from multiturn.formats.anthropic.dialect import Dialect
from multiturn.formats.anthropic.failures import decode_error
from multiturn.formats.anthropic.incoming import ServerRequest, decode_count, decode_request, encode_count
from multiturn.formats.anthropic.incoming_messages import decode_messages
from multiturn.formats.anthropic.messages import CANNOT_CARRY, encode_messages
from multiturn.formats.anthropic.outgoing import PING, StreamEncoder, encode_error
from multiturn.formats.anthropic.replies import decode_reply, encode_reply
from multiturn.formats.anthropic.requests import encode_request, path
from multiturn.formats.anthropic.streams import StreamDecoder, stream_decoder

KEY_HEADER = "x-api-key"
HEADERS = (("anthropic-version", "2023-06-01"),)

__all__ = [
    "CANNOT_CARRY",
    "HEADERS",
    "KEY_HEADER",
    "PING",
    "Dialect",
    "ServerRequest",
    "StreamDecoder",
    "StreamEncoder",
    "decode_count",
    "decode_error",
    "decode_messages",
    "decode_reply",
    "decode_request",
    "encode_count",
    "encode_error",
    "encode_messages",
    "encode_reply",
    "encode_request",
    "path",
    "stream_decoder",
]
