# `make help` lists the verbs. Everything happens in .venv and .mailonce, nothing outside but downloads in ~/.cache.
SHELL := /bin/sh
# The environment's own, where there is one; PYTHON=python3.12 chooses another. One that is too old is told so by the set-up.
PYTHON ?= $(shell for p in .venv/bin/python python3.13 python3.14 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && exit; done; echo python3)
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup venv ready tools demo test tested archive tested-without checked test-all test-fast test-containers chaos stops simulate proof year fresh spec registry airflow audit sbom check fix bench bench-peers docs lock ci clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: ## .venv from the lock, and Kafka's jars; leaves .venv/bin/mailonce; at once when there is nothing to do
	@"$(PYTHON)" infra/bootstrap

venv: ## .venv alone
	@"$(PYTHON)" infra/bootstrap --no-jars

tools: ## Chromium, Prometheus and Alertmanager for their tests, where Debian's apt-get may be used
	@infra/tools.sh

demo: setup ## the crash at e-mail 55, end to end, in under a minute
	@$(BIN)/python -m infra.demo

ready:
	@$(MAKE) --no-print-directory -j2 setup tools

# Workers of the tests with servers: most of a test is waiting.
WORKERS ?= 5
MARKS = not long
WITH_SERVERS = tests/browser tests/chaos tests/contracts tests/fuzz tests/integration tests/year
# The rest is measured: it must cover the core whole, without a server.
WITHOUT = tests $(addprefix --ignore=,$(WITH_SERVERS))
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -m "$(MARKS)" --dist loadgroup --no-loadscope-reorder --durations=15
LATER = .mailonce/tests.log .mailonce/check.log

test: ready ## the tests, those with servers included, and `make check` beside them; some minutes
	@mkdir -p .mailonce
	@$(MAKE) --no-print-directory -k -j3 tested tested-without checked; code=$$?; cat $(LATER); exit $$code

tested: archive
	@$(PYTEST) -n $(WORKERS) $(WITH_SERVERS)

# Of Kafka's classes, once: it starts thirty times here, and takes half the time from it. Without one it is only slower.
archive:
	@$(BIN)/python -m infra.embedded.archive || true

tested-without:
	@$(PYTEST) -n 2 $(WITHOUT) --cov --cov-report=term-missing:skip-covered --cov-fail-under=100 > .mailonce/tests.log 2>&1

checked:
	@$(MAKE) --no-print-directory check > .mailonce/check.log 2>&1

test-all: ready ## `make test` and the long ones: permutations, chaos, big worlds, what few have installed; new examples each time
	@MAILONCE_TEST_RANDOM=1 $(MAKE) --no-print-directory test MARKS="long or not long"

test-fast: setup ## tests without servers
	@$(PYTEST) $(WITHOUT)

SEEDS ?= 20
FIRST ?= 1
DRAINS ?= 300
TERMS ?= 300

chaos: setup ## a month under random faults, audited: SEEDS=20 FIRST=1; writes .mailonce/chaos.json
	@$(BIN)/python -m tests.chaos --seeds $(SEEDS) --first $(FIRST)

stops: setup ## processors drained and stopped by the hundred: DRAINS=300 TERMS=300; none may hang
	@$(BIN)/python -m tests.stops --drains $(DRAINS) --terms $(TERMS) --lanes 4

simulate: SEEDS = 100000
simulate: venv ## random histories of the real shell in virtual time, audited: SEEDS=100000 FIRST=1; a night
	@$(BIN)/python -m tests.simulation.simulate --seeds $(SEEDS) --first $(FIRST)

proof: venv ## every reachable state of a small world, three faults; some minutes
	@$(BIN)/python -m tests.simulation.explore --walks 5000

MONTHS ?= 14

year: setup ## a time-lapse: fourteen months on real servers, audited: MONTHS=14; some ten minutes
	@$(BIN)/python -m tests.year --months $(MONTHS)

