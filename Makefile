# make run     install what is missing, start the stack, run one demo job of each kind, stay up
# make demo    the same, and stop
# make test    everything: format, lint, types, layers, all tests with real servers
# make check   the quick part of it, without servers
SHELL := /bin/bash
.DEFAULT_GOAL := help
PY := .venv/bin/python
# TensorFlow's environment, and the tests that need it.
KERAS := SACCADE_TEST_POOL=keras .venvs/keras-test/bin/python
SACCADE := .venvs/services/bin/saccade
# Options of `saccade up`, as in: make run UP="--port 9000 --workers cpu=4"
CPUS := $(shell n=$$(nproc); echo $$((n < 4 ? n : 4)))
UP ?= --workers cpu=$(CPUS),keras=1

# Byte code is kept: compiling all imports at every start takes seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install run demo dev dev-servers lint check test chaos bench clean

help:
	@sed -n 's/^# //p' Makefile | head -4

install:
	@deploy/install.sh run

run: install
	@exec $(SACCADE) up --demo $(UP)

demo: install
	@exec $(SACCADE) up --demo --exit $(UP)

dev:
	@deploy/install.sh check

dev-servers:
	@deploy/install.sh test

lint: dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyright
	PYTHONPATH=services/model_server .venv/bin/lint-imports

check: lint
	$(PY) -m pytest -q -m "not stack"
	$(KERAS) -m pytest -q -m "not stack"

test: dev-servers lint
	$(PY) -m pytest -q
	$(KERAS) -m pytest -q

# The long form of the kill tests; `make test` runs a short one.
chaos: dev-servers
	SACCADE_CHAOS_MINUTES=20 $(PY) -m pytest -q -s --timeout 3600 tests/chaos

bench: dev
	PYTHONPATH=tests $(PY) -m benchmarks

clean:
	rm -rf .venv .venvs .saccade saccade-out .pytest_cache .ruff_cache .import_linter_cache .benchmarks
	find . -name __pycache__ -prune -exec rm -rf {} +
