# Every target stands alone: it sets up what it needs on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test lint bench torture docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "multiturn needs Python 3.11 or newer; try: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV) (once, about a minute)"
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --editable . --group dev --group docs
	@touch $(STAMP)

demo: setup
	@$(BIN)/python examples/demo.py

test: setup
	$(BIN)/python -m pytest -n 2 -m "not torture"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

torture: setup
	$(BIN)/python -m pytest -m torture
	HYPOTHESIS_PROFILE=new $(BIN)/python -m pytest -n 2 tests/formats tests/transfer tests/output tests/tools

bench: setup
	$(BIN)/python benchmarks/import_time.py
	$(BIN)/python benchmarks/turn_overhead.py
	$(BIN)/python benchmarks/store_growth.py
	$(BIN)/python benchmarks/store_depth.py
	$(BIN)/python benchmarks/store_throughput.py
	$(BIN)/python benchmarks/agent_loop.py
	$(BIN)/python benchmarks/window.py
	$(BIN)/python benchmarks/server.py

docs: setup
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) .bench site
