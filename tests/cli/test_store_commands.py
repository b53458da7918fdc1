"""`multiturn export`, `import`, `search`, `usage`, `stats`, `gc`, `check`, and what `list` and `delete` can choose."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from cli.conftest import Open, Run
from multiturn.messages import Usage, assistant, user
from multiturn.stores import open_store
from multiturn.stores.records import ConversationRecord
from multiturn.turns import Totals, Turn, TurnStatus, finished

DAY = 86_400.0


@pytest.fixture
def env(env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    return {**env, "MULTITURN_STORE": f"sqlite:///{tmp_path}/chats.db", "TZ": "UTC"}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A store with conversations of several users, days and models: trip (bob, 2 days ago), work (bob, 40 days ago)
    and home (alice, 400 days ago)."""
    file = tmp_path / "chats.db"
    asyncio.run(_fill(f"sqlite:///{file}"))
    return file


async def _fill(url: str) -> None:
    store = open_store(url)
    noon = time.time() // DAY * DAY + DAY / 2
    for id, who, model, days, texts in (
        ("home", "alice", "xai:grok-4", 400.0, ["Green apples, please"]),
        ("work", "bob", "offline", 40.0, ["What is a pear?", "And an apple?"]),
        ("trip", "bob", "openai:gpt-5-mini", 2.0, ["Où est l'école?", "My favourite colour is green", "Pack apples"]),
    ):
        await store.restore(*_conversation(id, who, model, noon - days * DAY, texts))
    await store.aclose()


def _conversation(
    id: str, who: str, model: str, at: float, texts: list[str]
) -> tuple[list[ConversationRecord], list[Turn]]:
    turns: list[Turn] = []
    for number, text in enumerate(texts):
        before = turns[-1] if turns else None
        turn = Turn(
            id=f"turn-{id}-{number}",
            conversation=id,
            parent=before.id if before else None,
            input=(user(text),),
            model=model,
            created_at=at + number,
        )
        answer = assistant(f"You said: {text}")
        answer = msgspec.structs.replace(answer, usage=Usage(input_tokens=1000, output_tokens=10, cost_usd=0.0125))
        totals = before.totals if before else Totals()
        turns.append(finished(turn, TurnStatus.COMPLETED, before=totals, at=at + number, output=[answer]))
    record = ConversationRecord(
        id=id,
        user=who,
        head=turns[-1].id,
        latest=turns[-1].id,
        model=model,
        metadata={"topic": id},
        created_at=at,
        updated_at=turns[-1].created_at,
    )
    return [record], turns


def days_ago(number: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() - number * DAY))


def names(text: str) -> list[str]:
    return [json.loads(line)["id"] for line in text.splitlines()]


# --- list -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("", ["trip", "work", "home"]),
        ("--user bob", ["trip", "work"]),
        ("--user nobody", []),
        ("--metadata topic=work", ["work"]),
        ("--metadata topic=work --user alice", []),
        ("--status completed", ["trip", "work", "home"]),
        ("--status failed", []),
        ("--since 7d", ["trip"]),
        ("--until 7d", ["work", "home"]),
        ("--since 2000-01-01 --until 2001-01-01", []),
        ("--limit 1", ["trip"]),
        ("--limit 1 --after trip", ["work"]),
        ("--after trip --user bob", ["work"]),
    ],
)
@pytest.mark.usefixtures("kept")
def test_list_shows_only_what_is_asked_for(options: str, wanted: list[str], run: Run) -> None:
    assert names(run("list", "--json", *options.split()).stdout) == wanted


