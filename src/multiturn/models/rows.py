"""The built-in providers: one row each, and what each does differently.

What a row says was taken from the provider's own documentation where it says so, and from what its users report where
it does not.
"""

from __future__ import annotations

from typing import Any

from multiturn.models.provider import Provider, Spoken


def _plain(**habits: Any) -> Spoken:
    """Chat completions as every server understands them, without what is OpenAI's own, but for these habits."""
    plain = {"developer_role": False, "max_tokens_field": "max_tokens", "refusals": False, "custom_tools": False}
    return Spoken("chat_completions", tuple({**plain, **habits}.items()))


def _careful(**habits: Any) -> Spoken:
    """The same of a server that we know nothing about, or that is somebody's own machine. It reads earlier tool calls
    into its chat template, which fails on broken arguments, and may fail on null."""
    return _plain(**{"repair_arguments": True, "null_content": False, **habits})


def _stateless(**habits: Any) -> Spoken:
    """The Responses API of a server that keeps no answers, and knows nothing that is OpenAI's own."""
    plain = {"keeps_answers": False, "encrypted_reasoning": False, "developer_role": False, "custom_tools": False}
    return Spoken("responses", tuple({**plain, **habits}.items()))


def unknown(name: str, base_url: str, *keys: str) -> Provider:
    """A server that we know nothing about."""
    spoken = (_careful(), _stateless(repair_arguments=True))
    return Provider(name=name, base_url=base_url, spoken=spoken, keys=keys, needs_key=False)


_BEFORE_CLAUDE_4_6 = r"claude-3.*|claude-(opus|sonnet|haiku)-4(-[0-5])?([-@]\d{8}|-latest)?"

# 400 "Encrypted content is not supported with this model" for models that do not think
_OPENAI_RESPONSES = Spoken("responses", of_models=((r"(ft:)?(gpt-[34]|chatgpt-|gpt-5-chat).*", (("thinks", False),)),))
_PLAIN_GROK = r".*non-reasoning.*|grok-2.*|grok-3(?!-mini).*"

