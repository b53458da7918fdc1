"""`xai_api.Models`: the language models that can be asked for by name."""

from __future__ import annotations

from typing import Final

from multiturn.errors import UnknownModel
from multiturn.formats.switching import Modality
from multiturn.formats.xai.incoming import read
from multiturn.formats.xai.wire import Proto, dumps, models_pb2
from multiturn.models.catalogue import ModelInfo
from multiturn.server.upstreams import ModelCard
from multiturn.server.xai.calls import Call

_READ: dict[Modality, int] = {"image": models_pb2.IMAGE}
_IN_A_DOLLAR: Final = 10_000
"""xAI tells prices in US cents for 100 million tokens, we in dollars for a million."""


async def listed(call: Call) -> bytes:
    """`ListLanguageModels`."""
    cards = await call.service.upstreams.listed()
    return dumps(models_pb2.ListLanguageModelsResponse(models=[_model(card.id, card.info) for card in cards]))


async def retrieve(call: Call) -> bytes:
    """`GetLanguageModel`, also one that only a glob leads to."""
    name: str = read(models_pb2.GetModelRequest, call.body).name
    card = await _card(call, name)
    return dumps(_model(card.id, card.info))


async def _card(call: Call, name: str) -> ModelCard:
    upstreams = call.service.upstreams
    for card in await upstreams.listed():
        if card.id == name:
            return card
    if upstreams.is_offline:
        raise UnknownModel(f"there is no model {name!r} here; there is offline, which answers to every name")
    return ModelCard(id=name, owner=upstreams.model(name).provider)


def _model(name: str, info: ModelInfo) -> Proto:
    made = models_pb2.LanguageModel(
        name=name,
        input_modalities=[models_pb2.TEXT, *(_READ[each] for each in info.inputs or () if each in _READ)],
        output_modalities=[models_pb2.TEXT],
        max_prompt_length=info.context or 0,
    )
    if price := info.price():
        cached = price.input if price.cached is None else price.cached
        made.prompt_text_token_price = round(price.input * _IN_A_DOLLAR)
        made.cached_prompt_token_price = round(cached * _IN_A_DOLLAR)
        made.completion_text_token_price = round(price.output * _IN_A_DOLLAR)
    return made
