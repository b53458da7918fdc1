"""OpenAI's Responses API (`POST /responses`), which is Open Responses too. As a module this is a
`multiturn.formats.base.Format`; `Dialect` says what an endpoint does differently. Beside the client's side stands the
server's: requests decoded; responses, items, streams and errors encoded.

Not carried, in either direction: log probabilities, annotations and contents of messages that OpenAI does not have.
`CANNOT_CARRY` says what becomes of the parts of messages that the format does not know.
"""

from multiturn.formats.responses.dialect import Dialect
from multiturn.formats.responses.echo import Echo
from multiturn.formats.responses.failures import decode_error
from multiturn.formats.responses.incoming import ServerRequest, check_metadata, decode_request
from multiturn.formats.responses.incoming_messages import decode_messages, references
from multiturn.formats.responses.item_ids import Place, item_id, place_of
from multiturn.formats.responses.messages import CANNOT_CARRY, encode_messages
from multiturn.formats.responses.outgoing import StreamEncoder, encode_error
from multiturn.formats.responses.replies import decode_reply
from multiturn.formats.responses.requests import encode_request, path
from multiturn.formats.responses.served import encode_reply, encode_response
from multiturn.formats.responses.served_items import encode_items
from multiturn.formats.responses.streams import StreamDecoder, stream_decoder

__all__ = [
    "CANNOT_CARRY",
    "Dialect",
    "Echo",
    "Place",
    "ServerRequest",
    "StreamDecoder",
    "StreamEncoder",
    "check_metadata",
    "decode_error",
    "decode_messages",
    "decode_reply",
    "decode_request",
    "encode_error",
    "encode_items",
    "encode_messages",
    "encode_reply",
    "encode_request",
    "encode_response",
    "item_id",
    "path",
    "place_of",
    "references",
    "stream_decoder",
]
