"""What is known of models: the file itself, how names are found in it, and what calls cost."""

from __future__ import annotations

import datetime

import msgspec
import pytest

from multiturn.messages import Usage
from multiturn.models import catalogue
from multiturn.models.catalogue import ModelInfo, Price, find, listed
from multiturn.models.providers import PROVIDERS

FILE = catalogue.load()
EVERY = [(provider, id, info) for provider, shelf in FILE.providers.items() for id, info in shelf.models.items()]


# --- the file -------------------------------------------------------------------------------------------------------


def test_every_shelf_is_a_provider_s_and_says_where_its_figures_come_from() -> None:
    assert FILE.providers.keys() <= PROVIDERS.keys()
    assert {name for name, row in PROVIDERS.items() if row.needs_key} == FILE.providers.keys()
    for shelf in FILE.providers.values():
        assert shelf.source.startswith("https://")
        assert datetime.date(2026, 1, 1) < shelf.checked <= FILE.date
        assert {*shelf.vendors.values()} <= FILE.providers.keys()


@pytest.mark.parametrize(("provider", "id", "info"), EVERY, ids=[f"{provider}:{id}" for provider, id, _ in EVERY])
def test_every_model_is_plausible(provider: str, id: str, info: ModelInfo) -> None:
    assert info.id == ""  # the name is the key
    assert id == id.strip()
    assert info.context is None or 4_000 <= info.context <= 10_000_000
    assert info.output is None or (info.context and info.output <= info.context)
    assert info.inputs is None or len(set(info.inputs)) == len(info.inputs)
    base = info.price()
    for price in info.prices:
        assert 0 < price.input <= price.output <= 1000
        assert price.cached is None or price.cached < price.input
        assert price.cache_write is None or price.input < price.cache_write <= 2 * price.input
        assert base is not None
        assert base.input <= price.input  # the price of today for a short request is the lowest
    assert sorted(info.prices, key=lambda price: (price.since or datetime.date.min, price.above)) == [*info.prices]


def test_no_model_is_known_by_another_s_date() -> None:
    for provider, id, _ in EVERY:
        assert find(provider, id).id == id


def test_a_word_that_is_none_of_the_file_s_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `contxt`"):
        msgspec.convert({"contxt": 1}, ModelInfo)
    with pytest.raises(msgspec.ValidationError, match="smell"):
        msgspec.convert({"inputs": ["smell"]}, ModelInfo)


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "model", "id"),
    [
        # as it is, and with a date in each style
        ("openai", "gpt-5-mini", "gpt-5-mini"),
        ("openai", "gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("openai", "gpt-5-2025-08-07", "gpt-5"),
        ("anthropic", "claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("anthropic", "claude-opus-5@20260724", "claude-opus-5"),
        ("gemini", "gemini-2.5-flash-001", "gemini-2.5-flash"),
        ("xai", "grok-4.20-0309", "grok-4.20"),
        ("xai", "grok-4.7-latest", "grok-4.7"),
        # where the date is part of the listed name, another date is another model
        ("mistral", "mistral-small-2603", "mistral-small-2603"),
        ("mistral", "mistral-small-2402", ""),
        # another model, though its name begins alike
        ("openai", "gpt-5-mini-turbo", ""),
        ("openai", "gpt-50", ""),
        # other vendors' models, dots and tags and all
        ("openrouter", "openai/gpt-5-mini", "gpt-5-mini"),
        ("openrouter", "anthropic/claude-opus-5.5", "claude-opus-5-5"),
        ("openrouter", "google/gemini-3.8-flash:batch", "gemini-3.8-flash"),
        ("openrouter", "moonshotai/kimi-k3", "moonshotai/kimi-k3"),
        ("azure", "gpt-5-mini", "gpt-5-mini"),
        ("arcee", "arcee-ai/trinity-mini", "trinity-mini"),
        # nobody's
        ("openrouter", "nobody/gpt-5-mini", ""),
        ("azure", "my-deployment", ""),
        ("elsewhere", "gpt-5-mini", ""),
        ("openai", "", ""),
    ],
)
def test_a_model_is_found_by_its_name(provider: str, model: str, id: str) -> None:
    found = find(provider, model)
    assert found.id == id
    assert (found.context is not None) is bool(id)


def test_what_is_not_known_is_none() -> None:
    assert find("elsewhere", "of-tomorrow") == ModelInfo(id="", context=None, output=None, inputs=None, prices=())


def test_another_vendor_s_model_has_no_price_here() -> None:
    assert find("openai", "gpt-5-mini").prices
    assert find("azure", "gpt-5-mini").prices == find("openrouter", "openai/gpt-5-mini").prices == ()


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        # the same model under everybody's name for it
        ("llama3.3:70b", ()),
        ("meta-llama/Llama-3.3-70B-Instruct-Turbo", ()),
        ("accounts/fireworks/models/llama-v3p3-70b-instruct", ()),
        ("Meta-Llama-3.1-8B-Instruct", ()),
        # members of a family that read more or less than the others
        ("gemma3:4b", ("image",)),
        ("gemma-3-1b-it", ()),
        ("llama3.2", ()),
        ("llama3.2-vision:11b", ("image",)),
        ("meta-llama/Llama-3.2-11B-Vision-Instruct", ("image",)),
        ("Qwen/Qwen2.5-VL-7B-Instruct", ("image", "video")),
        ("qwen3-vl:8b", ("image", "video")),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", ()),
        ("deepseek-ai/DeepSeek-V3-0324", ()),
        ("gpt-oss:20b", ()),
        ("minicpm-v", ("image",)),
        # a later version is another family
        ("qwen3.8-27b", None),
        ("llama5", None),
        # a name that speaks of more senses than its family has
        ("llama3.1-8b-vision-finetune", None),
        ("phi4-audio", None),
        ("of-tomorrow", None),
        ("", None),
    ],
)
def test_what_an_open_model_reads_is_known_by_its_family(model: str, inputs: tuple[str, ...] | None) -> None:
    found = find("ollama", model)
    assert found.inputs == inputs
    assert (found.id, found.context, found.prices) == ("", None, ())  # its server says how much it holds


