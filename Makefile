# Every target sets up what it needs: a machine with Python 3.11 and make is enough.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?= plan deepseek-ai/DeepSeek-V3 --on gb200-nvl72 --isl 8192 --osl 1024 --min-interactivity 20

.PHONY: run test check bench docs clean

run: $(VENV)/.run
	$(BIN)/rackmath $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cog --check README.md
	$(BIN)/python tools/cli_reference.py --check
	$(BIN)/python tools/block_keys.py --check
	$(BIN)/python tools/trust_page.py --check
	$(BIN)/python tools/blind_page.py --check

docs: $(VENV)/.dev
	$(BIN)/cog -r README.md
	$(BIN)/python tools/cli_reference.py
	$(BIN)/python tools/machine_table.py
	$(BIN)/python tools/block_keys.py
	$(BIN)/python tools/trust_page.py
	$(BIN)/python tools/blind_page.py

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/bench.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip

$(VENV)/.run: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[charts]"
	touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	touch $@ $(VENV)/.run

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
