# Two commands matter: make run, make test. See README.md.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test bench lint browser clean

run: .venv/ready
	@exec $(BIN)/portal run

test: .venv/ready-test browser lint
	$(BIN)/pytest -n 3 --dist loadgroup

lint: .venv/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/ready-test
	$(BIN)/python -m tests.benchmarks

browser:
	@sh tests/browser.sh

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/ready: .venv/bin/python requirements.lock pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

.venv/ready-test: .venv/ready requirements-test.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.lock
	@touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