@pytest.mark.usefixtures("kept")
def test_list_says_how_to_get_the_next_page(run: Run, open_terminal: Open) -> None:
    terminal = open_terminal("list", "--limit", "2")
    assert terminal.end() == 0
    assert terminal.text.endswith("The last 2; --limit shows more. The next page: --after work")
    terminal = open_terminal("list", "--limit", "2", "--after", "work")
    assert terminal.end() == 0
    assert len(terminal.text.splitlines()) == 2
    assert run("list", "--user", "nobody").stderr == "No such conversations.\n"
    assert run("list", "--after", "nobody").returncode == 1
    assert "--metadata 'x' is no K=V" in run("list", "--metadata", "x").stderr


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("2026-11-01", "2026-11-01T00:00"),
        ("2026-11-01 14:30", "2026-11-01T14:30"),
        ("2026-11-01T14:30Z", "2026-11-01T14:30"),
    ],
)
def test_a_time_may_be_a_date(given: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from multiturn.cli.times import Moment

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    at = Moment().convert(given, None, None)
    assert time.strftime("%Y-%m-%dT%H:%M", time.gmtime(at)) == wanted
    assert Moment(end=True).convert("2026-11-01", None, None) == Moment().convert("2026-11-02", None, None)
    monkeypatch.undo()
    time.tzset()


def test_a_time_that_is_none_is_refused(run: Run) -> None:
    done = run("list", "--since", "soon")
    assert done.returncode == 2
    assert "'soon' is no time; write 2026-11-01, '2026-11-01 14:30', 7d or 12h" in done.stderr


# --- search ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("kept")
def test_search_shows_where_and_what(open_terminal: Open, run: Run) -> None:
    terminal = open_terminal("search", "green")
    assert terminal.end() == 0
    assert re.sub(r"\d days? ago", "2 days ago", terminal.text).split("\n\n") == [
        "trip · turn turn-trip-1 · 2 days ago\n  My favourite colour is green You said: My favourite colour is green",
        f"home · turn turn-home-0 · {days_ago(400)}\n  Green apples, please You said: Green apples, please",
    ]
    assert terminal.raw.count(b"\x1b[1;33mgreen\x1b[0m") == 2
    assert b"\x1b[1;33mGreen\x1b[0m" in terminal.raw
    plain = run("search", "green", "--user", "bob").stdout
    assert plain.startswith("trip · turn turn-trip-1 · ")
    assert plain.endswith(" ago\n  My favourite colour is green You said: My favourite colour is green\n")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("ECOLE", ["turn-trip-0"]),
        ("appl*", ["turn-work-1", "turn-trip-2", "turn-home-0"]),
        ("apples green", ["turn-home-0"]),
        ('"apples green"', []),
        ('"green apples"', ["turn-home-0"]),
        ("apples --user bob", ["turn-trip-2"]),
        ("appl* --limit 1", ["turn-work-1"]),
        ("nothing of the kind", []),
    ],
)
@pytest.mark.usefixtures("kept")
def test_search_finds_words_phrases_and_beginnings(words: str, wanted: list[str], run: Run) -> None:
    arguments = [words] if '"' in words else words.split()
    found = [json.loads(line) for line in run("search", "--json", *arguments).stdout.splitlines()]
    assert [each["turn"] for each in found] == wanted
    assert all(each["conversation"] in each["turn"] and each["excerpt"] for each in found)


@pytest.mark.usefixtures("kept")
def test_search_that_finds_nothing_says_so(run: Run, open_terminal: Open) -> None:
    assert run("search", "bananas") == (0, "", "Nobody has said bananas.\n")
    assert run("search", "*") == (1, "", "Error: there is no word to look for in '*'.\n")
    terminal = open_terminal("search", "said", "--limit", "2")
    assert terminal.end() == 0
    assert terminal.text.endswith("The newest 2; --limit shows more.")


# --- usage and stats ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("kept")
def test_usage_is_a_table_with_its_sum(run: Run) -> None:
    assert run("usage").stdout.splitlines() == [
        "model              turns  tokens in  out     cost",
        "openai:gpt-5-mini      3      3,000   30  $0.0375",
        "offline                2      2,000   20  $0.0250",
        "xai:grok-4             1      1,000   10  $0.0125",
        "all                    6      6,000   60  $0.0750",
    ]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("--by user", {"bob": 5, "alice": 1}),
        ("--by conversation", {"trip": 3, "work": 2, "home": 1}),
        ("--by conversation --since 60d", {"trip": 3, "work": 2}),
        ("--by user --until 60d", {"alice": 1}),
        ("--by model --limit 1", {"openai:gpt-5-mini": 3}),
        ("--by model --since 2000-01-01 --until 2000-01-02", {}),
    ],
)
@pytest.mark.usefixtures("kept")
def test_usage_by_name_and_time(options: str, wanted: dict[str, int], run: Run) -> None:
    rows = [json.loads(line) for line in run("usage", "--json", *options.split()).stdout.splitlines()]
    by = options.split()[1]
    assert {row[by]: row["turns"] for row in rows} == wanted
    assert all(row["output_tokens"] == 10 * row["turns"] for row in rows)


@pytest.mark.usefixtures("kept")
def test_a_day_is_one_in_utc_and_until_is_inclusive(run: Run) -> None:
    day = days_ago(40)
    rows = run("usage", "--json", "--by", "day", "--since", day, "--until", day).stdout.splitlines()
    assert [json.loads(row)["day"] for row in rows] == [day]


