# sonde. `make` alone says what there is. Needs make and Python 3.11 or later; everything else goes into .venv.

.DEFAULT_GOAL := help
.PHONY: help serve demo test check bench docs clean
SHELL := /bin/sh

# The first of these that is Python 3.11 or later; `make PYTHON=/path/to/python serve` chooses another.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
ROOMS := ingest storage query sdk testing cli

help:
	@echo 'make serve              start sonde: OTLP on 127.0.0.1:4317 (gRPC) and :4318 (HTTP), queries on :8318'
	@echo '                        data goes to ./data; other settings: make serve ARGS="--query 127.0.0.1:9000"'
	@echo 'make demo               the same, with a shop of a dozen services sending realistic traffic'
	@echo 'make test               every test; some of them: make test ARGS="tests/cli -k doctor"'
	@echo 'make check              ruff, ruff format, mypy --strict, the import rule between the rooms'
	@echo 'make bench BENCH=name   one benchmark of benchmarks/; the last line is one JSON object'
	@echo 'make docs               write the generated pages of docs/ again'
	@echo 'make clean              remove .venv and everything built; ./data stays'

serve: $(VENV)/.server
	@exec $(BIN)/sonde serve $(ARGS)

demo: $(VENV)/.server
	@exec $(BIN)/sonde demo --serve $(ARGS)

# One embedded engine lives in each test process, so a file's tests stay in one process. The kernels are compiled before,
# once, by two processes, and not in every process that finds them missing.
test: $(VENV)/.dev
	@echo 'compiling kernels, where that was not done yet'
	@$(BIN)/python -c 'from sonde.ingest import decode; decode.warm()' & \
	$(BIN)/python -c 'from sonde.query.prometheus import warm as points; from sonde.query.promql import warm; warm.warm(); points.warm()' \
		&& wait $$!
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.dev .build/sonde
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@MYPYPATH=.build $(BIN)/mypy $(ROOMS:%=-p sonde.%)
	@$(BIN)/python -m pytest -q tests/test_rooms.py

bench: $(VENV)/.dev
	@test -n "$(BENCH)" || { echo 'Say which: make bench BENCH=name, where name is one of:' \
		$$(cd benchmarks && ls *.py 2>/dev/null | sed 's/\.py$$//'); exit 2; }
	@$(BIN)/python -m benchmarks.$(BENCH) $(ARGS)

docs: $(VENV)/.server
	@$(BIN)/python -m sonde.cli.reference > docs/configuration.md
	@$(BIN)/python -m sonde.cli.sdk_reference > docs/sdk-settings.md
	@$(BIN)/python -m sonde.storage.schema_page > docs/schema.md

# mypy sees the rooms under the names they install as.
.build/sonde: Makefile
	@mkdir -p $@
	@for room in $(ROOMS); do ln -sfn ../../$$room $@/$$room; done
	@touch $@

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo 'sonde needs Python 3.11 or later with the venv module (on Debian: apt-get install python3-venv). None was' \
		'found; say where it is: make PYTHON=/path/to/python3 serve'; exit 1; }
	@echo "creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.server: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo 'installing sonde with its server, the first time only'
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[server]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo 'installing sonde with everything its tests need, the first time only'
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[server,dev]'
	@touch $@ $(VENV)/.server

clean:
	rm -rf $(VENV) .build build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
