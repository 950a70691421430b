# make search   sets up .venv and runs studies/digits.yaml
# make test     the everyday tests;  make slow  those that take minutes
# make chaos    kills 100 processes of a service while it works, on SQLite and on PostgreSQL; some
#               20 minutes. AUTOKD_CHAOS_KILLS and AUTOKD_CHAOS_SEED change how many and when
# make lint     style, types and the direction of imports
# make dashboard-lint  types and style of the dashboard's modules, where there is Node
# make lock     renews requirements.lock
# make openapi  renews service/openapi.json, and the dashboard's types, after a change of the API
#
# PYTHON names the interpreter to make .venv with: 3.11, 3.12 or 3.13.

.DELETE_ON_ERROR:
.PHONY: search test slow chaos chromium lint dashboard-lint coverage lock openapi clean

SUPPORTED = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(shell $(name) -c \
	"$(SUPPORTED)" 2>/dev/null && echo $(name))) python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint requirements.lock

search: .venv/run.stamp
	$(BIN)/autokd search studies/digits.yaml

# Files side by side, so that each still makes its servers once; three at a time even on two cores,
# since many wait for other processes, and those that take long first, as their folders come first.
test: .venv/dev.stamp chromium
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

slow: .venv/dev.stamp
	$(BIN)/python -m pytest -m slow

# The dashboard is tested in Debian's Chromium. Where it is not and cannot be installed, these tests
# are skipped, and say so.
chromium:
	@test -x /usr/bin/chromium || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	  && apt-get install --quiet --quiet --yes chromium >/dev/null 2>&1; } \
	  || echo "no Chromium: the dashboard's tests are skipped; install Debian's package chromium to run them" >&2

chaos: .venv/dev.stamp
	AUTOKD_CHAOS_KILLS=$${AUTOKD_CHAOS_KILLS:-100} $(BIN)/python -m pytest tests/chaos -m slow -s

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Only this needs Node; the dashboard and its tests do not. Without Node, or without a registry to fetch
# the tools from, it says so and is no failure.
DASHBOARD := service/dashboard
dashboard-lint:
	@if ! command -v npm >/dev/null; then \
	  echo "no Node: the dashboard's modules are not linted; install Node 20 to do it" >&2; \
	elif ! (cd $(DASHBOARD) && npm install --no-audit --no-fund --no-package-lock --silent); then \
	  echo "npm cannot fetch the linters: the dashboard's modules are not linted" >&2; \
	else cd $(DASHBOARD) && npm run --silent check; fi

coverage: .venv/dev.stamp
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage report

# Only what every platform has: torch names the CUDA libraries that it wants by itself.
lock:
	rm -rf .venv/lock
	$(PYTHON) -m venv .venv/lock
	.venv/lock/bin/python -m pip --disable-pip-version-check install --quiet --editable ".[dev]"
	{ sed -n '/^#/p' requirements.lock; \
	  .venv/lock/bin/python -m pip freeze --all --exclude pip --exclude-editable \
	  | grep -Ev '^(nvidia-|cuda-|triton==)' | sed 's/+.*//' | LC_ALL=C sort -f; } > .venv/requirements.lock
	mv .venv/requirements.lock requirements.lock
	rm -rf .venv/lock

openapi: .venv/dev.stamp
	$(BIN)/python tools/openapi.py
	$(BIN)/python tools/dashboard_types.py

clean:
	rm -rf .venv build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

# A stamp is newer than the files it was made from, and is not written when pip fails: set-up is done
# once, and again when the dependencies change.
.venv/run.stamp: .venv/bin/python pyproject.toml requirements.lock
	@echo "installing autokd into .venv (the first time: PyTorch, some minutes)"
	$(PIP) --editable .
	@touch $@

.venv/dev.stamp: .venv/bin/python pyproject.toml requirements.lock
	@echo "installing autokd and its development tools into .venv (the first time: PyTorch, some minutes)"
	$(PIP) --editable ".[dev]"
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c "$(SUPPORTED)" || { echo "autokd needs Python 3.11, 3.12 or 3.13; got $(PYTHON):" \
	  "$$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
