"""Exact counts against an independent reference, and the estimate that stands in where the encodings are not there."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.context.encodings import Encoding, approximate, encoding, shares
from multiturn.context.tokens import counter_for

KNOWN = json.loads(Path(__file__).with_name("counts.json").read_text())
TEXTS = {known["name"]: known for known in KNOWN["texts"]}
MODELS: dict[Encoding, str] = {"o200k_base": "gpt-4o", "cl100k_base": "gpt-4"}

needs_tables = pytest.mark.skipif(sys.version_info >= (3, 14), reason="rs-bpe has no wheel for it yet")


def exact(name: Encoding) -> Callable[[str], int]:
    count = encoding(name)
    assert count is not None, "the extra `tokens` is not installed"
    return count


# --- exact ------------------------------------------------------------------------------------------------------------


@needs_tables
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "known", KNOWN["texts"] + KNOWN["published"], ids=lambda known: known.get("name", known["text"])
)
def test_a_known_text_has_its_known_count(known: dict[str, Any], name: Encoding) -> None:
    assert exact(name)(known["text"]) == known[name]
    assert counter_for("openai", MODELS[name]).text(known["text"]) == known[name]


@needs_tables
@pytest.mark.parametrize("name", MODELS)
def test_two_thousand_odd_texts_have_the_counts_of_tiktoken(name: Encoding) -> None:
    chance, pieces, count = random.Random(20_26), KNOWN["pieces"], exact(name)
    texts = ["".join(chance.choice(pieces) for _ in range(chance.randrange(60))) for _ in range(2000)]
    counts = [count(text) for text in texts]
    assert sum(counts) == KNOWN["made"][name]["total"]
    assert hashlib.sha256(",".join(map(str, counts)).encode()).hexdigest() == KNOWN["made"][name]["sha256"]


@needs_tables
def test_special_tokens_in_a_users_text_are_text() -> None:
    for name in MODELS:
        for special in ("<|endoftext|>", "<|im_start|>", "<|start|>", "<|fim_prefix|>"):
            assert exact(name)(special) > 2


@needs_tables
@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_no_text_is_refused(text: str) -> None:
    """Half surrogate pairs neither, which json.loads lets through."""
    assert 0 <= exact("o200k_base")(text) <= 3 * len(text.encode(errors="replace"))


@needs_tables
def test_twice_as_much_text_takes_no_more_than_about_twice_the_time() -> None:
    """Texts of one kind of letter are what some tokenizers are slow with."""
    count = exact("o200k_base")

    def seconds(length: int) -> float:
        runs = []
        for _ in range(3):
            began = time.perf_counter()
            count("a" * length + " " * length + "語" * length)
            runs.append(time.perf_counter() - began)
        return min(runs)

    seconds(1_000)
    assert seconds(160_000) < 8 * 3 * seconds(20_000)


@needs_tables
def test_threads_count_alike() -> None:
    found: list[int] = []
    text = TEXTS["python"]["text"] * 20
    threads = [threading.Thread(target=lambda: found.append(exact("o200k_base")(text))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 8


# --- about ------------------------------------------------------------------------------------------------------------

HARD = {"base64", "repeated letters", "repeated word", "beyond the plane"}  # said to be further off


@pytest.mark.parametrize("name", [n for n, known in TEXTS.items() if len(known["text"]) > 150 and n not in HARD])
def test_without_tables_prose_and_code_are_within_a_fifth(name: str) -> None:
    assert approximate(TEXTS[name]["text"]) == pytest.approx(TEXTS[name]["o200k_base"], rel=0.2)


@pytest.mark.parametrize("name", TEXTS)
def test_without_tables_nothing_is_far_off(name: str) -> None:
    right, about = TEXTS[name]["o200k_base"], approximate(TEXTS[name]["text"])
    assert right / 2.5 - 3 <= about <= 2.5 * right + 3


def test_without_tables_all_texts_together_are_within_five_percent() -> None:
    plain = [known for name, known in TEXTS.items() if name not in HARD]
    assert sum(approximate(known["text"]) for known in plain) == pytest.approx(
        sum(known["o200k_base"] for known in plain), rel=0.05
    )


def test_nothing_is_no_token_and_anything_at_least_one() -> None:
    assert approximate("") == 0
    assert approximate(" ") == approximate("a") == approximate("\n") == 1


@given(st.text(st.characters(exclude_categories=()), max_size=60), st.text(max_size=60))
def test_without_tables_more_text_is_no_fewer_tokens(first: str, second: str) -> None:
    assert approximate(first + " " + second) >= max(approximate(first), approximate(second)) - 3


def test_shares_say_what_part_is_in_which_script() -> None:
    assert shares("plain") == (0.0, 0.0)
    assert shares("東京 ab") == (0.4, 0.0)
    assert shares("да!") == (0.0, 2 / 3)


# --- what is imported -------------------------------------------------------------------------------------------------


def run(program: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    ).stdout


def test_importing_and_asking_for_a_counter_reads_no_tables() -> None:
    program = """
import sys
from multiturn.context import counter_for
counter_for("openai", "gpt-4o")
print("rs_bpe" in sys.modules)
"""
    assert run(program).strip() == "False"


def test_without_the_extra_counts_are_about_right_and_say_so() -> None:
    program = """
import sys
sys.modules["rs_bpe"] = None  # as if it were not installed
from multiturn.context import counter_for
counter = counter_for("openai", "gpt-4o")
print(counter.text("The harbour was quiet when the last ferry came in."), counter.error)
"""
    assert run(program).split() == ["12", "0.2"]
