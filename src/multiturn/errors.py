"""Every error that multiturn raises.

    MultiturnError
      InvalidInput            what the caller gave cannot be used            (also a ValueError)
        UnknownModel            no such provider, or no upstream for this name
        MissingKey              the provider's key is not set
        TooLong                 more than the model's window holds, by itself
      NotFound                no such conversation or turn                   (also a LookupError)
      ConversationBusy        another send runs on this conversation
      Unauthorized            the server wants an API key, and got none that is valid
      GoingDown               the server is being stopped
      ModelError              the model, or the way to it, failed; the turn is kept as `failed`
        AuthenticationFailed    401, 403: the key is wrong or may not do this
        ModelNotFound           404: no such model or no such address
        RequestRejected         400, 422 and other 4xx: the provider does not accept the request
          ContextOverflow         the conversation is longer than the model's window
          StateLost               the provider no longer holds the answer that the request goes on from
        RequestTooLarge         413: the request's body is too big
        RateLimited             429, after the retries: `retry_after_s` says when to come again
        ProviderFailed          5xx, after the retries
        ConnectionFailed        refused, unreachable, unknown host, TLS
        TimedOut                a limit of `Timeouts` passed
          ConnectTimedOut         no connection
          FirstByteTimedOut       connected, but no answer began
          IdleTimedOut            the answer began, then fell silent
          TotalTimedOut           the whole took too long
        InvalidReply            the answer is not what the format says
          MalformedStream         a stream that is not server-sent events, or not JSON inside them
        StreamCut               the stream ended before the answer did
        EmptyAnswer             the model answered with nothing at all
        OutputInvalid           the typed answer was wrong, after it was asked for anew
      RunCancelled            the caller stopped the run
      MCPFailed               an MCP server could not be started or reached, or has ended
      StoreError              the store cannot do its work
        SchemaTooNew            the file was written by a newer multiturn
        Sealed                  what is stored is encrypted, and the key is missing or another
        SearchOff               what was said cannot be searched, for it is encrypted

Blame is the type: `InvalidInput` is yours to mend, a `ModelError` the provider's, a `StoreError` the disk's. After any
`ModelError` the conversation is as it was before, and `retry()` runs the same words again.
"""

from __future__ import annotations


class MultiturnError(Exception):
    """The root of the tree."""


class InvalidInput(MultiturnError, ValueError):
    """What the caller gave cannot be used; the message says what would be."""


class UnknownModel(InvalidInput):
    """The model's name leads nowhere."""


class MissingKey(InvalidInput):
    """The provider needs a key, and the variable that should hold it is not set."""


class TooLong(InvalidInput):
    """What is to be said does not fit the model's window, whatever else is left out. `tokens` is what it takes, with
    instructions, tools and pinned turns; `budget_tokens` what there is."""

    def __init__(self, message: str, *, tokens: int = 0, budget_tokens: int = 0) -> None:
        super().__init__(message)
        self.tokens = tokens
        self.budget_tokens = budget_tokens


class NotFound(MultiturnError, LookupError):
    """There is no such conversation or turn."""

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(f"there is no {kind} {id!r}")
        self.kind = kind
        self.id = id


class ConversationBusy(MultiturnError):
    """Another send is running on this conversation, here or in another process."""

    def __init__(self, conversation_id: str) -> None:
        super().__init__(f"another turn is running on conversation {conversation_id!r}; wait for it, or fork")
        self.conversation_id = conversation_id


class Unauthorized(MultiturnError):
    """Who calls the server has no API key, or one that is not known or revoked, which is all the same to them."""


class GoingDown(MultiturnError):
    """The server is being stopped: nothing new begins, and what ran for too long was ended. Another one, or this one
    after `retry_after_s` seconds, answers."""

    retry_after_s = 1.0

    def __init__(
        self, message: str = "the server is going down; ask again: another one, or this one in a moment, answers"
    ) -> None:
        super().__init__(message)


class ModelError(MultiturnError):
    """The model, or the way to it, failed. Attributes are None where nothing is known.

    `status` is the HTTP status; `body` the start of the provider's answer; `retry_after_s` seconds; `turn_id` the
    failed turn, which holds the user's words and whatever text had arrived.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        body: str | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.model = model
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.body = body
        self.turn_id: str | None = None


class AuthenticationFailed(ModelError):
    """The provider does not accept the key, or the key may not do this (401, 403)."""


class ModelNotFound(ModelError):
    """The provider has no such model, or the address is wrong (404)."""


class RequestRejected(ModelError):
    """The provider does not accept the request (400, 422 and other 4xx)."""


class ContextOverflow(RequestRejected):
    """The conversation is longer than the model's window."""


class StateLost(RequestRejected):
    """The provider no longer holds the answer that the request goes on from, by its id. The whole history is sent
    again then, so that a caller sees this only where that is impossible."""


class RequestTooLarge(ModelError):
    """The request's body is bigger than the provider takes (413)."""


class RateLimited(ModelError):
    """Too many requests, or a quota used up (429); `retry_after_s` says when to come again, if the provider did."""


class ProviderFailed(ModelError):
    """The provider answered with a server error (5xx), or said in mid-stream that it failed."""


class ConnectionFailed(ModelError):
    """No connection: refused, unreachable, unknown host, or TLS."""


class TimedOut(ModelError):
    """A limit of `Timeouts` passed; `limit_s` is which, in seconds."""

    limit_s: float | None = None


class ConnectTimedOut(TimedOut):
    """No connection within `connect_s`."""


class FirstByteTimedOut(TimedOut):
    """Connected, but no answer began within `first_byte_s`."""


class IdleTimedOut(TimedOut):
    """The answer began, then nothing came for `idle_s`."""


class TotalTimedOut(TimedOut):
    """The whole answer took longer than `total_s`."""


class InvalidReply(ModelError):
    """The answer is not what the format says: invalid JSON, or a shape without an answer in it."""


class MalformedStream(InvalidReply):
    """What came in the stream is not server-sent events, or not JSON inside them."""


class StreamCut(ModelError):
    """The stream ended before the answer did."""


class EmptyAnswer(ModelError):
    """The model ended its answer without a word, a tool call or a refusal."""


class OutputInvalid(ModelError):
    """The model did not give an answer of the type that was asked for, though it was told what was wrong."""


class RunCancelled(MultiturnError):
    """The run was stopped by its `Cancel`. What was said by then is in the incomplete turn `turn_id`."""

    turn_id: str | None = None


class MCPFailed(MultiturnError):
    """An MCP server could not be started or reached, did not answer in time, or has ended."""


class StoreError(MultiturnError):
    """The store cannot do its work: a full disk, a damaged file, a database that is gone."""


class SchemaTooNew(StoreError):
    """The store was written by a newer version of multiturn; upgrade to read it."""


class Sealed(StoreError):
    """What is stored is encrypted, and the key that was given, if any, does not open it."""


class SearchOff(StoreError):
    """What was said is encrypted, so that there are no words to search."""
