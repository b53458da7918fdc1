"""How an upstream is asked: as whom, where, and with which key."""

from pathlib import Path

import msgspec
import pytest

from multiturn.errors import InvalidInput, MissingKey
from multiturn.formats.switching import Target
from multiturn.models.limits import Timeouts
from multiturn.models.providers import PROVIDERS, UPSTREAM_KEY
from multiturn.models.remote import RemoteModel
from multiturn.models.xai import XaiModel
from multiturn.server.upstreams.source import Source
from multiturn.server.upstreams.upstream import Upstream

GPU = ("http://gpu-1:8000/v1", "http://gpu-2:8000/v1")


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for row in PROVIDERS.values():
        for name in (*row.keys, row.url_variable, row.host_variable, UPSTREAM_KEY):
            if name:
                monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def made(source: Source, url: str | None = None) -> RemoteModel[Target]:
    model = source.model("tiny", source.dialect("tiny"), url or source.urls[0])
    assert isinstance(model, RemoteModel)
    return model


def test_a_server_in_no_row_is_asked_under_the_upstreams_name() -> None:
    source = Source(Upstream(name="gpu", urls=GPU))
    models = [made(source, url) for url in source.urls]
    assert {(model.provider, model.name) for model in models} == {("gpu", "tiny")}
    assert [model.endpoint.base_url for model in models] == list(GPU)
    assert source.dialect("tiny").format == "chat_completions"


def test_all_replicas_share_a_dialect_so_that_bytes_made_for_one_do_for_all() -> None:
    source = Source(Upstream(name="gpu", urls=GPU, provider="vllm", api="responses"))
    assert source.dialect("tiny") == source.dialect("tiny")
    assert (source.dialect("tiny").provider, source.dialect("tiny").format) == ("vllm", "responses")


def test_a_provider_is_asked_at_its_own_address_with_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingKey, match="upstream anthropic needs a key: set ANTHROPIC_API_KEY, or key_variable"):
        Source(Upstream(name="anthropic"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-1")
    for upstream in (Upstream(name="anthropic"), Upstream(name="claude", provider="anthropic")):
        model = made(Source(upstream))
        assert (model.provider, model.endpoint.base_url, model._key) == (
            "anthropic",
            "https://api.anthropic.com",
            "sk-1",
        )


def test_a_provider_is_known_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    source = Source(Upstream(name="cloud", urls=("https://api.openai.com/v1",)))
    assert (source.row.name, made(source)._key) == ("openai", "sk-1")


@pytest.mark.parametrize("provider", ["openai", "vllm"])
def test_a_providers_usual_key_goes_to_no_other_address(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("VLLM_API_KEY", "sk-2")
    assert made(Source(Upstream(name="gpu", urls=GPU, provider=provider)))._key is None
    mixed = ("https://api.openai.com/v1", *GPU)
    with pytest.raises(MissingKey):
        Source(Upstream(name="gpu", urls=mixed, provider="openai"))


def test_a_key_comes_from_a_variable_or_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GPU_KEY", " sk-1 \n")
    assert made(Source(Upstream(name="gpu", urls=GPU, key_variable="GPU_KEY")))._key == "sk-1"
    file = tmp_path / "key"
    file.write_text("sk-2\n")
    assert made(Source(Upstream(name="gpu", urls=GPU, key_file=str(file))))._key == "sk-2"


def test_a_key_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(MissingKey, match="the variable GPU_KEY is to hold its key, and is not set"):
        Source(Upstream(name="gpu", urls=GPU, key_variable="GPU_KEY"))
    with pytest.raises(InvalidInput, match=r"cannot read .*nothing: No such file"):
        Source(Upstream(name="gpu", urls=GPU, key_file=str(tmp_path / "nothing")))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(MissingKey, match="is empty"):
        Source(Upstream(name="gpu", urls=GPU, key_file=str(tmp_path / "empty")))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="it is not text"):
        Source(Upstream(name="gpu", urls=GPU, key_file=str(tmp_path / "binary")))


def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-very\nsecret")
    with pytest.raises(InvalidInput, match="a key cannot have") as caught:
        Source(Upstream(name="gpu", urls=GPU, key_file=str(tmp_path / "key")))
    assert "secret" not in str(caught.value)


def test_xai_is_asked_over_grpc_where_the_settings_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAI_API_KEY", "xai-1")
    source = Source(Upstream(name="grok", provider="xai", api="grpc"))
    dialect = source.dialect("grok-4")
    assert isinstance(source.model("grok-4", dialect, source.urls[0]), XaiModel)
    assert (dialect.provider, dialect.format) == ("xai", "xai")
    with pytest.raises(InvalidInput, match="does not speak api='grpc'"):
        Source(Upstream(name="gpu", urls=GPU, api="grpc"))


def test_what_leads_nowhere_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match=r"no provider 'opneai'; did you mean openai\?"):
        Source(Upstream(name="gpu", provider="opneai"))
    with pytest.raises(InvalidInput, match="upstream gpu needs urls"):
        Source(Upstream(name="gpu"))
    with pytest.raises(InvalidInput, match="say provider = 'openai', else give it another name"):
        Source(Upstream(name="openai", urls=GPU))
    with pytest.raises(InvalidInput, match="AZURE_OPENAI_ENDPOINT"):
        Source(Upstream(name="azure"))


def test_a_row_of_ones_own_is_a_provider_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "rows.toml").write_text(
        '[providers.mybox]\nbase_url = "http://box:1/v1"\nlike = "vllm"\nkey_variable = "BOX"'
    )
    monkeypatch.setenv("MULTITURN_CONFIG", str(tmp_path / "rows.toml"))
    monkeypatch.setenv("BOX", "sk-box")
    model = made(Source(Upstream(name="box", provider="mybox")))
    assert (model.provider, model.endpoint.base_url, model._key) == ("mybox", "http://box:1/v1", "sk-box")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": "offline"}, "cannot be an upstream's name"),
        ({"name": "a b"}, "cannot be an upstream's name"),
        ({"name": "gpu", "urls": ["gpu:8000"]}, "the base URL of upstream gpu must be like"),
        ({"name": "gpu", "urls": ["http://me:word@gpu/v1"]}, "a key does not belong into its URL"),
        ({"name": "gpu", "urls": [GPU[0], GPU[0]]}, "the same URL twice"),
        ({"name": "gpu", "key_variable": "A", "key_file": "b"}, "give one"),
        ({"name": "gpu", "key_variable": "sk-123"}, "never the key itself"),
        ({"name": "gpu", "concurrency": 0}, "concurrency is 0"),
        ({"name": "gpu", "queue": -1}, "queue is -1"),
        ({"name": "gpu", "queue_s": 0}, "queue_s is 0"),
    ],
)
def test_an_upstream_that_cannot_be_is_refused_and_shows_no_secret(fields: dict[str, object], says: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=says) as caught:  # as the settings read it
        msgspec.convert(fields, Upstream)
    assert "word" not in str(caught.value)
    assert "sk-123" not in str(caught.value)


def test_an_upstream_is_read_from_toml_as_one_would_write_it() -> None:
    text = """
        name = "gpu"
        urls = ["http://gpu-1:8000/v1", "http://gpu-2:8000/v1"]
        provider = "vllm"
        concurrency = 8
        timeouts = { first_byte_s = 30 }
    """
    upstream = msgspec.toml.decode(text.encode(), type=Upstream)
    assert upstream == Upstream(
        name="gpu", urls=GPU, provider="vllm", concurrency=8, timeouts=Timeouts(first_byte_s=30)
    )
