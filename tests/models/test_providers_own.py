"""The user's own rows: what a file may say, what comes of it, and what it is told where it cannot be used."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from multiturn.errors import InvalidInput, MissingKey, UnknownModel
from multiturn.formats.chat_completions import Dialect
from multiturn.messages import Origin, Reasoning, Usage, assistant, user
from multiturn.models import config
from multiturn.models.providers import PROVIDERS, Provider, compatible, known_providers
from multiturn.models.registry import model_info, resolve
from multiturn.models.remote import RemoteModel
from multiturn.path import Path as Turns
from multiturn.request import Request
from multiturn.turns import Turn
from upstream import Upstream

BOX = '[providers.mybox]\nbase_url = "http://gpu:8000/v1"\n'


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that is read, not there yet."""
    for row in PROVIDERS.values():
        for name in (*row.keys, row.url_variable, row.host_variable, config.VARIABLE, "MULTITURN_UPSTREAM"):
            if name:
                monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "multiturn").mkdir()
    return tmp_path / "multiturn" / "providers.toml"


def row(file: Path, text: str, name: str = "mybox") -> Provider:
    file.write_text(text)
    return known_providers()[name]


def chat(provider: Provider) -> Dialect:
    dialect = provider.dialect("chat")
    assert isinstance(dialect, Dialect)
    return dialect


# --- what comes of a row --------------------------------------------------------------------------------------------


def test_without_a_file_there_are_the_built_in_ones() -> None:
    assert known_providers() is PROVIDERS


def test_an_address_is_enough(file: Path) -> None:
    own = row(file, BOX)
    assert (own.name, own.base_url, own.keys, own.needs_key) == ("mybox", "http://gpu:8000/v1", (), False)
    assert chat(own).max_tokens_field == "max_tokens"  # it is treated as carefully as any unknown server
    assert own.dialect("responses").keeps_answers is False
    model = resolve("mybox:tiny")
    assert isinstance(model, RemoteModel)
    assert (model.provider, model.name, model.endpoint.base_url) == ("mybox", "tiny", "http://gpu:8000/v1")


def test_a_row_is_like_another_but_for_what_it_says(file: Path) -> None:
    own = row(file, BOX + 'like = "vllm"\nalternate = false\ncall_ids = "[a-z]{9}"')
    like, ours = chat(PROVIDERS["vllm"]), chat(own)
    assert (ours.provider, ours.alternate, ours.call_ids) == ("mybox", False, "[a-z]{9}")
    assert (ours.reasoning_field, ours.video) == (like.reasoning_field, like.video) == ("reasoning", True)
    assert own.formats == PROVIDERS["vllm"].formats