@pytest.mark.usefixtures("kept")
def test_stats_read_well_in_a_terminal(open_terminal: Open) -> None:
    terminal = open_terminal("stats", rows=40)
    assert terminal.end() == 0
    shown = terminal.text
    assert re.search(r"^3 conversations · 6 turns · \d+ kB$", shown, re.MULTILINE)
    assert re.search(r"^turns +\d+ kB  █+.?$", shown, re.MULTILINE)
    assert re.search(r"^trip  [\d.]+ (bytes|kB)  █{30}$", shown, re.MULTILINE)
    chart = shown.partition("New turns a day\n")[2].splitlines()
    assert chart[0].startswith("3 │")
    assert chart[0].endswith("█")
    assert chart[5].startswith("0 │")
    assert len(chart) == 8
    assert chart[7].endswith(days_ago(2))
    assert max(map(len, shown.splitlines())) < 80


@pytest.mark.usefixtures("kept")
def test_stats_in_a_terminal_without_blocks_or_colours(run_process: Run) -> None:
    shown = run_process("stats", PYTHONIOENCODING="ascii", NO_COLOR="1").stdout
    assert "trip" in shown
    assert "###" in shown
    assert shown.isascii()
    assert "?" not in shown.replace("???", "")
    found = json.loads(run_process("stats", "--json").stdout)
    assert (found["conversations"], found["turns"]) == (3, 6)
    assert found["biggest"][0]["conversation"] == "trip"
    assert sum(found["turns_by_day"].values()) == 6


@pytest.mark.parametrize("command", ["search x", "usage", "stats", "check", "gc --keep 1", "gc --keep 1 --dry-run"])
def test_where_nothing_is_kept_yet_nothing_is_made(command: str, run: Run, tmp_path: Path) -> None:
    done = run(*command.split(), MULTITURN_STORE="")
    assert done.returncode == 0
    assert not list(tmp_path.iterdir())
    assert run(*command.split(), "--store", "sqlite:///none.db").stderr.startswith(
        "Error: there is no store at none.db"
    )


# --- gc, check and delete -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "gone"),
    [
        ("--older-than 90d", ["home"]),
        ("--idle 30d", ["work", "home"]),
        ("--keep 1", ["work"]),
        ("--keep 1 --older-than 1y", ["work", "home"]),
        ("--older-than 10y", []),
        ("--keep 0", ["trip", "work", "home"]),
    ],
)
@pytest.mark.usefixtures("kept")
def test_gc_lets_go_what_the_dry_run_showed(rules: str, gone: list[str], run: Run) -> None:
    before = names(run("list", "--json").stdout)
    assert names(run("gc", "--dry-run", "--json", *rules.split()).stdout) == gone
    assert names(run("list", "--json").stdout) == before
    done = json.loads(run("gc", "--json", *rules.split()).stdout)
    assert done["conversations"] == len(gone)
    assert names(run("list", "--json").stdout) == [id for id in before if id not in gone]
    assert run("check").stdout == "All is well.\n"


@pytest.mark.usefixtures("kept")
def test_gc_needs_a_rule_and_says_what_it_did(run: Run) -> None:
    done = run("gc")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: say what may go: --older-than, --idle or --keep; see")
    assert "'soon' is no length of time; write 90d" in run("gc", "--idle", "soon").stderr
    dry = run("gc", "--idle", "30d", "--dry-run").stdout.splitlines()
    assert dry[-1] == "2 conversations would go; nothing was deleted."
    assert re.fullmatch(r"  work, last used \d{4}-\d\d-\d\d", dry[0])
    assert re.fullmatch(r"Deleted 2 conversations, 3 turns(; .* given back)?\.\n", run("gc", "--idle", "30d").stdout)
    assert re.fullmatch(r"Nothing was due(; .* given back)?\.\n", run("gc", "--idle", "30d").stdout)


def test_check_finds_damage(kept: Path, run_process: Run) -> None:
    assert run_process("check") == (0, "All is well.\n", "")
    assert json.loads(run_process("check", "--json").stdout) == {"problems": []}
    with sqlite3.connect(kept) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("DELETE FROM turns WHERE id = 'turn-trip-1'")
    db.close()
    done = run_process("check")
    assert done.returncode == 1
    assert "turn turn-trip-2 follows nothing" in done.stdout
    assert len(json.loads(run_process("check", "--json").stdout)["problems"]) == len(done.stdout.splitlines())


