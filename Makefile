# Everything a developer does here. It needs Python 3.11 to 3.13 and make; the rest comes from PyPI.
PYTHON ?= $(shell command -v python3.11 || command -v python3.13 || command -v python3.12 || echo python3)
DATA ?= .data
SECONDS ?= 60
RUNS ?= 1000
ROWS ?= 100000
KILLS ?= 20
FILES ?= 500

BIN := .venv/bin
INSTALLED := .venv/.installed
# One version of each package, for every Python from 3.11 on. What is pinned already stays.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-annotate --custom-compile-command 'make lock'

.DEFAULT_GOAL := help
.PHONY: help demo up check test fuzz simulate kill load-test lint types format lock kit pictures clean

help:
	@echo "make demo     load the samples through the whole pipeline on this machine, and check"
	@echo "make up       run the whole pipeline on this machine (state in $(DATA), Ctrl-C ends it)"
	@echo "make check    say what the loader will say of a file: FILE=customers_….csv"
	@echo "make test     run every test"
	@echo "make fuzz     look for names and files that break the reading (SECONDS=60, SEED=any)"
	@echo "make simulate run simulated histories of faults: SEED=0 RUNS=1000, or one of them again"
	@echo "make kill     load a file while its workers are killed: ROWS=100000 KILLS=20"
	@echo "make load-test  upload many files at once: FILES=500 over 20 sessions, then 200 connections"
	@echo "make bench    measure speed and memory against the usual code (BENCH=rows for one part)"
	@echo "make lint     check code, format, plain English, spelling and links"
	@echo "make types    check the types"
	@echo "make format   format the code"
	@echo "make lock     pin all packages that requirements*.in and gateway/requirements.in bring along"
	@echo "make kit      write docs/app: the documents as JSON Schema, TypeScript, zod and Dart"
	@echo "make pictures take the pictures in docs/ of the real pages (needs Chromium, chromedriver)"
	@echo "make clean    remove everything that was made, the state of 'make up' included"

demo: $(INSTALLED)
	@$(BIN)/python -m local demo

up: $(INSTALLED)
	@$(BIN)/python -m local up --data $(DATA)

check: $(INSTALLED)
	@$(BIN)/python -m shared.check $(FILE)

test: $(INSTALLED)
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

fuzz: $(INSTALLED)
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

simulate: $(INSTALLED)
	@nice $(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED)) --runs $(RUNS)

kill: $(INSTALLED)
	@$(BIN)/python -m tests.e2e.killing --rows $(ROWS) --kills $(KILLS)

load-test: $(INSTALLED)
	@$(BIN)/python -m tests.e2e.bursts --files $(FILES)

bench: $(INSTALLED)
	@$(BIN)/python -m benchmarks $(if $(BENCH),--only $(BENCH))

lint: $(INSTALLED)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || \
		{ echo "Some files are not formatted: run 'make format'."; exit 1; }
	@$(BIN)/python -m tools.style

types: $(INSTALLED)
	@$(BIN)/mypy --no-error-summary

format: $(INSTALLED)
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

lock: $(INSTALLED)
	@$(LOCK) requirements.in --output-file requirements.txt
	@$(LOCK) requirements-dev.in --constraint requirements.txt --output-file requirements-dev.txt
	@$(LOCK) gateway/requirements.in --constraint requirements-dev.txt \
		--output-file gateway/requirements.txt

kit: $(INSTALLED)
	@$(BIN)/python -m tools.reference.app_kit

pictures: $(INSTALLED)
	@$(BIN)/python -m tests.pictures

clean:
	@rm -rf .venv .data .pytest_cache .mypy_cache .ruff_cache .hypothesis build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Only when the requirements have changed; a folder that is no whole environment is made again.
$(INSTALLED): requirements-dev.txt
	@$(BIN)/python -c "import pip" 2>/dev/null || { \
		$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))" || { \
			echo "This needs Python 3.11, 3.12 or 3.13: make PYTHON=/path/to/python3.11"; exit 1; }; \
		echo "Making .venv ..."; $(PYTHON) -m venv --clear .venv; }
	@echo "Installing packages (once, a minute or so) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
