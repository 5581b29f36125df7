# Needs make and Python 3.11 or newer. Everything else goes into .venv, at the versions of requirements.lock.

BIN := .venv/bin
PYTHONS := $(or $(PYTHON),python3.11 python3.12 python3.13 python3.14 python3)
UV_VERSION := 0.13.9
ON_EVERY_REDIS := $(addprefix tests/, \
	sidecar/gating sidecar/judging/test_jobs.py sidecar/judging/test_ledger.py sidecar/judging/test_worker.py \
	sidecar/routing/test_in_force_from_redis.py sidecar/sessions/test_recorder.py sidecar/sessions/test_stream.py \
	operator/analysis/test_scores.py operator/cli/test_account.py operator/delivery operator/test_standalone.py \
	operator/rollout/test_rebuilt_from_log.py contract/test_desk.py contract/test_determinism.py \
	contract/test_failed_judgement.py contract/test_stream_session.py contract/test_wire.py)

.PHONY: help test redis lint types imports format proto lock chart faults demo bench fuzz clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

test: lint types imports ## Lint, types, import rules and all tests that this machine can run
	$(BIN)/python -m pytest --numprocesses=auto --dist=loadfile
	@$(MAKE) redis

# All tests above ran on Valkey; these are the ones that a Redis could tell from another one.
redis: .venv/.ready ## What speaks to Redis, again on 6.2, on 7 with TLS, and on a cluster
	@for kind in redis-6.2 redis-7-tls valkey-9-cluster; do \
		echo "== $$kind"; \
		$(BIN)/python -m pytest --quiet --numprocesses=auto --redis $$kind $(ON_EVERY_REDIS) || exit 1; \
	done

.PHONY: e2e kubernetes
e2e: .venv/.ready ## The chart on a Kubernetes node of our own, agents and all (needs Linux and root)
	PYTHONPATH=tools/kubernetes $(BIN)/python tests/e2e/run.py

kubernetes: ## Build the API server, kubectl and helm that tests run against (minutes, once)
	tools/kubernetes/build

lint: .venv/.ready ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.ready ## Check types
	$(BIN)/mypy

imports: .venv/.ready ## Check that imports point one way
	$(BIN)/lint-imports

format: .venv/.ready ## Format, and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The plugins for the type stubs are found on the PATH.
proto: .venv/.ready ## Generate the stubs beside the .proto files
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -Iproto \
		--python_out=proto --pyi_out=proto --grpc_python_out=proto --mypy_grpc_out=proto proto/sluicegate/v1/*.proto

# uv is needed for nothing else, so it stays out of .venv and of the lock. Pins that still fit stay as they are. An
# image gets what its side needs, at the same versions; the last of them is what makes the wheel that goes into both.
LOCK := .venv-uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url
lock: .venv/bin/python ## Resolve pyproject.toml into requirements*.lock (needs the network)
	test -x .venv-uv/bin/uv || $(BIN)/python -m venv --clear .venv-uv
	.venv-uv/bin/python -m pip install --quiet uv==$(UV_VERSION)
	$(LOCK) --all-extras --group dev pyproject.toml -o requirements.lock
	$(LOCK) -c requirements.lock --extra sidecar pyproject.toml -o requirements-sidecar.lock
	$(LOCK) -c requirements.lock --extra operator pyproject.toml -o requirements-operator.lock
	$(LOCK) -c requirements.lock --group build -o requirements-build.lock

chart: .venv/.ready ## Write the chart's table of values and the snapshots of what it renders
	PYTHONPATH=tests/support $(BIN)/python tests/support/chart_files.py

faults: .venv/.ready ## Kill, cut off, wipe and fill what a session passes through; a table of accounts
	$(BIN)/python -m pytest tests/faults

demo: .venv/.ready ## A ramp, a fall in quality and a rollback, on this machine
	$(BIN)/sluicegate demo

bench: .venv/.ready ## Run every benchmark
	@for program in bench/*.py; do \
		test -e "$$program" || { echo "error: there is no benchmark in bench/" >&2; exit 1; }; \
		echo "== $$program"; \
		PYTHONPATH=tests/support $(BIN)/python "$$program" || exit 1; \
	done

fuzz: .venv/.ready ## A million messages that no stub would send (20 minutes at most)
	PYTHONPATH=tests/support $(BIN)/python tests/fuzz/long.py

clean: ## Remove everything that make made
	rm -rf .venv .venv-uv .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find . -path ./.git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.ready: requirements.lock pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# A Python without venv is passed over as long as another one has it: Debian ships them apart.
.venv/bin/python:
	@bare=""; \
	for python in $(PYTHONS); do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		"$$python" -c 'import ensurepip, venv' 2>/dev/null || { bare="$$bare $$python"; continue; }; \
		echo "$$python -m venv .venv"; \
		exec "$$python" -m venv --clear .venv; \
	done; \
	if [ -n "$$bare" ]; then \
		echo "error: no venv module in:$$bare. Install it (Debian, Ubuntu: apt install python3-venv)," >&2; \
		echo "or name a Python that has it: make PYTHON=/path/to/python3.11" >&2; \
	else \
		echo "error: Python 3.11 or newer is needed; looked for: $(PYTHONS). Install one," >&2; \
		echo "or name it: make PYTHON=/path/to/python3.11" >&2; \
	fi; \
	exit 1
