"""Chat Completions and models, as OpenAI has them. What requests hold is what `formats.chat_completions` reads, which
passes fields on that it does not know."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from multiturn.formats.chat_completions.wire import IncomingMessage, ToolCallItem
from multiturn.server.openapi.operations import Api, Operation, Query

Limit: TypeAlias = Annotated[int, Meta(ge=1, le=100)]
Order: TypeAlias = Literal["asc", "desc"]
Metadata: TypeAlias = dict[str, str]


class ErrorDetails(Struct):
    message: str
    type: str
    param: str | None
    code: str | None


class Error(Struct):
    """What went wrong, as OpenAI tells it."""

    error: ErrorDetails


ERROR = "ChatError"
"""What that is called in the document, for whoever else answers with it."""

# --- what is asked --------------------------------------------------------------------------------------------------


class FunctionSpec(Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Struct):
    function: FunctionSpec
    type: Literal["function"] = "function"


class FunctionName(Struct):
    name: str


class NamedTool(Struct):
    function: FunctionName
    type: Literal["function"] = "function"


class JsonSchema(Struct):
    name: str
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(Struct):
    include_usage: bool | None = None


class Request(Struct):
    """What a model is asked, with all that was said so far."""

    messages: Annotated[list[IncomingMessage], Meta(min_length=1)]
    model: str
    tools: list[Tool] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    n: Annotated[int, Meta(ge=1)] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    store: bool | None = None
    metadata: Metadata | None = None
    user: str | None = None


class Update(Struct):
    metadata: Metadata | None


# --- what is answered -----------------------------------------------------------------------------------------------


class UrlCitation(Struct):
    start_index: int
    end_index: int
    title: str
    url: str


class Annotation(Struct):
    type: Literal["url_citation"]
    url_citation: UrlCitation


class Message(Struct):
    """`reasoning_content` and `images` are as DeepSeek and OpenRouter have them."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    annotations: list[Annotation] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    images: list[dict[str, Any]] | UnsetType = UNSET
    audio: dict[str, Any] | UnsetType = UNSET
    tool_calls: list[ToolCallItem] | UnsetType = UNSET


FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]


class Choice(Struct):
    index: int
    message: Message
    logprobs: None
    finish_reason: FinishReason


class PromptDetails(Struct):
    cached_tokens: int
    cache_write_tokens: int | UnsetType = UNSET


class CompletionDetails(Struct):
    reasoning_tokens: int


class Usage(Struct):
    """`cost` is in US dollars, where the provider states it."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails
    cost: float | UnsetType = UNSET


class Completion(Struct):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: Annotated[list[Choice], Meta(min_length=1)]
    usage: Usage | UnsetType = UNSET


class Stored(Completion, kw_only=True):
    """A completion that was stored, with what it repeats of its request."""

    metadata: Metadata
    input_user: str | None
    tools: list[dict[str, Any]] | None
    tool_choice: Any
    response_format: dict[str, Any] | None
    temperature: float | None
    top_p: float | None
    presence_penalty: float | None
    frequency_penalty: float | None
    seed: int | None
    service_tier: str | None


class DeltaFunction(Struct):
    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET


class DeltaCustom(Struct):
    name: str | UnsetType = UNSET
    input: str | UnsetType = UNSET


class DeltaCall(Struct):
    index: int
    id: str | UnsetType = UNSET
    type: Literal["function", "custom"] | UnsetType = UNSET
    function: DeltaFunction | UnsetType = UNSET
    custom: DeltaCustom | UnsetType = UNSET


class Delta(Struct):
    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    refusal: str | UnsetType | None = UNSET
    annotations: list[Annotation] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    images: list[dict[str, Any]] | UnsetType = UNSET
    audio: dict[str, Any] | UnsetType = UNSET
    tool_calls: list[DeltaCall] | UnsetType = UNSET


class ChunkChoice(Struct):
    index: int
    delta: Delta
    logprobs: None
    finish_reason: FinishReason | None


class Chunk(Struct):
    """An event of a stream; the last is `[DONE]`."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | UnsetType | None = UNSET


class StoredMessage(Struct):
    """A message that led to a stored completion."""

    id: str
    role: str
    content: str | None
    content_parts: list[dict[str, Any]] | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    refusal: str | UnsetType | None = UNSET
    tool_calls: list[ToolCallItem] | UnsetType = UNSET
    tool_call_id: str | UnsetType = UNSET


class Completions(Struct):
    object: Literal["list"]
    data: list[Stored]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Messages(Struct):
    object: Literal["list"]
    data: list[StoredMessage]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Deleted(Struct):
    object: Literal["chat.completion.deleted"]
    id: str
    deleted: Literal[True]


_PATH = "/v1/chat/completions"
_PAGE = (
    Query("limit", Limit, "How many at most; 20 without it."),
    Query("order", Order, "Oldest first without it."),
    Query("after", str, "The id of the last one before this page."),
)

API = Api(
    "Chat Completions",
    (
        Operation(
            "POST",
            _PATH,
            "createChatCompletion",
            "An answer; stored where `store` says so",
            Completion,
            Request,
            events=(Chunk, Error),
            asks=True,
        ),
        Operation(
            "GET",
            _PATH,
            "listChatCompletions",
            "Those that are stored, of a model or with some metadata (`metadata[key]=value`)",
            Completions,
            query=(*_PAGE, Query("model", str, "Only those of this model.")),
        ),
        Operation("GET", f"{_PATH}/{{id}}", "getChatCompletion", "A stored completion", Stored),
        Operation("POST", f"{_PATH}/{{id}}", "updateChatCompletion", "Other metadata", Stored, Update),
        Operation("DELETE", f"{_PATH}/{{id}}", "deleteChatCompletion", "Delete a stored completion", Deleted),
        Operation(
            "GET",
            f"{_PATH}/{{id}}/messages",
            "getChatCompletionMessages",
            "What was said before it",
            Messages,
            query=_PAGE,
        ),
    ),
    ERROR,
    prefix="Chat",
)
