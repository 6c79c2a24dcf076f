# Everything here does its own set-up in .venv and is quiet about it: stdout belongs to the program that runs.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-full check bench clean system system-full

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: .venv/.dev ## a virtual environment with everything, in .venv

demo: .venv/.demo ## a residence at work (ARGS="--script --json" without a terminal)
	@$(BIN)/vantail-sim demo --building examples/clos-des-dunes $(ARGS)

test: .venv/.dev system ## what CI runs: checks and quick sizes
	@$(MAKE) --no-print-directory check >&2
	@$(BIN)/python -m pytest -q -m "not full" -n 2 --dist loadfile $(ARGS)

test-full: .venv/.dev system system-full ## the long sizes of the requirements as well
	@$(BIN)/python -m pytest -q $(ARGS)

system: ## what the tests use of Debian: chromium, mosquitto; root installs what is missing
	@missing=; for program in chromium mosquitto; do \
	  PATH="$$PATH:/usr/sbin" command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	[ -z "$$missing" ] || { [ "$$(id -u)" = 0 ] && apt-get -qq update >&2 && \
	  DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $$missing >&2; } || \
	  { echo "the tests need$$missing: apt install$$missing" >&2; exit 69; }

system-full: ## and for the long sizes: nats-server and PostgreSQL
	@missing=; PATH="$$PATH:/usr/sbin" command -v nats-server >/dev/null || missing=nats-server; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || missing="$$missing postgresql"; \
	[ -z "$$missing" ] || { [ "$$(id -u)" = 0 ] && apt-get -qq update >&2 && \
	  DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $$missing >&2; } || \
	  { echo "the long sizes need $$missing: apt install $$missing" >&2; exit 69; }

check: .venv/.dev ## style and types
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy

bench: .venv/.dev ## every benchmark, quick form
	@for program in benchmarks/*.py; do \
	  grep -q '^if __name__' $$program && { echo "== $$program" >&2; $(BIN)/python $$program --quick $(ARGS) || exit 1; }; done

clean: ## everything that was made here
	rm -rf .venv .demo .pytest_cache .mypy_cache .ruff_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "vantail needs Python 3.11 or later; this is $$($(PYTHON) --version)" >&2; exit 69; }
	@$(PYTHON) -m venv .venv >&2

.venv/.demo: pyproject.toml | .venv/bin/python
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[cloud,demo]' >&2
	@touch $@

.venv/.dev: pyproject.toml | .venv/bin/python
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]' >&2
	@touch $@ .venv/.demo
