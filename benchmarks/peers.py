"""Where the libraries we compare with are installed: a venv for each requirements file, under `.bench/`.

Never our own `.venv`: peers must not decide which versions of shared packages we are measured with, nor we theirs.
"""

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from report import progress

HERE = Path(__file__).parent
BENCH = HERE.parent / ".bench"


def python(name: str = "peers") -> Path:
    """The interpreter of a venv holding exactly `NAME.txt`; `name` is `peers`, `peers-litellm` or another such file.

    The first call creates the venv, which takes a minute or two and needs PyPI; so does the first call after the
    requirements or our Python changed. Raises `subprocess.CalledProcessError` when pip fails, having shown its words.
    """
    ready = installed(name)
    return ready if ready is not None else _install(name)


def installed(name: str = "peers") -> Path | None:
    """The interpreter `python(name)` would return, if that needs no installing; else None."""
    stamp = BENCH / name / "stamp"
    current = stamp.is_file() and stamp.read_text() == _fingerprint(name)
    return _interpreter(name) if current else None


def _install(name: str) -> Path:
    folder = BENCH / name
    BENCH.mkdir(exist_ok=True)
    (BENCH / ".gitignore").write_text("*\n")
    progress(f"installing {name}.txt into {folder} (a minute or two)", always=True)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    pip = [str(_interpreter(name)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "-r", str(HERE / f"{name}.txt")], capture_output=True, text=True)
    if done.returncode != 0:
        sys.stderr.write(done.stderr)
        done.check_returncode()
    (folder / "stamp").write_text(_fingerprint(name))  # last, so that a half-made venv never counts
    return _interpreter(name)


def _interpreter(name: str) -> Path:
    return BENCH / name / "bin" / "python"


def _fingerprint(name: str) -> str:
    requirements = (HERE / f"{name}.txt").read_bytes()
    return hashlib.sha256(requirements + sys.version.encode()).hexdigest()


if __name__ == "__main__":
    print(python("peers"))
    print(python("peers-litellm"))
    print(python("peers-litellm-proxy"))
