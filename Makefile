# Every target sets up what it needs: a machine with Python 3.11 and make is enough.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LAB ?= .venv-lab
ARGS ?= plan deepseek-ai/DeepSeek-V3 --on gb200-nvl72 --isl 8192 --osl 1024 --min-interactivity 20

.PHONY: run test test-lab check bench scan scan-input docs snapshots size clean

run: $(VENV)/.run
	$(BIN)/rackmath $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

# Networks need PyTorch, which is large: an environment of its own.
test-lab: $(LAB)/.dev
	OMP_NUM_THREADS=1 $(LAB)/bin/python -m pytest tests/experiments src/rackmath/experiments

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/size.py --check
	$(BIN)/cog --check README.md
	$(BIN)/python tools/cli_reference.py --check
	$(BIN)/python tools/command_pages.py --check
	$(BIN)/python tools/block_keys.py --check
	$(BIN)/python tools/family_table.py --check
	$(BIN)/python tools/machine_table.py --check
	$(BIN)/python tools/quantization_table.py --check
	$(BIN)/python tools/law_table.py --check
	$(BIN)/python tools/home_table.py --check
	$(BIN)/python tools/trust_page.py --check
	$(BIN)/python tools/blind_page.py --check

docs: $(VENV)/.dev
	$(BIN)/cog -r README.md
	$(BIN)/python tools/cli_reference.py
	$(BIN)/python tools/command_pages.py
	$(BIN)/python tools/law_table.py
	$(BIN)/python tools/machine_table.py
	$(BIN)/python tools/quantization_table.py
	$(BIN)/python tools/block_keys.py
	$(BIN)/python tools/family_table.py
	$(BIN)/python tools/home_table.py
	$(BIN)/python tools/trust_page.py
	$(BIN)/python tools/blind_page.py

# Screens, JSON and CSV of every command's example, as tests hold them.
snapshots: $(VENV)/.dev
	$(BIN)/python tools/snapshots.py

size:
	$(PYTHON) tools/size.py

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/bench.py

# Every model x command x vendor x form: hours. It goes on where it stopped; SECONDS bounds it.
SECONDS ?= inf
scan: $(VENV)/.dev
	nice $(BIN)/python tools/scan.py --seconds $(SECONDS)

# Every option x hostile value, and ten thousand mutations of descriptions: an hour.
scan-input: $(VENV)/.dev
	RACKMATH_SCAN=1 nice $(BIN)/python -m pytest tests/faces/test_hostile_options.py tests/world/test_hostile_descriptions.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip

$(VENV)/.run: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[charts]"
	touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	touch $@ $(VENV)/.run

$(LAB)/.dev: pyproject.toml
	$(PYTHON) -m venv $(LAB)
	$(LAB)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(LAB)/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[lab]" --group dev
	touch $@

clean:
	rm -rf $(VENV) $(LAB) .mypy_cache .ruff_cache .pytest_cache .hypothesis
