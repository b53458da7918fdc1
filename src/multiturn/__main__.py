"""`python -m multiturn` is `multiturn`."""

from __future__ import annotations

import sys

from multiturn.cli import main

if __name__ == "__main__":
    sys.exit(main())
