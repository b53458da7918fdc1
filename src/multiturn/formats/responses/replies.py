"""Replies that came whole, read as a client. (What our server replies is in `served.py`.)"""

from __future__ import annotations

from multiturn.deltas import Answer
from multiturn.formats.decoding import UNREADABLE, read
from multiturn.formats.responses.dialect import Dialect
from multiturn.formats.responses.failures import reported_error, unreadable
from multiturn.formats.responses.readings import answer_of
from multiturn.formats.responses.wire import RESPONSE

_UNFINISHED = ("queued", "in_progress")


def decode_reply(body: bytes, dialect: Dialect) -> Answer:
    """The answer of a reply that was not streamed. Raises `InvalidReply`, or the error that the response tells of."""
    try:
        response = read(RESPONSE, body)
        if response.error or response.status in ("failed", "cancelled"):
            raise reported_error(response.error or f"the response is {response.status}", dialect, streamed=False)
        if response.output is None or response.status in _UNFINISHED:
            state = "no output" if response.output is None else f"its status is {response.status}"
            raise unreadable(body, dialect, state)
        return answer_of(response, response.output, dialect)
    except UNREADABLE as error:
        raise unreadable(body, dialect, str(error)) from error