def test_the_models_of_a_provider_in_the_file_s_order() -> None:
    assert [info.id for info in listed("groq")] == list(FILE.providers["groq"].models)
    assert listed("ollama") == ()


# --- costs ----------------------------------------------------------------------------------------------------------

DAY = datetime.date(2026, 11, 21)
INFO = ModelInfo(
    prices=(
        Price(input=2, output=10, cached=0.5, cache_write=2.5),
        Price(input=4, output=15, cached=1, cache_write=5, above=200_000),
        Price(input=1, output=5, since=datetime.date(2027, 1, 1)),
    )
)


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(), 0),
        (Usage(input_tokens=1000, output_tokens=100), 0.003),
        (Usage(input_tokens=1000, cached_tokens=600, cache_write_tokens=300), (100 * 2 + 600 * 0.5 + 300 * 2.5) / 1e6),
        # thinking is part of the output
        (Usage(output_tokens=100, reasoning_tokens=90), 0.001),
        # every token of a long request is dearer
        (Usage(input_tokens=200_000), 0.4),
        (Usage(input_tokens=200_001, cached_tokens=1), (200_000 * 4 + 1) / 1e6),
        # what the provider says is true
        (Usage(input_tokens=1000, cost_usd=7.0), 7.0),
        # counts that contradict each other cost no less than nothing
        (Usage(input_tokens=1, cached_tokens=5), 5 * 0.5 / 1e6),
    ],
)
def test_what_a_call_costs(usage: Usage, cost: float) -> None:
    assert INFO.cost_usd(usage, DAY) == pytest.approx(cost)


def test_a_price_holds_from_its_day_on() -> None:
    usage = Usage(input_tokens=1_000_000, cached_tokens=500_000, output_tokens=1_000_000)
    assert INFO.cost_usd(usage, datetime.date(2026, 12, 31)) == 4 * 0.5 + 1 * 0.5 + 15
    assert (
        INFO.cost_usd(usage, datetime.date(2027, 1, 1)) == 1 + 5
    )  # without a price of its own, what is cached is input


def test_without_a_price_there_is_no_cost_but_what_the_provider_says() -> None:
    assert ModelInfo().cost_usd(Usage(input_tokens=1)) is None
    assert ModelInfo().cost_usd(Usage(input_tokens=1, cost_usd=0.5)) == 0.5
    assert ModelInfo().price() is None


def test_today_is_the_day_unless_another_is_named() -> None:
    later = datetime.date.today() + datetime.timedelta(days=1)
    info = ModelInfo(prices=(Price(input=1, output=1), Price(input=2, output=2, since=later)))
    assert info.price() == Price(input=1, output=1)
    assert info.price(on=later) == Price(input=2, output=2, since=later)