def test_another_s_key_does_not_go_to_an_address_of_one_s_own(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    file.write_text(BOX + 'like = "openai"')
    model = resolve("mybox:tiny")
    assert isinstance(model, RemoteModel)
    assert model._key is None


def test_a_key_comes_from_the_variable_that_the_row_names(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(BOX + 'key_variable = "MYBOX_KEY"\nkey_header = "x-key"\nheaders = { x-team = "a" }')
    with pytest.raises(MissingKey, match="mybox needs a key: set MYBOX_KEY"):
        resolve("mybox:tiny")
    monkeypatch.setenv("MYBOX_KEY", "sk-1")
    model = resolve("mybox:tiny")
    assert isinstance(model, RemoteModel)
    assert (model._key, model.endpoint.key_header, model.endpoint.headers) == ("sk-1", "x-key", (("x-team", "a"),))
    assert model._dialect.key_variable == "MYBOX_KEY"


def test_a_row_of_a_built_in_name_changes_that_one(file: Path) -> None:
    own = row(file, "[providers.mistral]\nanswers_tools = false", "mistral")
    assert chat(own).answers_tools is False
    assert chat(own).call_prefix == ""
    assert (own.base_url, own.keys) == (PROVIDERS["mistral"].base_url, ("MISTRAL_API_KEY",))
    own = row(file, '[providers.openai]\nbase_url = "http://proxy:1/v1"', "openai")
    assert (own.base_url, own.keys, own.needs_key) == ("http://proxy:1/v1", ("OPENAI_API_KEY",), False)
    assert chat(PROVIDERS["mistral"]).answers_tools is True


def test_a_format_is_asked_for_first(file: Path) -> None:
    own = row(file, BOX + 'format = "responses"\nkeeps_answers = true')
    assert own.dialect(None).format == "responses"
    assert own.dialect(None).keeps_answers
    own = row(file, BOX + 'format = "anthropic"\nlike = "anthropic"\ncache = false')
    assert own.dialect(None).format == "anthropic"
    assert own.headers == (("anthropic-version", "2023-06-01"),)
    assert row(file, BOX + 'format = "gemini"').dialect(None).format == "gemini"


def test_a_habit_of_the_row_holds_for_every_model(file: Path) -> None:
    own = row(file, BOX + 'like = "anthropic"\ncache = false')
    assert [own.dialect(None, name).thinking for name in ("claude-3-opus", "m")] == ["budget", "adaptive"]  # type: ignore[attr-defined]
    own = row(file, BOX + 'like = "anthropic"\nthinking = "adaptive"')
    assert own.dialect(None, "claude-3-opus").thinking == "adaptive"  # type: ignore[attr-defined]


def test_what_the_user_says_of_models_wins(file: Path) -> None:
    file.write_text(
        BOX
        + """
        [providers.mybox.models."llama3.3"]
        context = 32768
        inputs = ["image"]
        prices = [{ input = 0.1, output = 0.2, since = 2026-01-01 }]
        """
    )
    info = model_info("mybox:llama3.3")
    assert (info.id, info.context, info.inputs) == ("llama3.3", 32768, ("image",))
    price = info.price()
    assert price is not None
    assert price.output == 0.2
    assert model_info("mybox:qwen3:4b").inputs == ()  # of the others, what the catalogue knows of their family


def test_what_the_user_says_that_all_models_read_wins(file: Path) -> None:
    file.write_text(BOX + 'inputs = ["image", "audio"]')
    for name in ("mybox:qwen3:4b", "mybox:of-tomorrow"):
        model = resolve(name)
        assert isinstance(model, RemoteModel)
        assert model._dialect.inputs == ("image", "audio")


def test_a_row_s_address_is_known_for_its_habits(file: Path) -> None:
    file.write_text(BOX + "alternate = true")
    assert chat(compatible("http://gpu:8000/v1")).alternate is True


def test_a_file_that_changes_is_read_again(file: Path) -> None:
    assert row(file, BOX).base_url == "http://gpu:8000/v1"
    assert row(file, BOX.replace("gpu", "other-gpu")).base_url == "http://other-gpu:8000/v1"
    file.unlink()
    assert "mybox" not in known_providers()


def test_a_variable_says_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.toml").write_text(BOX)
    monkeypatch.setenv(config.VARIABLE, str(tmp_path / "rows.toml"))
    assert "mybox" in known_providers()
    monkeypatch.setenv(config.VARIABLE, str(tmp_path / "nowhere.toml"))
    with pytest.raises(InvalidInput, match=r"MULTITURN_CONFIG names .*nowhere\.toml, and there is no such file"):
        resolve("openai:gpt-5-mini")


def test_a_slip_in_an_own_name_is_told(file: Path) -> None:
    file.write_text(BOX)
    with pytest.raises(UnknownModel, match="Did you mean 'mybox:tiny'"):
        resolve("mybx:tiny")


async def test_the_example_of_the_page(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "howto" / "models.md").read_text()
    (example,) = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    monkeypatch.setenv("MYBOX_API_KEY", "sk-1")
    with Upstream() as upstream:
        file.write_text(example.replace("http://gpu:8000/v1", upstream.url))
        said = msgspec.structs.replace(assistant(Reasoning("hm"), "Yes."), origin=Origin("mybox", "m"))
        turn = Turn(id="t1", conversation="c", input=(user("Really?"),), output=(said,))
        request = Request(path=Turns([turn]), input=(user("Sure?"),))
        assert [item async for item in resolve("mybox:qwen3:4b").answer(request)]
        (received,) = upstream.requests
    assert received.headers["authorization"] == "Bearer sk-1"
    assert received.json["messages"][1]["reasoning_content"] == "hm"
    assert model_info("mybox:qwen3:4b").cost_usd(Usage(output_tokens=1_000_000)) == 0.10
    assert not chat(known_providers()["mistral"]).answers_tools


# --- what cannot be used --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        # what is no row at all
        ("[providers", r"providers\.toml is not TOML: Expected"),
        ("[provider.mybox]", "provider is not known; did you mean providers[?] Possible are providers"),
        ("providers = 1", r"providers must be a table, as in \[providers.mybox\]"),
        ("[providers]\nmybox = 1", r"providers\.mybox must be a table"),
        ('[providers.MyBox]\nbase_url = "http://gpu/v1"', r"providers\.MyBox cannot be a provider's name"),
        ('[providers.offline]\nbase_url = "http://gpu/v1"', r"providers\.offline cannot be a provider's name"),
        ('[providers.mybox]\nlike = "vllm"', r"providers\.mybox needs a base_url"),
        # words and values that are none
        (BOX + "alternat = true", r"mybox\.alternat is not known; did you mean alternate[?] Possible are alternate, "),
        (BOX + "colour = 1", r"mybox\.colour is not known\. Possible are .*base_url, .*key_variable"),
        (BOX + 'alternate = "yes"', r"mybox\.alternate: Expected `bool`, got `str`"),
        (BOX + 'max_tokens_field = "length"', r"mybox\.max_tokens_field: Invalid enum value 'length'"),
        (BOX + 'format = "soap"', r"mybox\.format: Invalid enum value 'soap'"),
        (BOX + 'like = "vlm"', r"mybox\.like: there is no provider 'vlm'; did you mean vllm[?]"),
        (BOX + "like = []", r"mybox\.like: Expected `str"),
        (BOX + 'inputs = ["smell"]', r"mybox\.inputs: Invalid enum value 'smell'"),
        (BOX + "[providers.mybox.models.tiny]\nsize = 1", r"mybox\.models: .*unknown field `size`"),
        # a habit of another format
        (BOX + 'format = "responses"\nalternate = true', r"mybox\.alternate is not known"),
        # the provider is the row's name
        (BOX + 'provider = "openai"', r"mybox\.provider is not known"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_what_could_be(file: Path, text: str, says: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidInput, match=says) as caught:
        resolve("openai:gpt-5-mini", api_key="sk-1")
    assert str(file) in str(caught.value)


SECRET = "gsk_abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    "text",
    [
        BOX + f'key = "{SECRET}"',
        BOX + f'api_key = "{SECRET}"',
        BOX + f'token = "{SECRET}"',
        BOX + f'key_variable = "{SECRET}"',
        BOX + f'headers = {{ Authorization = "Bearer {SECRET}" }}',
        BOX + f'headers = {{ x-api-key = "{SECRET}" }}',
        BOX + f'headers = {{ x-team = "{SECRET}" }}',
        f'[providers.mybox]\nbase_url = "http://me:{SECRET}@gpu/v1"',
        f'[providers.mybox]\nbase_url = "http://gpu/v1?k={SECRET}"',
    ],
)
def test_a_key_in_the_file_is_refused_and_not_repeated(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidInput, match="a key does not belong in this file; put it into a variable") as caught:
        resolve("mybox:tiny")
    assert SECRET not in str(caught.value)
    assert str(file) in str(caught.value)


def test_the_offline_model_needs_no_file(file: Path) -> None:
    file.write_text("[providers")
    assert resolve("offline").name == "offline"


def test_a_file_that_cannot_be_read_says_why(file: Path) -> None:
    file.write_bytes(b"\xff")
    with pytest.raises(InvalidInput, match=r"providers\.toml is not TOML"):
        known_providers()
