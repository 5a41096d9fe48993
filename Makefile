# Two commands for a newcomer: `make demo` and `make test`. Needs Python 3.11 or newer and the package sources that pip is configured with.
#   make demo        set-up, then the whole pipeline on a toy base, on the CPU, into runs/demo
#   make test        set-up, then every test this machine can run; skipped ones are listed with reason and remedy
#   make test-long   set-up, then the tests that take long: the full kill sweep over real training among them
#   make lint        ruff and mypy
#   make check       lint, then test

PYTHON ?= $(shell for found in python3.11 python3; do command -v $$found && break; done)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup demo test test-long lint check clean

help:
	@sed -n 's/^#   //p' Makefile

setup:
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "posttrain: no Python 3.11 or newer found; install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 69; }
	@$(PYTHON) -m posttrain.setup.install $(VENV)

demo: setup
	$(BIN)/posttrain run recipes/demo_cpu.yaml --out runs/demo

test: setup
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder  # three files at a time, as many wait for processes: no thread may wait awake

test-long: setup
	$(BIN)/python -m pytest -m long -n 2 -rP  # SFT and GRPO beside each other

lint: setup
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test

clean:
	rm -rf $(VENV) build dist