@pytest.mark.usefixtures("kept")
def test_delete_a_turn_and_what_follows(run: Run, open_terminal: Open) -> None:
    terminal = open_terminal("delete", "trip", "--turn", "2")
    terminal.wait("Delete this for good? [y/N]:")
    assert "“My favourite colour is green” and 1 turn after it" in terminal.text
    terminal.type("n\r")
    assert terminal.end() == 1
    assert run("delete", "--yes", "trip", "--turn", "9").returncode == 1
    done = run("delete", "--yes", "--turn", "turn-trip-1")
    assert done.stdout == "Deleted “My favourite colour is green” and 1 turn after it.\n"
    assert [json.loads(line)["id"] for line in run("show", "trip", "--json").stdout.splitlines()] == ["turn-trip-0"]
    gone = run("delete", "--yes", "--turn", "turn-trip-1")
    assert (gone.returncode, gone.stderr) == (1, "Error: there is no turn 'turn-trip-1'.\n")


@pytest.mark.usefixtures("kept")
def test_delete_all_of_a_user(run: Run) -> None:
    assert "say --yes to delete" in run("delete", "--user", "bob").stderr
    done = run("delete", "--yes", "--user", "bob")
    assert done.stdout == "Deleted all that is kept of user bob (2 conversations).\n"
    assert names(run("list", "--json").stdout) == ["home"]
    assert run("delete", "--yes", "--user", "bob").stderr == "Error: there is no conversation of user 'bob'.\n"


@pytest.mark.parametrize("arguments", ["", "trip --user bob", "trip work --turn 1", "--user bob --turn x"])
@pytest.mark.usefixtures("kept")
def test_delete_wants_to_know_one_thing(arguments: str, run: Run) -> None:
    assert run("delete", "--yes", *arguments.split()).returncode == 2
    assert len(names(run("list", "--json").stdout)) == 3


# --- export and import ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("kept")
def test_there_and_back(run: Run, tmp_path: Path) -> None:
    done = run("export", "--output", "out.jsonl")
    assert re.fullmatch(r"Exported 3 conversations to out\.jsonl \([\d.]+ kB\)\.\n", done.stderr)
    file = tmp_path / "out.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run("export").stdout == file.read_text()
    done = run("import", "out.jsonl", "--store", "sqlite:///copy.db")
    assert done == (0, "Imported 3 conversations, 6 turns.\n", "")
    assert run("export", "--store", "sqlite:///copy.db").stdout == file.read_text()
    again = run("import", "-", "--store", "sqlite:///copy.db", say=file.read_text())
    assert again.stdout == "Imported 0 conversations, 0 turns; 3 conversations were there already.\n"
    told = json.loads(run("export", "trip", "--output", "trip.jsonl", "--json").stdout)
    assert told == {
        "conversations": 1,
        "bytes": (tmp_path / "trip.jsonl").stat().st_size,
        "format": "jsonl",
        "output": "trip.jsonl",
    }
    assert json.loads(run("import", "trip.jsonl", "--json").stdout) == {"conversations": 0, "turns": 0, "skipped": 1}
    assert sorted(path.name for path in tmp_path.iterdir() if "jsonl" in path.name) == ["out.jsonl", "trip.jsonl"]


@pytest.mark.parametrize(("format", "first"), [("openai", '{"messages":'), ("sharegpt", '{"id":"home"')])
@pytest.mark.usefixtures("kept")
def test_other_formats_say_what_they_lose(format: str, first: str, run: Run) -> None:
    done = run("export", "--format", format, "--output", "out")
    assert "This format holds" in done.stderr
    assert "not i" in done.stderr
    assert run("export", "--format", format).stdout.startswith(first)
    done = run("import", "out", "--store", "sqlite:///copy.db")
    assert done.stdout == "Imported 3 conversations, 6 turns.\n"
    assert "has no times, users, models or usage" in done.stderr
    assert len(run("export", "--format", format, "--store", "sqlite:///copy.db").stdout.splitlines()) == 3


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("export nobody", "there is no conversation 'nobody'; 'multiturn list' shows those there are."),
        ("export --output /nowhere/out", "cannot write /nowhere/out: No such file or directory."),
        ("export --output /", "cannot write /: Is a directory."),
        ("import missing.jsonl", "cannot read missing.jsonl: No such file or directory."),
        ("import .", "cannot read .: Is a directory."),
        ("import chats.db", "line 1: this is not valid JSON: "),
    ],
)
@pytest.mark.usefixtures("kept")
def test_what_cannot_be_done_is_one_sentence(command: str, problem: str, run: Run) -> None:
    done = run(*command.split())
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {problem}")
    assert done.stderr.count("\n") == 1
    assert "--json needs --output" in run("export", "--json").stderr