ROWS = (
    Provider(
        name="openai",
        base_url="https://api.openai.com/v1",
        spoken=(Spoken("chat_completions"), _OPENAI_RESPONSES),
        keys=("OPENAI_API_KEY",),
        url_variable="OPENAI_BASE_URL",
    ),
    Provider(
        name="anthropic",
        base_url="https://api.anthropic.com",
        # platform.claude.com/docs/en/build-with-claude/adaptive-thinking: since Claude 4.6
        spoken=(Spoken("anthropic", of_models=((_BEFORE_CLAUDE_4_6, (("thinking", "budget"),)),)),),
        keys=("ANTHROPIC_API_KEY",),
        key_header="x-api-key",
        headers=(("anthropic-version", "2023-06-01"),),
        url_variable="ANTHROPIC_BASE_URL",
        models_path="/v1/models?limit=1000",
    ),
    Provider(
        name="gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta",
        spoken=(Spoken("gemini"),),
        keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        key_header="x-goog-api-key",
        host_variable="GOOGLE_GEMINI_BASE_URL",
        models_path="/models?pageSize=1000",
    ),
    Provider(
        name="xai",
        base_url="https://api.x.ai/v1",
        spoken=(
            _plain(max_tokens_field="max_completion_tokens", inputs=("image",)),  # files only over the other two
            Spoken("responses", (("custom_tools", False),), of_models=((_PLAIN_GROK, (("thinks", False),)),)),
        ),
        keys=("XAI_API_KEY",),
        url_variable="XAI_BASE_URL",
        grpc=True,
    ),
    Provider(
        name="arcee",
        base_url="https://api.arcee.ai/api/v1",
        # docs.arcee.ai: without its thinking, tool use over several turns goes wrong
        spoken=(_plain(reasoning_field="reasoning_content"),),
        keys=("ARCEE_API_KEY", "ARCEEAI_API_KEY"),
        url_variable="ARCEE_BASE_URL",
    ),
    Provider(
        name="deepseek",
        base_url="https://api.deepseek.com/v1",
        spoken=(
            _plain(
                inputs=("image",),
                # api-docs.deepseek.com/guides/thinking_mode: 400 if it is missing between two user messages where a
                # tool was called, whoever called it; elsewhere it is ignored
                reasoning_field="reasoning_content",
                reasoning_required=True,
                schemas=False,  # 400 "This response_format type is unavailable now" for json_schema
            ),
        ),
        keys=("DEEPSEEK_API_KEY",),
        url_variable="DEEPSEEK_BASE_URL",
    ),
    Provider(
        name="mistral",
        base_url="https://api.mistral.ai/v1",
        spoken=(
            _plain(
                inputs=("image",),  # recordings and documents have a shape of their own there
                names=False,  # 422 "Extra inputs are not permitted", for this and every other field it does not know
                seed_field="random_seed",
                stream_usage=False,  # a stream ends with the usage, asked for or not
                alternate=True,  # 400 for a system message after the first user message
                answers_tools=True,  # 400 "Unexpected role 'user' after role 'tool'"
                call_ids="[a-zA-Z0-9]{9}",
                call_prefix="",
            ),
        ),
        keys=("MISTRAL_API_KEY",),
        url_variable="MISTRAL_BASE_URL",
    ),
    Provider(
        name="groq",
        base_url="https://api.groq.com/openai/v1",
        spoken=(
            # console.groq.com/docs/openai: 400 for messages[].name
            _plain(inputs=("image",), names=False, max_tokens_field="max_completion_tokens"),
            _stateless(inputs=("image",)),  # console.groq.com/docs/responses-api
        ),
        keys=("GROQ_API_KEY",),
    ),
    Provider(
        name="openrouter",
        base_url="https://openrouter.ai/api/v1",
        spoken=(
            _plain(reasoning_field="reasoning", video=True),
            # openrouter.ai/docs/api_reference/responses: 400 for store and previous_response_id
            _stateless(encrypted_reasoning=True),
        ),
        keys=("OPENROUTER_API_KEY",),
        url_variable="OPENROUTER_BASE_URL",
    ),
    Provider(
        name="together",
        base_url="https://api.together.xyz/v1",
        spoken=(_plain(),),
        keys=("TOGETHER_API_KEY",),
        url_variable="TOGETHER_BASE_URL",
    ),
    Provider(
        name="fireworks",
        base_url="https://api.fireworks.ai/inference/v1",
        spoken=(_plain(reasoning_field="reasoning_content"),),
        keys=("FIREWORKS_API_KEY",),
        url_variable="FIREWORKS_BASE_URL",
    ),
    # learn.microsoft.com/azure/foundry/openai/api-version-lifecycle: the v1 API needs no api-version, and takes a
    # deployment's name for the model's
    Provider(
        name="azure",
        base_url="https://RESOURCE.openai.azure.com/openai/v1",
        spoken=(Spoken("chat_completions"), _OPENAI_RESPONSES),
        keys=("AZURE_OPENAI_API_KEY",),
        key_header="api-key",
        host_variable="AZURE_OPENAI_ENDPOINT",
        needs_host=True,
    ),
    Provider(
        name="ollama",
        base_url="http://localhost:11434/v1",
        # docs.ollama.com/api/openai-compatibility: Responses are stateless
        spoken=(_careful(reasoning_field="reasoning"), _stateless(repair_arguments=True)),
        keys=("OLLAMA_API_KEY",),
        needs_key=False,
        host_variable="OLLAMA_HOST",
    ),
    Provider(
        name="vllm",
        base_url="http://localhost:8000/v1",
        spoken=(
            _careful(
                reasoning_field="reasoning",  # called reasoning_content before 0.11; unknown fields are ignored
                alternate=True,  # many chat templates raise otherwise
                video=True,
            ),
            # without VLLM_ENABLE_RESPONSES_API_STORE, it stores nothing
            _stateless(repair_arguments=True, reasoning_text=True),
        ),
        keys=("VLLM_API_KEY",),
        needs_key=False,
    ),
    Provider(
        name="llamacpp",
        base_url="http://localhost:8080/v1",
        spoken=(_careful(reasoning_field="reasoning_content", alternate=True),),
        keys=("LLAMA_API_KEY",),
        needs_key=False,
    ),
    Provider(
        name="lmstudio",
        base_url="http://localhost:1234/v1",
        spoken=(
            _careful(alternate=True),
            # lmstudio.ai/docs/developer/api-changelog, 0.3.29: stateful interactions via previous_response_id
            _stateless(keeps_answers=True, repair_arguments=True),
        ),
        keys=("LM_API_TOKEN",),
        needs_key=False,
    ),
)
