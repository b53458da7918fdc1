"""Google's Gemini API (`POST /models/{model}:generateContent`). As a module this is a `multiturn.formats.base.Format`;
`Dialect` says what an endpoint does differently. Beside the client's side stands the server's: requests decoded,
replies, streams and errors encoded.

Not carried, in either direction: safety ratings, log probabilities, finish messages and what Google says of a search
beside its sources; a continuation token (an answer that stopped for one ends with `length`); further fields of a part
whose kind is known. `CANNOT_CARRY` says what becomes of the parts of messages that the format does not know.
"""

from multiturn.formats.gemini.dialect import Dialect
from multiturn.formats.gemini.failures import decode_error
from multiturn.formats.gemini.incoming import ServerRequest, decode_request
from multiturn.formats.gemini.incoming_messages import decode_messages
from multiturn.formats.gemini.messages import CANNOT_CARRY, encode_messages
from multiturn.formats.gemini.outgoing import StreamEncoder, encode_error
from multiturn.formats.gemini.replies import decode_reply, encode_reply
from multiturn.formats.gemini.requests import encode_request, path
from multiturn.formats.gemini.streams import StreamDecoder, stream_decoder

__all__ = [
    "CANNOT_CARRY",
    "Dialect",
    "ServerRequest",
    "StreamDecoder",
    "StreamEncoder",
    "decode_error",
    "decode_messages",
    "decode_reply",
    "decode_request",
    "encode_error",
    "encode_messages",
    "encode_reply",
    "encode_request",
    "path",
    "stream_decoder",
]
