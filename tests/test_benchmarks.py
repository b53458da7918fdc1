"""The benchmarks run: their short versions, whose figures are not judged here. `make bench` judges."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("script", "rows"),
    [
        ("import_time.py", ["import multiturn", "from multiturn import Conversation"]),
        ("turn_overhead.py", ["multiturn", "multiturn, async"]),
        ("store_growth.py", ["multiturn"]),
        ("store_depth.py", ["append"]),
        ("agent_loop.py", ["multiturn, Agent", "multiturn, stored"]),
        ("store_throughput.py", ["one fsync a turn", "Conversation, 64 at once"]),
    ],
)
def test_a_benchmark_prints_its_table(script: str, rows: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), "--quick"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr  # 1: a bar was missed, as may be beside other tests
    assert "Traceback" not in done.stderr
    for row in rows:
        assert any(line.startswith(row) for line in done.stdout.splitlines()), done.stdout
