# Newcomers: `make demo` makes verified training data with a real model on this machine; `make test` runs the tests.
# Each does its own set-up in .venv, with the versions of constraints.txt.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test check setup setup-dev trainers bench docs format clean

demo: setup
	$(BIN)/autoif run quickstart
	@echo
	$(BIN)/autoif verify --dataset runs/quickstart/sft.jsonl
	@echo "look at one instruction: $(BIN)/autoif show runs/quickstart"

test: setup-dev trainers
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --cov-report=json:.coverage.json
	$(BIN)/python tests/coverage_floor.py .coverage.json

check: setup-dev
	$(BIN)/ruff format --check src tests benchmarks docs examples
	$(BIN)/ruff check src tests benchmarks docs examples
	$(BIN)/mypy

# The recordings of others that five of them read lie in DATA: `make bench DATA=FOLDER`.
bench: export AUTOIF_DATA := $(or $(DATA),$(AUTOIF_DATA))
bench: setup-dev
	@failed=0; for each in client hostile service verification backend_agreement ifeval contamination; do \
		echo "== $$each"; $(BIN)/python benchmarks/$$each.py || failed=1; \
	done; exit $$failed

setup: .venv/.setup
setup-dev: .venv/.setup-dev

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.setup: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable ".[embedded]"
	@touch $@

.venv/.setup-dev: .venv/.setup
	$(PIP) --editable ".[dev]"
	@touch $@

# The trainers that tests/test_export_trainers.py asks, a folder each: over the development environment, with their own
# versions of what differs. Some ask for a later Python than the parts that are used here.
trainers: $(patsubst tests/trainers/%.txt,.venv/trainers/.%,$(wildcard tests/trainers/*.txt))

.venv/trainers/.%: tests/trainers/%.txt | .venv/.setup-dev
	rm -rf .venv/trainers/$*
	$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --ignore-requires-python --no-compile \
		--target .venv/trainers/$* --requirement $<
	@touch $@

docs: setup-dev
	$(BIN)/python docs/generate.py

format: setup-dev
	$(BIN)/ruff format src tests benchmarks docs examples
	$(BIN)/ruff check --fix src tests benchmarks docs examples

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .coverage .coverage.json