fresh: ## a bare machine tried: clone, set-up, demo, a test of each kind, under every condition; PYTHONS=all or 3.12,3.13
	@PYTHONSAFEPATH= "$(PYTHON)" -m tests.fresh --pythons "$(PYTHONS)"

test-containers: setup ## the tests with servers, in containers by testcontainers; needs an engine (tests/containers/podman.sh)
	@MAILONCE_TEST_STACK=containers $(BIN)/python -m pytest -n 3 --dist loadgroup --no-loadscope-reorder -m "not long" tests/contracts tests/integration

registry: setup ## the tests with a real schema registry (150 MB, once)
	@$(BIN)/python -c "from tests.support.apicurio import fetched; fetched()"
	@$(BIN)/python -m pytest tests/integration/test_schema_registry.py

airflow: setup .mailonce/airflow/.installed ## the Airflow DAG in a real Airflow, installed beside; a minute or two
	@$(BIN)/python -m pytest tests/integration/test_airflow.py

audit: venv .mailonce/audit/.installed ## known vulnerabilities of what the image holds (asks PyPI)
	@.mailonce/audit/bin/pip-audit --strict --no-deps --disable-pip -r requirements-runtime.lock

sbom: venv ## what the image holds and who needs it, as CycloneDX: build/sbom.json
	@$(BIN)/python -m infra.sbom build/sbom.json

# An environment of its own for what does not go with ours; only a whole one has the file.
.mailonce/%/.installed: requirements-%.lock
	@echo "installing $* into .mailonce/$*"
	@rm -rf ".mailonce/$*"
	@"$(PYTHON)" -m venv ".mailonce/$*"
	@".mailonce/$*/bin/python" -m pip install --no-compile --progress-bar off --no-deps --require-hashes --only-binary :all: -r $<
	@".mailonce/$*/bin/python" -m pip check >/dev/null
	@touch $@

spec: ## the protocol's specifications, checked with spin; a minute or two
	@docs/spec/check.sh

check: venv ## format, lint, types, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fix: venv ## what ruff can mend by itself
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup ## speed, recovery and pace, with their goals: an hour; writes benchmarks/results
	@$(BIN)/python -m benchmarks.speed
	@$(BIN)/python -m benchmarks.recovery
	@$(BIN)/python -m benchmarks.pace

bench-peers: setup ## beside Celery, Faust, DBOS, SQS, a Kafka consumer and a loop, with faults; installs them in .venv
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes --only-binary :all: -r requirements-bench.lock
	@$(BIN)/python -m benchmarks.peers

docs: venv ## the generated parts of the documentation
	@$(BIN)/python -m docs.generate

# What pip was told of networks and indexes holds here too. Where there are several, each package is taken from the
# first that has it: nothing is pinned yet, and a name of ours on another must not be taken for ours.
TOLD = $(BIN)/python -m infra.bootstrap.told
COMPILE = $(TOLD) $(BIN)/uv pip compile --index-strategy first-index --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q
lock: venv ## every lock anew: packages, the stack's jars, the platforms' table in the README; some minutes
	$(COMPILE) pyproject.toml --extra stack --extra dev -o requirements.lock
	$(COMPILE) pyproject.toml --extra build --extra msk --extra otel --extra registry --extra rocksdb --extra sandbox --extra sql -c requirements.lock -o requirements-runtime.lock
	$(COMPILE) pyproject.toml --extra bench -c requirements.lock -o requirements-bench.lock
	echo 'pip-audit>=2.9' | $(COMPILE) - -o requirements-audit.lock
	echo 'apache-airflow>=3,<4' | $(COMPILE) - -o requirements-airflow.lock
	$(TOLD) $(BIN)/python -m infra.embedded.lock_jars
	$(BIN)/python -m infra.bootstrap.wheels

ci: test ## what continuous integration runs

clean: ## away with what was built; downloads stay
	rm -rf .venv .mailonce build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
