# `make run` trades on a simulated terminal; `make test` tests all of it. Each needs only Python 3.11 or newer.

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name) 2>/dev/null)))
WEB ?= 127.0.0.1:8000
ARGS ?=
JOBS ?= 2
BIN := .venv/bin
STAMP := .venv/.installed
BROWSER_PACKAGES := chromium fonts-liberation

.DEFAULT_GOAL := help
.PHONY: help install run stop test mutants simulate rehearse soak browser soak-simulator soak-netting soak-reconciliation soak-backtest soak-engine soak-api check format lock licences sbom audit envexample clean

help:  ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' Makefile

install: $(STAMP)  ## Make .venv and install what requirements.lock names

$(STAMP): requirements.lock
	@sh tools/install.sh "$(PYTHON)"
	@touch $(STAMP)

run: install  ## Start database, demo account, engine and site; prints the address and the login. WEB=host:port
	@exec $(BIN)/python manage.py runengine --web $(WEB) --demo $(ARGS)

stop: install  ## Stop engine, site and database of this checkout
	@$(BIN)/python manage.py stop

test: install browser  ## Run the tests, JOBS (2) at a time. ARGS="-k name" runs some of them
	@$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

browser:  # Chromium for the browser tests, where this user may install it
	@sh tools/browser.sh $(BROWSER_PACKAGES)

soak-simulator: install  ## Run 10,000 random accounts of each margin mode through the simulated broker (hours)
	@SIMULATOR_EXAMPLES=10000 $(BIN)/python -m pytest -q tests/brokers/simulator/test_machine.py $(ARGS)

soak-backtest: install  ## Compare backtests with the whole engine on 1,000 markets, and guards on 2,000
	@BACKTEST_SEEDS=1000 GUARDED_MARKETS=2000 $(BIN)/python -m pytest -q tests/backtesting/test_engine.py \
	  tests/backtesting/test_guards.py $(ARGS)

soak-netting: install  ## Run 10,000 random histories through the virtual-position ledger
	NETTING_EXAMPLES=10000 $(BIN)/python -m pytest -q tests/brokers/test_netting.py

soak-reconciliation: install  ## Tell 20,000 random books in any order, twice and with losses, and compare what comes of them
	@RECONCILIATION_EXAMPLES=20000 $(BIN)/python -m pytest -q tests/reconciliation/test_any_order.py \
	  tests/reconciliation/test_domain.py $(ARGS)

soak-api: install  ## Send each route of the API 200 requests made from its document, and 200 that it must refuse
	@API_EXAMPLES=200 $(BIN)/python -m pytest -q tests/api/test_schemathesis.py

mutants: install  ## Remove each safety line in turn and see that a test turns red. ARGS="lease" for some
	@$(BIN)/python tools/mutants.py $(ARGS)

simulate: install  ## Rehearse accounts with faults and crashes. ARGS="--seed 7 --count 20"
	@$(BIN)/python manage.py simulate $(or $(ARGS),--seed 1 --count 20 --workers 2)

REHEARSE_SEEDS ?= 100
REHEARSE_WORKERS ?= 3
# Seconds after which no further field of the matrix, and no further seed, is begun
REHEARSE_MATRIX_SECONDS ?= 420
REHEARSE_SEEDS_SECONDS ?= 260
REHEARSAL := $(BIN)/python manage.py simulate --workers $(REHEARSE_WORKERS)

rehearse soak: export DJANGO_SETTINGS_MODULE = tests.settings
rehearse soak: export TRADING_VAR_DIR = $(CURDIR)/var/test
rehearse: install  ## Rehearse the whole matrix of crashes and faults, and 100 random seeds of five simulated minutes (12 minutes)
	@seed=$$($(BIN)/python -c 'import secrets; print(secrets.randbelow(10**9))') && \
	echo "matrix in the order of seed $$seed" && \
	$(REHEARSAL) --matrix --seed $$seed --budget $(REHEARSE_MATRIX_SECONDS) && \
	echo "seeds from $$seed" && \
	$(REHEARSAL) --seed $$seed --count $(REHEARSE_SEEDS) --budget $(REHEARSE_SEEDS_SECONDS)

ENGINE_MINUTES ?= 30
ENGINE_ACCOUNTS ?= 50

soak-engine: install  ## Run 50 accounts for 30 minutes while processes and database are ended at random, and judge what grew. ENGINE_MINUTES, ENGINE_ACCOUNTS
	@$(BIN)/python benchmarks/soak.py --minutes $(ENGINE_MINUTES) --accounts $(ENGINE_ACCOUNTS) $(ARGS)

SOAK_SEEDS ?= 2000
SOAK_GRID_ROUNDS ?= 14

soak: install  ## Rehearse 2,000 seeds and the grid at every level, tell 20,000 books, then 100 kills, 30 pauses, 20 database restarts of real processes (hours)
	@seed=$$($(BIN)/python -c 'import secrets; print(secrets.randbelow(10**9))') && echo "seeds from $$seed" && \
	$(REHEARSAL) --seed $$seed --count $(SOAK_SEEDS)
	@$(MAKE) --no-print-directory soak-reconciliation
	@GRID_ROUNDS=$(SOAK_GRID_ROUNDS) $(BIN)/python -m pytest -q tests/simulation/test_grid.py
	@$(BIN)/python -m pytest -q -s tests/processes/soak.py $(ARGS)

check: install  ## Run the linters, the type checker and Django's checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python manage.py check --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run

format: install  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install  ## Resolve requirements*.in afresh, for every supported Python at once
	$(BIN)/python -m pip install uv
	$(BIN)/python -m uv pip compile --upgrade --universal --no-header --python-version 3.11 \
	  --generate-hashes requirements-dev.in --output-file requirements.lock

licences: install  ## Write docs/licences.md: what is installed, and under which licence
	@$(BIN)/python tools/licences.py

sbom: install  ## Write build/sbom.json, the bill of materials (CycloneDX) of this environment
	@mkdir -p build && $(BIN)/python -m venv build/tools && build/tools/bin/pip install cyclonedx-bom
	@build/tools/bin/cyclonedx-py environment --output-format JSON --output-file build/sbom.json $(BIN)/python
	@echo build/sbom.json

audit: install  ## Ask the vulnerability databases about every locked package (needs the internet)
	@mkdir -p build && $(BIN)/python -m venv build/tools && build/tools/bin/pip install pip-audit
	@build/tools/bin/pip-audit --requirement requirements.lock --no-deps --disable-pip

envexample: install  ## Write .env.example from the settings
	@$(BIN)/python -m tradingsite.env > .env.example

clean:  ## Remove what was built. The site's data under var/ stays
	@if [ -x $(BIN)/python ]; then $(MAKE) --no-print-directory stop; fi
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis var/static var/test
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
