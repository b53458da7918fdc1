"""From the name that a client asks for to the model."""

from pathlib import Path

import pytest

from multiturn.context.tokens import counter_for
from multiturn.errors import InvalidInput, MissingKey, UnknownModel
from multiturn.models.offline import OfflineModel
from multiturn.models.providers import PROVIDERS
from multiturn.server.upstreams import Route, RoutedModel, Upstream, Upstreams
from multiturn.server.upstreams.upstreams import MOST_NAMES
from upstream import Upstream as Server
from upstream import status
from upstream_calls import answered, asking, behind, gpu

GPU = gpu("http://gpu-1:8000/v1", "http://gpu-2:8000/v1")
BIG = gpu("http://big:8000/v1", name="big", provider="vllm", api="responses")


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for row in PROVIDERS.values():
        for name in row.keys:
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def led(upstreams: Upstreams, name: str) -> tuple[str, str, str]:
    """The provider, the model's name there and the format it is asked in."""
    model = upstreams.model(name)
    assert isinstance(model, RoutedModel)
    return model.provider, model.name, model.format


def test_aliases_and_globs_lead_to_upstreams_by_their_precedence() -> None:
    routes = [
        Route(match="*", to="gpu"),
        Route(match="gpt-*", to="gpu", model="tiny"),
        Route(match="gpt-5*", to="big"),
        Route(match="gpt-5", to="big", model="huge"),
    ]
    upstreams = Upstreams(routes, [GPU, BIG])
    assert led(upstreams, "gpt-5") == ("vllm", "huge", "responses")
    assert led(upstreams, "gpt-5-mini") == ("vllm", "gpt-5-mini", "responses")
    assert led(upstreams, "gpt-4o") == ("gpu", "tiny", "chat_completions")
    assert led(upstreams, "qwen3:4b") == ("gpu", "qwen3:4b", "chat_completions")


async def test_the_aliased_name_is_what_goes_out() -> None:
    with Server() as server:
        upstreams = Upstreams([Route(match="gpt-*", to="gpu", model="tiny")], [gpu(server.url)])
        answer = await answered(upstreams.model("gpt-4o"))
        assert server.requests[0].json["model"] == "tiny"
        assert answer.origin is not None
        assert (answer.origin.provider, answer.origin.model) == ("gpu", "tiny")


def test_one_upstream_without_routes_answers_every_name() -> None:
    assert led(Upstreams([], [GPU]), "anything/at-all") == ("gpu", "anything/at-all", "chat_completions")


def test_the_models_of_an_upstream_lead_to_it() -> None:
    listed = gpu("http://a/v1", models=("tiny", "small"))
    upstreams = Upstreams([Route(match="small", to="big")], [listed, BIG])
    assert led(upstreams, "tiny")[0] == "gpu"
    assert led(upstreams, "small")[0] == "vllm"  # a route says otherwise
    with pytest.raises(UnknownModel):
        upstreams.model("large")


def test_the_names_are_those_of_routes_and_upstreams_in_order_each_once() -> None:
    routes = [Route(match="gpt-*", to="gpu"), Route(match="best", to="big", model="qwen3:4b")]
    upstreams = Upstreams(routes, [gpu("http://a/v1", models=("tiny", "best")), BIG])
    cards = upstreams.names()
    assert [(card.id, card.owner) for card in cards] == [("best", "vllm"), ("tiny", "gpu")]


def test_a_card_says_what_the_catalogue_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    [card] = Upstreams([], [Upstream(name="openai", models=("gpt-5-mini",))]).names()
    assert card.info.context is not None


async def test_upstreams_that_list_no_models_are_asked_for_theirs_now_and_then() -> None:
    models = status(200, {"object": "list", "data": [{"id": "tiny"}, {"id": "gpt-9"}, {"id": "../x"}, {"id": "best"}]})
    with Server() as server, Server() as silent:
        server.script(models)
        silent.script(status(500))
        routes = [Route(match="*", to="gpu"), Route(match="gpt-*", to="quiet"), Route(match="best", to="gpu")]
        upstreams = Upstreams(routes, [gpu("http://127.0.0.1:9/v1", server.url), gpu(silent.url, name="quiet")])
        assert [card.id for card in upstreams.names()] == ["best"]
        for _ in range(2):
            assert [(card.id, card.owner) for card in await upstreams.listed()] == [("best", "gpu"), ("tiny", "gpu")]
        assert [request.path for request in server.requests] == ["/v1/models"]
        assert len(silent.requests) == 1


