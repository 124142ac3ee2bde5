# Needs a Python >= 3.11 and GNU make >= 3.81; everything else goes into .venv.
.DEFAULT_GOAL := help
.PHONY: help run demo test test-unit test-process coverage check format docs lock bench drill programs clean

# The first interpreter that is new enough; name another one with PYTHON=.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
	--only-binary :all: --requirement
# FULL=1 for the long forms. The slowest files come first (tests/conftest.py, tests/process/conftest.py): they would else
# come last, and run alone. More at once than there are cores, because many tests wait.
TEST := LTP_IN_FULL=$(FULL) $(BIN)/python -m pytest --dist loadfile --numprocesses
THREE_MORE = $$($(BIN)/python -c 'import os; print(os.cpu_count() + 3)')
# What holds the project's other files (pages, deployment files, package, API document) against its code. `make check`
# plays it, so the other targets need not.
CHECKED := tests/test_architecture.py tests/test_settings_page.py tests/test_env_example.py tests/test_docs_pages.py \
	tests/test_samples.py tests/test_dockerfile.py tests/test_docker_compose.py $(wildcard tests/test_deploy_*.py) \
	$(addprefix tests/process/test_,image.py docker_compose.py systemd.py package.py docs.py schemathesis.py \
	generated_clients.py page_types.py)
UNIT := --no-loadscope-reorder --ignore tests/process $(addprefix --ignore ,$(CHECKED))
PROCESS := --no-loadscope-reorder $(addprefix --ignore ,$(CHECKED)) tests/process
THREE_EACH = $$($(BIN)/python -c 'import os; print(3 * os.cpu_count())')
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --only-binary :all:

# A test starts hundreds of processes, and each would else compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

help: ## print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

run: .venv/.run ## serve on port 8080, prices from the exchange
	$(BIN)/gunicorn wsgi:app

demo: .venv/.test ## serve on port 8080 without a network, prices from a simulated exchange
	$(BIN)/python -m ltp_service demo

test: test-unit test-process ## run every test that `make check` does not; FULL=1 for the long forms

test-unit: .venv/.test programs | .venv/.rewritten ## run the tests that start no gunicorn: the inner loop
	$(TEST) $(THREE_MORE) $(UNIT) $(if $(filter true,$(CI)),--cov)

test-process: .venv/.test programs ## run the tests that start gunicorn, nginx, Redis, a browser
	$(TEST) $(THREE_EACH) $(PROCESS)

coverage: .venv/.test programs ## run the tests of test-unit and hold the coverage floor
	$(TEST) $(THREE_MORE) $(UNIT) --cov

check: .venv/.test programs ## format, lint, types, import arrows; pages, deployment, package and API document against the code
	$(BIN)/ruff format --check && $(BIN)/ruff check && $(BIN)/mypy && $(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml
	$(TEST) $(THREE_MORE) --no-loadscope-reorder $(CHECKED)

format: .venv/.test ## rewrite the code in the house format
	$(BIN)/ruff check --fix --exit-zero && $(BIN)/ruff format

docs: .venv/.test ## write the tables of docs/settings.md, and env.example, from the settings
	$(BIN)/python -m tests.settings_page
	$(BIN)/python -m tests.env_example

lock: .venv/.test ## make the locks from pyproject.toml; UPGRADE=--upgrade takes newer versions
	$(COMPILE) $(UPGRADE) pyproject.toml --output-file requirements.txt
	$(COMPILE) $(UPGRADE) pyproject.toml --extra postgres --constraints requirements.txt --output-file requirements.postgres.txt
	$(COMPILE) $(UPGRADE) --group dev --constraints requirements.txt --output-file tests/requirements.txt

bench: .venv/.test programs ## measure latency and throughput, write benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks

drill: .venv/.test programs ## break the exchange, the network and the service on purpose, watch it recover
	$(BIN)/python -m tests.drill.chance --seeds 20
	$(BIN)/python -m tests.drill.history_day
	$(BIN)/python -m tests.drill --at-once $$($(BIN)/python -c 'import os; print(os.cpu_count())')
	$(BIN)/python -m tests.drill.partitions

# pytest rewrites the assertions of a file that it reads for the first time. Two processes do so once; else every worker would.
.venv/.rewritten: | .venv/.test
	find tests -name 'test_*.py' -not -path '*/process/*' | \
		xargs -P 2 -n 130 $(BIN)/python -m pytest --quiet --collect-only --numprocesses 0 >/dev/null && touch $@

programs: .venv/.test ## install the Debian programs that some tests need
	@missing=$$($(BIN)/python -m tests.programs) && { test -z "$$missing" || .ci/apt-install $$missing || true; }

clean: ## remove .venv and every cache
	rm -rf .venv .shots .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: an install happens when a lock is newer than the last one that succeeded.
.venv/.run: requirements.txt | .venv/bin/pip
	$(INSTALL) $< && touch $@

# uv installs in a tenth of pip's time. Where only pip is configured to reach an index, pip does it.
.venv/.test: tests/requirements.txt .venv/.run
	sed -n '/^uv==/,/[^\\]$$/p' $< >.venv/uv.txt && $(INSTALL) .venv/uv.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps --only-binary :all: \
		--requirement $< || $(INSTALL) $<
	touch $@

.venv/bin/pip:
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 found: install one (Debian: apt-get install python3 python3-venv)" \
		"or name it, e.g. make PYTHON=/usr/local/bin/python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || .ci/apt-install $$($(PYTHON) -c \
		'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
	$(PYTHON) -m venv .venv
