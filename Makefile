# Two commands set everything up: `make demo` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
SOURCES := src tests benchmarks docs

.PHONY: help setup demo test slow faults lint types format bench docs check clean

help:  ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(VENV)/.base: pyproject.toml constraints.txt
	@echo "Making $(VENV) and installing (a few minutes the first time) ..."
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e .
	@touch $@

$(VENV)/.development: $(VENV)/.base
	@echo "Installing what tests and checks need ..."
	$(INSTALL) -e ".[test,lint]"
	@touch $@

setup: $(VENV)/.development  ## Make the environment with all that development needs

demo: $(VENV)/.base  ## Compare one network of each family on the built-in digits (5 minutes)
	$(BIN)/convnets bench --data digits --epochs 3 --set batch_size=48 --out out/demo --no-weights

test: $(VENV)/.development  ## Run the tests (2 cores, no network, no GPU)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal -m "not slow and not gpu" -q

slow: $(VENV)/.development  ## Run the tests that take minutes
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m slow -q

faults: $(VENV)/.development  ## Try every fault at length; how many are survived goes to results/
	$(BIN)/python -m tests.runs.faults results/faults.md

lint: $(VENV)/.development  ## Check form, types and the rank rule
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

types: $(VENV)/.development  ## Check types alone
	$(BIN)/mypy

format: $(VENV)/.development  ## Put the code in form
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: $(VENV)/.development  ## Measure speed against the usual script
	$(BIN)/python benchmarks/epoch.py

docs: $(VENV)/.development  ## Write the families' pages, and README's tables from results/
	$(BIN)/python docs/families.py
	$(BIN)/python docs/readme.py

check: lint test  ## All that CI runs

clean:  ## Remove the environment and what tools left
	rm -rf $(VENV) out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
