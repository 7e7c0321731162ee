# Two commands after a fresh clone: `make demo` and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo
PATIENTS ?= 4
CORES ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: help setup demo test test-slow test-kubernetes test-all bench lint lock clean

help:
	@echo "make demo      simulate a two-visit trial, run everything, compare with the truth"
	@echo "make test      the quick tests;  make test-all  all tests"
	@echo "make bench     benchmarks, as ratios to the peers in one run"
	@echo "make lint      formatting, types, import rules;  make lock  resolve the dependencies again"

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV) || ($(PYTHON) -m pip install --user virtualenv && $(PYTHON) -m virtualenv $(VENV))
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: setup
	$(BIN)/msimaging demo $(DEMO) --patients $(PATIENTS) --cores $(CORES)

test: setup
	$(BIN)/python -m pytest -n $(CORES) -m "not slow"

test-slow: setup
	$(BIN)/python -m pytest -m "slow and alone"
	$(BIN)/python -m pytest -n $(CORES) --dist loadfile -m "slow and not alone"

# installs Snakemake's plugin, with which every start of Snakemake takes a quarter of a second more
test-kubernetes: setup
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable ".[kubernetes]"
	$(BIN)/python -m pytest -k kubernetes tests/workflow/test_cluster_profiles.py

test-all: test test-slow

bench: setup
	@for script in tests/benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

lint: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow

# needs uv; the lock names no package host
lock:
	uv pip compile pyproject.toml --extra slurm --extra dicom --extra dev --universal \
	  --generate-hashes --python-version 3.11 --no-annotate --no-header --output-file requirements.lock

clean:
	rm -rf $(VENV) $(DEMO)
