# Two commands do everything, on a machine that has Python 3.11 or newer:
#   make demo   set up, provision a ZenML stack on the embedded control plane, use it
#   make test   set up, check, test
# `make help` lists the rest.

SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Demo, tests and benchmarks start many processes: each would compile what it imports.
unexport PYTHONDONTWRITEBYTECODE
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest
# Most tests wait for processes of their own, so one worker more than there are cores pays.
WORKERS ?= 3

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.PHONY: setup
setup: $(READY) ## The virtual environment, from hash-pinned requirements

$(READY): requirements/bootstrap.txt requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "Python 3.11 or newer is needed; name it with: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@echo "[setup] making $(VENV) from requirements/dev.txt (a minute or two the first time)" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@$(BIN)/uv pip sync --python $(BIN)/python --compile-bytecode --require-hashes requirements/bootstrap.txt requirements/dev.txt
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: engine
engine: setup ## The Pulumi engine: from PATH, the official installer, or a pinned build
	@$(BIN)/python -m tools.pulumi_engine > /dev/null

.PHONY: demo
demo: engine ## Provision a ZenML stack on the embedded control plane and use it
	@$(BIN)/python -m tools.demo

.PHONY: lab
lab: engine ## Start the emulator, a ZenML server and an S3 server; they stay
	@$(BIN)/python -m tools.lab up
	@echo 'Use it from your shell with: eval "$$(make -s lab-env)"' >&2

.PHONY: lab-down
lab-down: setup ## Stop the lab's services (FORGET=1 also removes their data)
	@$(BIN)/python -m tools.lab down $(if $(FORGET),--forget)

.PHONY: lab-status
lab-status: setup ## Say which of the lab's services run
	@$(BIN)/python -m tools.lab status

.PHONY: lab-env
lab-env: setup ## Print the environment for a shell that talks to the lab
	@$(BIN)/python -m tools.lab env

.PHONY: check
check: setup ## Formatting, lint, types, import contracts
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@found=$$($(BIN)/lint-imports --no-cache) || { echo "$$found"; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@echo "[check] format, lint, types and import contracts hold" >&2

.PHONY: test
test: engine check ## Set up, check and run all tests
	@$(PYTEST) -m "not chaos and not nightly" -n $(WORKERS) --dist loadfile $(ARGS)

.PHONY: chaos
chaos: engine ## Every kill and every fault through the real engine; prints a table
	@$(BIN)/python -m tools.chaos $(ARGS)
	@$(PYTEST) -m chaos tests/zenml

.PHONY: nightly
nightly: setup ## Thousands of generated cases
	@$(PYTEST) -m nightly $(ARGS)

.PHONY: bench
bench: engine ## All benchmarks, each beside its peer
	@$(BIN)/python -m benchmarks

.PHONY: record
record: setup ## Record the cassettes anew, from an emulator or a tenant (docs/wire-truth.md)
	@$(BIN)/python -m tools.record $(ARGS)

.PHONY: lock
lock: ## Pin the requirements anew (they name no index)
	@test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --require-hashes -r requirements/bootstrap.txt; }
	@$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --extra dev --no-emit-index-url --no-annotate --no-header --python-version 3.11 pyproject.toml -o requirements/dev.txt

.PHONY: clean
clean: ## Stop the lab and remove everything that make has made
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m tools.lab down --forget; fi
	@rm -rf $(VENV) .tools .lab .mypy_cache .ruff_cache .pytest_cache dist build
