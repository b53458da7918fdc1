"""Responses and conversations, as Open Responses and OpenAI have them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from multiturn.server.openapi.chat_completions import ERROR, Limit, Order
from multiturn.server.openapi.open_responses import STREAM_EVENT
from multiturn.server.openapi.operations import Api, Operation, Query

Metadata: TypeAlias = Annotated[dict[str, Annotated[str, Meta(max_length=512)]], Meta(max_length=16)]


class Deleted(Struct):
    id: str
    object: Literal["response.deleted"]
    deleted: Literal[True]


class Items(Struct):
    """A page of items, each an `ItemField`."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class InputTokens(Struct):
    object: Literal["response.input_tokens"]
    input_tokens: int


class NewConversation(Struct):
    """With the items that it begins with, each an `ItemParam`."""

    items: Annotated[list[dict[str, Any]], Meta(max_length=20)] | None = None
    metadata: Metadata | None = None


class ConversationUpdate(Struct):
    metadata: Metadata | None


class NewItems(Struct):
    """Items to add, each an `ItemParam`."""

    items: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=20)]


class Conversation(Struct):
    id: str
    object: Literal["conversation"]
    created_at: int
    metadata: Metadata


class DeletedConversation(Struct):
    id: str
    object: Literal["conversation.deleted"]
    deleted: Literal[True]


INCLUDE = Query("include", list[str], "What to show beside, as `reasoning.encrypted_content`.")
PAGE = (
    Query("limit", Limit, "How many at most; 20 without it."),
    Query("order", Order, "Newest first without it."),
    Query("after", str, "The id of the last one before this page."),
    INCLUDE,
)
_RESPONSE, _EVENT = "ResponseResource", STREAM_EVENT
_ONE = "/v1/responses/{response_id}"
_TALK = "/v1/conversations/{conversation_id}"

RESPONSES = Api(
    "Responses",
    (
        Operation(
            "POST",
            "/v1/responses",
            "createResponse",
            "An answer, to go on from by its id",
            _RESPONSE,
            "CreateResponseBody",
            events=_EVENT,
            asks=True,
        ),
        Operation(
            "POST",
            "/v1/responses/compact",
            "compactResponse",
            "A shorter history in the place of a long one",
            "CompactResource",
            "CompactResponseMethodPublicBody",
            asks=True,
        ),
        Operation(
            "POST",
            "/v1/responses/input_tokens",
            "countInputTokens",
            "How many tokens the model would read",
            InputTokens,
            "CreateResponseBody",
        ),
        Operation(
            "GET",
            _ONE,
            "getResponse",
            "A stored response; with `stream`, the events of one that ran in the background",
            _RESPONSE,
            events=_EVENT,
            query=(
                INCLUDE,
                Query("stream", bool, "Whether to send its events, those to come as they come."),
                Query("starting_after", Annotated[int, Meta(ge=0)], "The number of the last event that is known."),
            ),
        ),
        Operation("DELETE", _ONE, "deleteResponse", "Delete a stored response", Deleted),
        Operation("POST", f"{_ONE}/cancel", "cancelResponse", "Stop a response that runs in the background", _RESPONSE),
        Operation("GET", f"{_ONE}/input_items", "listInputItems", "What it was made from", Items, query=PAGE),
    ),
    ERROR,
    prefix="Response",
)

CONVERSATIONS = Api(
    "Conversations",
    (
        Operation(
            "POST",
            "/v1/conversations",
            "createConversation",
            "A conversation",
            Conversation,
            NewConversation,
            is_body_required=False,
        ),
        Operation("GET", _TALK, "getConversation", "A conversation", Conversation),
        Operation("POST", _TALK, "updateConversation", "Other metadata", Conversation, ConversationUpdate),
        Operation("DELETE", _TALK, "deleteConversation", "Delete a conversation", DeletedConversation),
        Operation("POST", f"{_TALK}/items", "createConversationItems", "Add items", Items, NewItems, query=(INCLUDE,)),
        Operation("GET", f"{_TALK}/items", "listConversationItems", "What was said in it", Items, query=PAGE),
        Operation(
            "GET", f"{_TALK}/items/{{item_id}}", "getConversationItem", "One item", "ItemField", query=(INCLUDE,)
        ),
        Operation(
            "DELETE",
            f"{_TALK}/items/{{item_id}}",
            "deleteConversationItem",
            "Let no model see the item again",
            Conversation,
        ),
    ),
    ERROR,
    prefix="Conversations",
)
