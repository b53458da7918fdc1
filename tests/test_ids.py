"""Ids as the docstring of `ids` has them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter

import pytest

from multiturn.ids import new_id


def value(id: str) -> int:
    """The 128 bits of an id."""
    digits = id.partition("_")[2]
    assert len(digits) == 26
    number = int(digits, 32)
    assert number & 3 == 0
    return number >> 2


def test_an_id_begins_with_the_time() -> None:
    before = int(time.time() * 1000)
    made = [value(new_id("turn")) >> 80 for _ in range(1000)]
    assert before <= made[0]
    assert made == sorted(made)
    assert made[-1] <= int(time.time() * 1000)


@pytest.mark.parametrize("moment", [0, 1, 7, 8, 2**48 - 1])
def test_every_moment_has_its_place(moment: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: (moment + 0.5) / 1000)
    assert value(new_id("x")) >> 80 == moment


def test_the_other_eighty_bits_are_random() -> None:
    rest = [value(new_id("x")) & (1 << 80) - 1 for _ in range(4000)]
    assert len(set(rest)) == 4000
    ones = Counter(bit for number in rest for bit in range(80) if number >> bit & 1)
    assert all(1700 < ones[bit] < 2300 for bit in range(80))  # nine standard deviations


def test_a_forked_process_makes_others() -> None:
    program = "\n".join(
        (
            "import os; from multiturn.ids import new_id; new_id('x'); child = os.fork()",
            "os.write(1, new_id('x').encode() + b' ')",
            "if child: os.wait()",
        )
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    one, other = (value(id) & (1 << 78) - 1 for id in done.stdout.split())
    assert one != other
