# `make demo` and `make test` need nothing but Python 3.11 or later: they make .venv themselves, with uv where it is
# installed and with pip elsewhere (`make demo UV=` for pip in any case).
PYTHON ?= python3
UV ?= $(shell command -v uv 2>/dev/null)
BIN := .venv/bin
# A test keeps one core busy: two processes, a whole test file at a time.
WORKERS := --numprocesses 2 --dist loadfile --no-loadscope-reorder
export TF_CPP_MIN_LOG_LEVEL ?= 2
# Packages are compiled when they are first imported, which takes a third of the time of compiling all of them. Without
# files to keep the bytecode in, every process would compile them anew.
unexport PYTHONDONTWRITEBYTECODE
# Tests and benchmarks use PyTorch on the processor: its build for GPUs is gigabytes larger.
export UV_TORCH_BACKEND ?= cpu

.PHONY: demo test test-fast test-kill test-long check format docs bench gpu-check clean

demo: .venv/.installed
	$(BIN)/python recipes/compare.py

test: .venv/.installed-test
	$(BIN)/python -m pytest $(WORKERS)

test-fast: .venv/.installed-test
	$(BIN)/python -m pytest $(WORKERS) -m "not slow and not long"

# All tests, also those that `make test` leaves out, with more examples, trials and losses.
test-long: .venv/.installed-test
	HYPOTHESIS_PROFILE=long MEMORY_TRIALS=100 LOSE_EACH_WORKER=1 $(BIN)/python -m pytest $(WORKERS) -m ""

# Ends runs just before each of their writes.
test-kill: .venv/.installed-test
	$(BIN)/python -m pytest -m "" tests/experiments/test_kill.py

# Style, layers and types.
check: .venv/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: .venv/.installed-test
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

# The site, in build/site; a broken link ends it.
docs: .venv/.installed-test
	PYTHONPATH=. NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

bench: .venv/.installed-bench
	$(BIN)/python benchmarks/run.py

# For a machine with GPUs.
gpu-check: .venv/.installed-gpu
	$(BIN)/python benchmarks/gpu_check.py

# uv does not read pip's configuration: where it cannot reach the packages, pip has a try. Today's pip takes half the time
# of the one that comes with Python 3.11.
define install
	@{ [ -n "$(UV)" ] && $(UV) venv --quiet --allow-existing --python $(PYTHON) .venv \
	  && $(UV) pip install --quiet --python $(BIN)/python --editable '$(1)'; } \
	|| { [ -z "$(UV)" ] || echo "uv could not install it: trying pip"; $(PYTHON) -m venv .venv \
	  && $(BIN)/python -m pip install -qq --disable-pip-version-check --upgrade pip \
	  && $(BIN)/python -m pip install -qq --no-compile --editable '$(1)'; }
	@touch .venv/.installed $@
endef

# A stamp for each set of packages: installed again only when pyproject.toml changes.
.venv/.installed: pyproject.toml
	@echo "Installing into .venv: about half a minute on a fast network"
	$(call install,.)

.venv/.installed-test: pyproject.toml
	@echo "Installing into .venv, PyTorch among others: a minute or more"
	$(call install,.[test])

.venv/.installed-bench: pyproject.toml
	@echo "Installing into .venv, PyTorch among others: a minute or more"
	$(call install,.[bench])

.venv/.installed-gpu: pyproject.toml
	@echo "Installing into .venv, CUDA among others: minutes"
	$(call install,.[gpu])

clean:
	rm -rf .venv
