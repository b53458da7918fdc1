"""Settings: what follows from what, where values come from, and what is told where they cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from multiturn.errors import InvalidInput
from multiturn.server.auth import new_key
from multiturn.server.settings import Limits, ServerSettings, is_loopback
from multiturn.server.settings.options import docs_of, options, sections
from multiturn.server.settings.reference import EXAMPLE, page
from multiturn.server.settings.sources import Given, read
from multiturn.server.settings.words import explain, summary
from multiturn.server.upstreams import Route, Upstream, Upstreams

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "configuration.md"
SECRET = "sk-" + "x1" * 12
OWN_KEY = "mt-" + "0a" * 24  # the same in every process, for it is in a test's name


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "server.toml"


def given(file: Path | None = None, text: str = "", *, environ: dict[str, str] | None = None, **flags: Any) -> Given:
    if file:
        file.write_text(text)
    return read(store="sqlite://", file=file, environ=environ or {}, flags=flags)


# --- what follows from what -----------------------------------------------------------------------------------------


def test_a_store_is_enough() -> None:
    settings = ServerSettings(store="sqlite://")
    assert (settings.host, settings.port, settings.grpc_port) == ("127.0.0.1", 8787, 8788)
    assert settings.is_local
    assert settings.allow_providers is True
    assert (settings.upstreams, settings.routes) == ((), ())


def test_one_url_is_an_upstream_behind_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MULTITURN_UPSTREAM_API_KEY", raising=False)
    gpu = Upstream(name="gpu", urls=("http://gpu:8000/v1",))
    route = Route(match="qwen*", to="gpu")
    settings = ServerSettings(store="sqlite://", upstream="http://other/v1", upstreams=(gpu,), routes=(route,))
    assert settings.upstreams == (gpu, Upstream(name="default", urls=("http://other/v1",)))
    assert settings.routes == (route, Route(match="*", to="default"))
    assert settings.allow_providers is False
    monkeypatch.setenv("MULTITURN_UPSTREAM_API_KEY", "sk-1")
    with_key = ServerSettings(store="sqlite://", upstream="http://other/v1")
    assert with_key.upstreams[0].key_variable == "MULTITURN_UPSTREAM_API_KEY"


def test_settings_reach_other_processes_unchanged() -> None:
    settings = ServerSettings(store="sqlite://", upstream="http://gpu/v1", cors_origins=("*",), limits=Limits(depth=7))
    again = msgspec.json.decode(msgspec.json.encode(settings), type=ServerSettings)
    assert again == settings
    assert msgspec.structs.replace(again, drain_s=1.0).upstreams == settings.upstreams


def test_a_free_port_is_followed_by_a_free_one() -> None:
    assert ServerSettings(store="sqlite://", port=0).grpc_port == 0


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"port": 9000, "grpc_port": 9000}, "port and grpc_port are both 9000"),
        (
            {"upstream": "http://a/v1", "upstreams": (Upstream(name="default", urls=("http://b/v1",)),)},
            "another of that",
        ),
        ({"upstream": "gpu:8000"}, "must be like https://host/v1"),
    ],
)
def test_what_does_not_fit_together_is_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        ServerSettings(store="sqlite://", **fields)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_which_addresses_are_only_this_machine_s(host: str, local: bool) -> None:
    assert is_loopback(host) is local


# --- where values come from -----------------------------------------------------------------------------------------


def test_a_flag_comes_before_a_variable_before_the_file(file: Path) -> None:
    text = 'port = 1\nhost = "1.1.1.1"\nworkers = 3\n[limits]\ndepth = 9\n'
    found = given(file, text, environ={"MULTITURN_PORT": "2", "MULTITURN_HOST": "2.2.2.2"}, port=4)
    settings = found.settings
    assert (settings.port, settings.host, settings.workers, settings.limits.depth) == (4, "2.2.2.2", 3, 9)
    assert settings.limits.items == Limits().items
    assert found.origins == {
        "port": "--port",
        "host": "MULTITURN_HOST",
        "workers": str(file),
        "limits.depth": str(file),
    }


def test_the_file_may_be_named_by_its_variable(file: Path) -> None:
    file.write_text("port = 1")
    found = read(store="sqlite://", environ={"MULTITURN_CONFIG": str(file)})
    assert (found.settings.port, found.file) == (1, file)


def test_rows_of_providers_may_stand_in_the_file(file: Path) -> None:
    assert given(file, '[providers.mybox]\nbase_url = "http://gpu:8000/v1"\n').has_providers
    assert not given(file, "").has_providers


def test_the_example_on_the_page_can_be_used(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    settings = given(file, EXAMPLE).settings
    assert [upstream.name for upstream in settings.upstreams] == ["gpu", "openai"]
    assert settings.upstreams[0].concurrency == 32
    assert [route.match for route in settings.routes] == ["gpt-*", "*"]
    Upstreams(settings.routes, settings.upstreams)


def test_tables_in_a_variable_are_json() -> None:
    settings = given(
        environ={
            "MULTITURN_UPSTREAMS": '{"gpu": {"urls": ["http://gpu/v1"], "timeouts": {"idle_s": 5}}}',
            "MULTITURN_ROUTES": '[{"match": "*", "to": ["gpu"]}]',
        }
    ).settings
    assert settings.upstreams[0].timeouts.idle_s == 5
    assert settings.routes == (Route(match="*", to=("gpu",)),)


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("MULTITURN_GRPC", "no", "grpc", False),
        ("MULTITURN_ALLOW_PROVIDERS", "TRUE", "allow_providers", True),
        ("MULTITURN_DRAIN_S", "2.5", "drain_s", 2.5),
        ("MULTITURN_CORS_ORIGINS", "https://a.example, https://b.example", "cors_origins", ("https://a.example", "https://b.example")),
        ("MULTITURN_PORT", "  ", "port", 8787),
        ("MULTITURN_LOG_FORMAT", "json", "log.format", "json"),
        ("MULTITURN_LIMITS_TOKENS_PER_MINUTE", "5", "limits.tokens_per_minute", 5),
    ],
)  # fmt: skip
def test_variables_hold_text(variable: str, text: str, key: str, value: object) -> None:
    found: Any = given(environ={variable: text}).settings
    for name in key.split("."):
        found = getattr(found, name)
    assert found == value


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    [
        ("MULTITURN_PORT", "abc", "MULTITURN_PORT must be a whole number from 0 to 65535, not 'abc'"),
        ("MULTITURN_PORT", "65536", "from 0 to 65535"),
        ("MULTITURN_PORT", "tcp://10.0.0.1:80", "Kubernetes sets this"),
        ("MULTITURN_WORKERS", "0", "a whole number from 1 up"),
        ("MULTITURN_DRAIN_S", "-1", "a number from 0 to 31536000, not '-1'"),
        ("MULTITURN_DRAIN_S", "inf", "a number from 0"),
        ("MULTITURN_DRAIN_S", "nan", "a number from 0"),
        ("MULTITURN_METRICS", "maybe", "true or false"),
        ("MULTITURN_LOG_LEVEL", "loud", "debug, info, warning or error"),
        ("MULTITURN_ROUTES", "[", "must be JSON, as"),
        ("MULTITURN_ROUTES", "{}", "must be a list of tables"),
        ("MULTITURN_UPSTREAMS", '["gpu"]', "must be tables by name"),
    ],
)
def test_a_variable_that_cannot_be_used_says_what_could(variable: str, text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        given(environ={variable: text})


# --- what a file must not hold --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prot = 1", "prot is not known; did you mean port?"),
        ("zzzzz = 1", "zzzzz is not known. Possible are .*workers"),
        ("[limits]\ndeph = 1", "limits.deph is not known; did you mean depth?"),
        ("limits = 1", r"limits must be a table, as in \[limits\]"),
        ("[upstream]\nurls = []", "upstream must be text"),
        ("[upstreams]\ngpu = 1", "upstreams must be tables by name"),
        ("[upstreams.gpu]\nurl = 'http://x'", "upstreams.gpu.url is not known; did you mean urls?"),
        ("[upstreams.gpu]\nname = 'x'", "upstreams.gpu.name is not known"),
        ("[upstreams.gpu]\ntimeouts = {idle = 1}", "upstreams.gpu.timeouts.idle is not known; did you mean idle_s?"),
        ("[upstreams.gpu]\nqueue = 'x'", "upstreams.gpu.queue: Expected `int`"),
        ("[upstreams.'a b']\nqueue = 1", "cannot be an upstream's name"),
        ("[[routes]]\nmatch = 'x'", r"routes\[1\]: Object missing required field `to`"),
        ("port = '1'", "port must be a whole number from 0 to 65535, not '1'"),
        ("port = true", "port must be a whole number"),
        ("drain_s = nan", "drain_s must be a number"),
        ("port = ", "is not TOML"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_why(file: Path, text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{file}.*{says}"):
        given(file, text)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="No such file"):
        given(environ={"MULTITURN_CONFIG": str(tmp_path / "nowhere.toml")})


@pytest.mark.parametrize(
    "text",
    [
        "store = 'postgresql://me:hunter22@db/chats'",
        "store = 'postgresql://db/chats?password=hunter22'",
        "upstream = 'http://me:hunter22@gpu/v1'",
        f"upstream = 'http://gpu/v1?k={SECRET}'",
        f"[upstreams.gpu]\nkey = '{SECRET}'",
        "[upstreams.gpu]\napi_key = 'hunter22'",
        f"[upstreams.gpu]\nkey_variable = '{SECRET}'",
        f"[upstreams.gpu]\nurls = ['http://gpu/v1', 'http://gpu/{SECRET}']",
        f"[[routes]]\nmatch = '{OWN_KEY}'\nto = 'x'",
        "token = 'hunter22'",
        "[limits]\npassword = 'hunter22'",
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(file: Path, text: str) -> None:
    with pytest.raises(InvalidInput, match="does not belong in this file") as refused:
        given(file, text)
    for secret in ("hunter22", SECRET, OWN_KEY):
        assert secret not in str(refused.value)


def test_a_password_by_variable_is_used_and_never_shown() -> None:
    found = given(environ={"MULTITURN_STORE": "postgresql://me:hunter22@db/chats"})
    assert found.settings.store == "postgresql://me:hunter22@db/chats"
    assert "hunter22" not in explain(found, (), {})
    assert "postgresql://me@db/chats" in summary(found.settings, ())


# --- in words -------------------------------------------------------------------------------------------------------


def test_every_key_says_what_it_means() -> None:
    structs: list[type[msgspec.Struct]] = [ServerSettings, *sections().values(), Upstream, Route]
    for struct in structs:
        fields = {field.name for field in msgspec.structs.fields(struct)} - sections().keys()
        assert fields <= docs_of(struct).keys()
    assert (
        len({option.flag for option in options()}) == len({option.variable for option in options()}) == len(options())
    )


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "python -m multiturn.server.settings > docs/reference/configuration.md"
    )


def test_each_value_is_told_with_where_it_comes_from(file: Path) -> None:
    lines = explain(
        given(file, "[log]\nformat = 'json'", environ={"MULTITURN_PORT": "9"}, host="::1"), (), {}
    ).splitlines()
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in lines[lines.index("") + 1 :]}
    assert rows["port"] == ["9", "from MULTITURN_PORT"]
    assert rows["host"] == ['"::1"', "from --host"]
    assert rows["log.format"] == ['"json"', f"from {file}"]
    assert rows["workers"] == ["1", "by default"]
    assert rows.keys() == {option.key for option in options()}
    assert lines[0] == "Listens on http://[::1]:9/v1"


def test_a_variable_that_nothing_reads_is_told() -> None:
    environ = {"MULTITURN_PROT": "1", "MULTITURN_GPU_KEY": "x", "MULTITURN_MODEL": "x", "PATH": "x"}
    upstreams = '{"gpu": {"urls": ["http://gpu/v1"], "key_variable": "MULTITURN_GPU_KEY"}}'
    found = given(environ={"MULTITURN_UPSTREAMS": upstreams})
    *_, last = explain(found, (), environ).splitlines()
    assert last == "Nothing reads MULTITURN_PROT; did you mean MULTITURN_PORT?"


def test_who_is_served_and_who_is_asked_is_told() -> None:
    settings = given(
        environ={
            "MULTITURN_UPSTREAM": "http://gpu/v1",
            "MULTITURN_UPSTREAMS": '{"openai": {"key_variable": "K", "models": ["gpt-5"]}}',
        }
    ).settings
    (_, one), (_, two), (_, other) = new_key("acme"), new_key("acme"), new_key("beta")
    gone = msgspec.structs.replace(other, revoked_at=1.0)
    assert summary(settings, (one, two, gone)).splitlines()[-5:] == [
        "Keeps   conversations in sqlite://",
        "Serves  whoever has an API key; there are 2, of 1 tenant",
        "Asks    openai at the address of openai, its key from K; its models are gpt-5",
        "        default at http://gpu/v1",
        "Leads   * to default",
    ]
    alone = summary(ServerSettings(store="sqlite://", workers=2), ())
    assert "offline, the built-in stand-in, answers every name" in alone
    assert "this machine only" in alone
    assert "in 2 processes" in alone
