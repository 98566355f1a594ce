# `make demo` and `make test` need nothing but Python 3.11 or later: they make .venv themselves.
PYTHON ?= python3
BIN := .venv/bin
# A test keeps one core busy: two processes, a whole test file at a time.
WORKERS := --numprocesses 2 --dist loadfile --no-loadscope-reorder
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo test test-fast test-kill test-long check format bench gpu-check clean

demo: .venv/.installed
	$(BIN)/python recipes/compare.py

test: .venv/.installed-test
	$(BIN)/python -m pytest $(WORKERS)

test-fast: .venv/.installed-test
	$(BIN)/python -m pytest $(WORKERS) -m "not slow and not long"

# Kills runs at many moments, where `make test` kills at a few.
test-kill: .venv/.installed-test
	KILL_POINTS=24 $(BIN)/python -m pytest tests/experiments/test_kill.py

# All of `make test`, and longer where it is short: 24 kills, a hundred trials.
test-long: .venv/.installed-test
	HYPOTHESIS_PROFILE=long KILL_POINTS=24 MEMORY_TRIALS=100 $(BIN)/python -m pytest $(WORKERS) -m ""

check: .venv/.installed-test
	$(BIN)/python -m pytest tests/test_project.py

bench: .venv/.installed-bench
	$(BIN)/python benchmarks/run.py

# For a machine with GPUs, and the extra `gpu`.
gpu-check: .venv/.installed
	$(BIN)/python benchmarks/gpu_check.py

format: .venv/.installed-test
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

# A stamp a set of packages: made again only when pyproject.toml changes.
.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/.installed-test: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch .venv/.installed $@

.venv/.installed-bench: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch .venv/.installed $@

clean:
	rm -rf .venv
