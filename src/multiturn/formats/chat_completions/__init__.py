"""OpenAI's chat completions (`POST /chat/completions`), spoken by most servers. As a module this is a
`multiturn.formats.base.Format`; `Dialect` says what an endpoint does differently. Beside the client's side stands the
server's: requests decoded, replies, streams and errors encoded.

Not carried, in either direction: log probabilities, `<think>` tags inside the text (they stay text), and OpenRouter's
`reasoning_details`. `CANNOT_CARRY` says what becomes of the parts of messages that the format does not know.
"""

from multiturn.formats.chat_completions.dialect import Dialect
from multiturn.formats.chat_completions.incoming import ECHOED, ServerRequest, decode_request
from multiturn.formats.chat_completions.incoming_messages import decode_messages
from multiturn.formats.chat_completions.messages import CANNOT_CARRY, encode_messages
from multiturn.formats.chat_completions.outgoing import StreamEncoder, encode_error
from multiturn.formats.chat_completions.replies import decode_reply, encode_reply
from multiturn.formats.chat_completions.requests import encode_request, path
from multiturn.formats.chat_completions.stored import stored_messages
from multiturn.formats.chat_completions.streams import StreamDecoder, stream_decoder
from multiturn.formats.failures import decode_error

__all__ = [
    "CANNOT_CARRY",
    "ECHOED",
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
    "stored_messages",
    "stream_decoder",
]