async def test_an_upstream_that_says_which_models_it_has_is_not_asked() -> None:
    with Server() as server:
        upstreams = Upstreams([], [gpu(server.url, models=("tiny",))])
        assert [card.id for card in await upstreams.listed()] == ["tiny"]
        assert server.requests == []
    assert [card.id for card in await Upstreams().listed()] == ["offline"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gpt5-mini", r"there is no model 'gpt5-mini' here; did you mean 'gpt-5-mini'\?"),
        ("zzz", r"there are gpt-5-mini, tiny, claude-\*"),
        ("", "there is no model '' here"),
        ("openai:gpt-5", "there is no model 'openai:gpt-5' here"),  # not where the settings do not allow it
        ("offline", "there is no model 'offline' here"),
    ],
)
def test_a_name_that_leads_nowhere_is_told_what_is_near(name: str, says: str) -> None:
    routes = [Route(match="claude-*", to="big"), Route(match="gpt-5-mini", to="big")]
    with pytest.raises(UnknownModel, match=says):
        Upstreams(routes, [gpu("http://a/v1", models=("tiny",)), BIG]).model(name)


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a\nb", "a\0", "x" * 257, "..", "../secrets", "a/../../b", "a/./b", "a/.."]
)
def test_a_name_that_could_do_harm_leads_nowhere(name: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        Upstreams([], [GPU]).model(name)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["a..b", "...a", "vendor/model-1.5", "qwen3:4b", "ft:gpt:acme::x", "modèle"])
def test_a_name_may_look_odd(name: str) -> None:
    assert led(Upstreams([], [GPU]), name)[1] == name


async def test_without_upstreams_the_offline_model_answers_every_name() -> None:
    upstreams = Upstreams()
    assert upstreams.is_offline
    for name in ("gpt-5", "offline", "../x", ""):
        assert (await answered(upstreams.model(name, affinity="x"), asking("My name is Alice"))).text
    assert [card.id for card in upstreams.names()] == ["offline"]
    assert upstreams.states() == []
    await upstreams.aclose()


def test_providers_can_be_named_only_where_the_settings_allow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    upstreams = Upstreams([Route(match="anthropic:tiny", to="gpu")], [GPU], allow_providers=True)
    assert not upstreams.is_offline
    assert isinstance(upstreams.model("offline"), OfflineModel)
    assert led(upstreams, "ollama:qwen3:4b") == ("ollama", "qwen3:4b", "chat_completions")
    assert led(upstreams, "anthropic:tiny")[0] == "gpu"  # routes come first
    assert [state.upstream for state in upstreams.states()] == ["gpu", "gpu", "ollama"]
    with pytest.raises(UnknownModel, match="this server has no way to openai") as caught:
        upstreams.model("openai:gpt-5")
    assert isinstance(caught.value.__cause__, MissingKey)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    assert led(upstreams, "openai:gpt-5")[0] == "openai"
    with pytest.raises(UnknownModel):
        upstreams.model("ollama:")
    with pytest.raises(UnknownModel):
        upstreams.model("nobody:x")


def test_providers_can_be_allowed_beside_the_offline_model() -> None:
    upstreams = Upstreams(allow_providers=True)
    assert led(upstreams, "ollama:tiny")[0] == "ollama"
    assert isinstance(upstreams.model("tiny"), OfflineModel)


@pytest.mark.parametrize(
    ("routes", "upstreams", "says"),
    [
        ([], [GPU, GPU], "two upstreams named gpu"),
        ([Route(match="*", to="gqu")], [GPU], r"no upstream gqu; did you mean gpu\?"),
        ([Route(match="*", to="gpu")], [], "there is no upstream"),
        ([Route(match="*", to="gpu")], [GPU, BIG], "nothing leads to upstream big"),
        ([], [GPU, BIG], "nothing leads to upstream gpu"),
    ],
)
def test_what_does_not_fit_together_is_told_at_the_start(
    routes: list[Route], upstreams: list[Upstream], says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        Upstreams(routes, upstreams)


def test_the_model_has_what_the_window_needs() -> None:
    model = behind(GPU).model("qwen3-vl:4b")
    assert isinstance(model, RoutedModel)
    assert counter_for(model.provider, model.name) is not None
    assert model.inputs is None or "image" in model.inputs
    assert repr(model) == "<gpu:qwen3-vl:4b by way of gpu>"


def test_names_that_clients_make_up_are_not_kept_for_ever() -> None:
    upstreams = Upstreams([], [GPU])
    for n in range(MOST_NAMES + 50):
        upstreams.model(f"model-{n}")
    assert len(upstreams._found) == MOST_NAMES
