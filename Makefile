# Newcomers: `make demo` makes verified training data with a real model on this machine; `make test` runs the tests.
# Each does its own set-up in .venv, with the versions of constraints.txt.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --progress-bar off
SAY = @echo "installing $(1): once, some minutes"

.PHONY: demo test coverage check setup setup-dev trainers browser bench docs format clean

# The page of the packaged recording comes first, to look at while the model works: it is there even if that is cut short.
demo: setup
	@$(BIN)/autoif run quickstart --recorded --quiet > /dev/null
	@echo "the report of a recorded run, to open in a browser:"
	@$(BIN)/autoif report runs/quickstart-recorded
	$(BIN)/autoif run quickstart
	@echo
	$(BIN)/autoif verify --dataset runs/quickstart/sft.jsonl
	@echo "look at one instruction: $(BIN)/autoif show runs/quickstart"
	@echo "open in a browser, the run that was made here and the recorded one:"
	@$(BIN)/autoif report runs/quickstart
	@$(BIN)/autoif report runs/quickstart-recorded

# Two processes more than the machine has processors, as tests wait as well, and four at most, as each loads what trains
# models, and on two processors a fifth took more time than it saved. `make test PROCESSES=2` where memory is short: a
# process takes one to three gigabytes. Each takes a whole module when it is done with one, in the order of
# tests/conftest.py, so that what a module shares is made once.
PROCESSES ?= $(shell echo $$(($$(nproc 2> /dev/null || echo 2) + 2)))
# Compiled code is kept, also where an image says PYTHONDONTWRITEBYTECODE: each of some hundred processes would compile it anew.
TESTS := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses=$(PROCESSES) --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

test: setup-dev
	$(TESTS)

# The same tests, counting the branches that they take: half as long again.
coverage: setup-dev
	$(TESTS) --cov --cov-report=term:skip-covered --cov-report=json:.coverage.json
	$(BIN)/python tests/coverage_floor.py .coverage.json

check: setup-dev
	$(BIN)/ruff format --check src tests benchmarks docs examples
	$(BIN)/ruff check src tests benchmarks docs examples
	$(BIN)/mypy

# The recordings of others that five of them read lie in DATA: `make bench DATA=FOLDER`.
bench: export AUTOIF_DATA := $(or $(DATA),$(AUTOIF_DATA))
bench: setup-dev
	@failed=0; for each in client hostile service verification backend_agreement ifeval contamination training_overhead \
		"streaming --prompts 2048 4096 --instructions 1000 10000" "saturation --calls 5000 --rounds 1" \
		"ray_overhead --rounds 1" \
		"completions --entries 100000" "simulation --nodes 1 8 --check" "interval_coverage --trials 150"; do \
		set -- $$each; name=$$1; shift; echo "== $$name"; $(BIN)/python benchmarks/$$name.py "$$@" || failed=1; \
	done; exit $$failed

setup: .venv/.setup
setup-dev: .venv/.setup-dev

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.setup: .venv/bin/python pyproject.toml constraints.txt
	$(call SAY,autoif and what it needs into .venv)
	@$(PIP) --constraint constraints.txt --editable ".[embedded]"
	@touch $@

.venv/.setup-dev: .venv/.setup
	$(call SAY,what the tests need into .venv)
	@$(PIP) --constraint constraints.txt --editable ".[dev]"
	@touch $@

# The packages of other trainers, a folder each: over the development environment, with their own versions of what
# differs. Some ask for a later Python than the parts that are used here.
trainers: $(patsubst tests/trainers/%.txt,.venv/trainers/.%,$(wildcard tests/trainers/*.txt))
	$(BIN)/python -m pytest -m trainers

# The pages in Debian's Chromium, which a system package brings.
browser: setup-dev
	@command -v chromium > /dev/null || { echo "the browser tests need Chromium: apt-get install chromium" >&2; exit 1; }
	$(BIN)/python -m pytest -m browser

.venv/trainers/.%: tests/trainers/%.txt | .venv/.setup-dev
	$(call SAY,$* into .venv/trainers)
	@rm -rf .venv/trainers/$*
	@$(PIP) --no-deps --ignore-requires-python --no-compile --target .venv/trainers/$* --requirement $<
	@touch $@

docs: setup-dev
	$(BIN)/python docs/generate.py

format: setup-dev
	$(BIN)/ruff format src tests benchmarks docs examples
	$(BIN)/ruff check --fix src tests benchmarks docs examples

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .coverage .coverage.json