@pytest.mark.usefixtures("kept")
def test_an_import_that_breaks_off_says_what_came_in(run: Run) -> None:
    data = run("export").stdout
    done = run("import", "-", "--store", "sqlite:///copy.db", say=data[: data.index('"id":"work"')])
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first == "Imported 2 conversations, 4 turns. The next import of this file goes on from there."
    assert re.match(r"Error: line \d+: ", second)
    run("chat", "--conversation", "trip", "What is 1 + 1?", "--model", "offline", "--store", "sqlite:///copy.db")
    done = run("import", "-", "--store", "sqlite:///copy.db", say=data)
    assert "there is a conversation 'trip' in the store already, and not the same" in done.stderr
    done = run("import", "-", "--on-conflict", "skip", "--store", "sqlite:///copy.db", say=data)
    assert done.stdout == "Imported 0 conversations, 0 turns; 3 conversations were there already.\n"


@pytest.fixture
def many(kept: Path) -> Path:
    """The store with two thousand more conversations."""

    async def fill() -> None:
        store = open_store(f"sqlite:///{kept}")
        await asyncio.gather(
            *(store.restore(*_conversation(f"c{number:04}", "x", "m", 1e9, ["hello"])) for number in range(2000))
        )
        await store.aclose()

    asyncio.run(fill())
    return kept


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_an_export_that_is_stopped_leaves_nothing_under_its_name(
    signum: int, many: Path, env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "out.jsonl").write_text("of yesterday")
    command = [sys.executable, "-m", "multiturn", "export", "--output", "out.jsonl"]
    with subprocess.Popen(command, env=env, cwd=tmp_path, stderr=subprocess.PIPE) as running:
        while not any(part.stat().st_size for part in tmp_path.glob(".out.jsonl.*.part")):
            assert running.poll() is None, "was too quick to be stopped"
            time.sleep(0.005)
        running.send_signal(signum)
        errors = running.communicate(timeout=10)[1]
    assert (running.returncode, errors) == ((130, b"\n") if signum == signal.SIGINT else (-9, b""))
    assert (tmp_path / "out.jsonl").read_text() == "of yesterday"
    if signum == signal.SIGINT:
        assert not list(tmp_path.glob("*.part"))
        assert not list(tmp_path.glob(".*.part"))


def test_a_terminal_shows_how_far_it_is(many: Path, open_terminal: Open, tmp_path: Path) -> None:
    store = f"sqlite:///{many}"
    terminal = open_terminal("export", "--store", store, "--output", f"{tmp_path}/out.jsonl")
    assert terminal.end() == 0
    assert re.search(rb"Exporting.*\d/2003", terminal.raw)
    assert terminal.text.startswith("Exported 2,003 conversations to ")
    terminal = open_terminal("import", f"{tmp_path}/out.jsonl", "--store", f"sqlite:///{tmp_path}/copy.db")
    assert terminal.end() == 0
    assert re.search(rb"Importing.*/[\d.]+ [kM]B", terminal.raw)
    assert terminal.text == "Imported 2,003 conversations, 2,006 turns."


def test_an_import_that_waits_for_words_can_be_stopped(open_terminal: Open) -> None:
    terminal = open_terminal("import", "-", "--store", "sqlite://")
    time.sleep(1.0)
    terminal.type("\x03")
    started = time.monotonic()
    assert terminal.end() in (130, -signal.SIGINT)
    assert time.monotonic() - started < 3


@pytest.mark.usefixtures("kept")
def test_a_reader_that_goes_away_ends_the_export(env: dict[str, str], tmp_path: Path) -> None:
    command = f"{sys.executable} -m multiturn export | head -1"
    done = subprocess.run(command, shell=True, env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == '{"kind":"header","format":"multiturn","version":1}\n'
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("kept")
def test_an_export_may_go_to_a_device(run: Run) -> None:
    assert run("export", "--output", os.devnull).returncode == 0
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize("command", ["search", "export", "import", "usage", "stats", "gc", "check"])
def test_each_command_explains_itself_with_examples(command: str, run: Run) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert f"Examples:\n    multiturn {command}" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert re.search(rf"^  {command}  +\S.*[^.]\.$", run("--help").stdout, re.MULTILINE)
