# `make help` lists the verbs. Everything happens in .venv and .mailonce, nothing outside but downloads in ~/.cache.
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup ready tools demo test tested checked test-all test-fast test-containers chaos proof spec registry airflow audit check fix bench bench-peers docs lock ci clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "mailonce needs Python 3.11 or newer"; exit 1; }
	@echo "setting up .venv (once; a minute or two)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --no-compile --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $(STAMP)

setup: $(STAMP) ## a virtual environment and Kafka's jars; leaves .venv/bin/mailonce
	@$(BIN)/mailonce stack fetch

tools: ## Chromium, Prometheus and Alertmanager for their tests, where Debian's apt-get may be used
	@infra/tools.sh

demo: setup ## the crash at e-mail 55, end to end, in under a minute
	@$(BIN)/python -m infra.demo

ready:
	@$(MAKE) --no-print-directory -j2 setup tools

# Workers of the tests: most of a test is waiting.
WORKERS ?= 6
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

test: ready ## the tests, those with servers included, and `make check` beside them; some minutes
	@mkdir -p .mailonce
	@$(MAKE) --no-print-directory -k -j2 tested checked; code=$$?; cat .mailonce/check.log; exit $$code

tested:
	@$(PYTEST) --cov --cov-report=term-missing:skip-covered --cov-fail-under=100 --durations=25

checked:
	@$(MAKE) --no-print-directory check > .mailonce/check.log 2>&1

test-all: ready ## `make test` and the long ones: permutations, chaos, big worlds, what few have installed
	@$(MAKE) --no-print-directory test PYTEST='$(PYTEST) -m "long or not long"'

test-fast: setup ## tests without servers
	@$(BIN)/python -m pytest -m "not slow and not long"

SEEDS ?= 20
FIRST ?= 1

chaos: setup ## a month under random faults, audited: SEEDS=20 FIRST=1; writes .mailonce/chaos.json
	@$(BIN)/python -m tests.chaos --seeds $(SEEDS) --first $(FIRST)

proof: $(STAMP) ## every reachable state of a small world, three faults; some minutes
	@$(BIN)/python -m tests.simulation.explore --walks 5000

test-containers: setup ## the tests with servers, in containers by testcontainers; needs an engine (tests/containers/podman.sh)
	@MAILONCE_TEST_STACK=containers $(BIN)/python -m pytest -n 3 --dist loadgroup --no-loadscope-reorder -m "not long" tests/contracts tests/integration

registry: setup ## the tests with a real schema registry (150 MB, once)
	@$(BIN)/python -c "from tests.support.apicurio import fetched; fetched()"
	@$(BIN)/python -m pytest tests/integration/test_schema_registry.py

airflow: setup ## the Airflow DAG in a real Airflow, installed beside; a minute or two
	@test -d .mailonce/airflow || { $(PYTHON) -m venv .mailonce/airflow && .mailonce/airflow/bin/pip install --quiet "apache-airflow>=3,<4"; }
	@$(BIN)/python -m pytest tests/integration/test_airflow.py

audit: ## known vulnerabilities of what the image holds (asks PyPI)
	@test -d .mailonce/audit || { $(PYTHON) -m venv .mailonce/audit && .mailonce/audit/bin/pip install --quiet pip-audit; }
	@.mailonce/audit/bin/pip-audit --strict --no-deps --disable-pip -r requirements-runtime.lock

spec: ## the protocol's specification, checked with spin; half a minute
	@docs/spec/check.sh

check: $(STAMP) ## format, lint, types, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fix: $(STAMP) ## what ruff can mend by itself
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup ## speed and pace, with their goals: half an hour; writes benchmarks/results
	@$(BIN)/python -m benchmarks.speed
	@$(BIN)/python -m benchmarks.pace

bench-peers: setup ## beside Celery, Faust, DBOS, SQS, a Kafka consumer and a loop, with faults; installs them in .venv
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-bench.lock
	@$(BIN)/python -m benchmarks.peers

docs: $(STAMP) ## the generated parts of the documentation
	@$(BIN)/python -m docs.generate

COMPILE = uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q
lock: ## the requirements' locks anew (needs uv)
	$(COMPILE) --extra stack --extra dev -o requirements.lock
	$(COMPILE) --extra build --extra msk --extra otel --extra registry --extra rocksdb --extra sandbox --extra sql -c requirements.lock -o requirements-runtime.lock
	$(COMPILE) --extra bench -c requirements.lock -o requirements-bench.lock

ci: test ## what continuous integration runs

clean: ## away with what was built; downloads stay
	rm -rf .venv .mailonce build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
