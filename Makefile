# Everything that a newcomer needs: make setup, then make demo.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
LAUNCHER ?= local
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The example's secrets are read but not used; a folder of its own keeps dg from asking for Dagster's PostgreSQL, and
# the environment is named as `source activate` would name it.
DG = VIRTUAL_ENV=$(CURDIR)/$(VENV) DAGSTER_HOME=$$(mktemp -d) BACKFILL_CONFIG=config.example.yaml LEDGER_PASSWORD=- NORTH_PG_PASSWORD=- NORTH_CH_PASSWORD=- $(BIN)/dg

.PHONY: help setup setup-kubernetes demo test test-e2e test-faults test-others test-operations test-operate-e2e test-operate test-operate-retry test-kubernetes soak check stack stop clean screenshots bench january

help: ## What there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

setup: $(STAMP) ## The virtual environment and the Temporal binary (minutes, once)
	@$(BIN)/python -m backfill_pipeline.stack.temporal

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(f"Python 3.11 or newer is needed, not {sys.version.split()[0]}: make setup PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[local,dev]'
	@touch $(STAMP)

setup-kubernetes: setup ## The Kubernetes programs, built from source into ~/.cache (7 min, once)
	@$(BIN)/python -m backfill_pipeline.stack.kubernetes.kubebox

demo: setup ## Data with planted defects, a backfill through Dagster, and the proof that they are gone (LAUNCHER=kubernetes)
	$(BIN)/backfill demo --launcher $(LAUNCHER)

stack: setup ## Everything in the foreground; prints the addresses
	$(BIN)/backfill stack

stop: ## End a stack that `backfill demo --keep` left
	$(BIN)/backfill stop

# Three parts of one length at once, each with stacks of its own: end-to-end and fault tests mostly wait. Folders of their own too: a pytest
# that starts closes the folder that all share, and PostgreSQL, which is not root, is shut out of the others.
TESTS := backfill_pipeline_tests
# Tests of what operators do, of what is retried and of how failures are told apart: a stage of its own, in three parts at once.
OPERATE_E2E := $(addprefix $(TESTS)/e2e/,test_cancel.py test_operate.py test_quarantine.py test_status.py test_two_operators.py)
OPERATE := $(addprefix $(TESTS)/,operations steps/test_parts.py steps/test_health.py steps/test_failures.py) \
	$(wildcard $(TESTS)/stores/test_health_*.py $(TESTS)/*/test_*failures_diagnosed.py)
OPERATE_RETRY := $(addprefix $(TESTS)/,$(addprefix defs/,test_alerts.py test_looks.py test_odd_tags.py test_pauses.py test_quarantine.py test_retry.py test_telling.py) \
	steps/test_cancel.py)
# With the first part go tests that start no stack: a second one would take the first one's Dagster database for its own.
PART_E2E := $(filter-out $(OPERATE_E2E),$(wildcard $(TESTS)/e2e/test_*.py)) \
	$(addprefix $(TESTS)/,report domain worker/test_random_pasts.py) $(wildcard $(TESTS)/worker/test_transfer*.py)
PART_FAULTS := $(TESTS)/faults $(filter-out %/test_labels.py $(OPERATE) $(OPERATE_RETRY),$(wildcard $(TESTS)/steps/test_*.py))
PART_KUBERNETES := $(TESTS)/kubernetes $(wildcard $(TESTS)/clients/test_port_forward*.py)
ELSEWHERE := $(TESTS)/e2e $(PART_E2E) $(PART_FAULTS) $(OPERATE) $(OPERATE_RETRY) $(PART_KUBERNETES)
# KUBERNETES='not soak and not real_node' where containers can't be run.
KUBERNETES ?= not soak
# They hold databases, gigabytes in all: they stay only where a test failed.
PART := folder=$$(mktemp -d); $(BIN)/python -m pytest -q -m "not soak" --durations=10 --basetemp=$$folder/part
CLEAN := && rm -rf $$folder

test: setup ## The tests on real parts, in three parts at once; each part's output when it is over
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target test-e2e test-faults test-others

test-e2e:
	$(PART) $(PART_E2E) $(CLEAN)

test-faults:
	$(PART) $(PART_FAULTS) $(CLEAN)

test-others:
	$(PART) $(TESTS) $(addprefix --ignore=,$(ELSEWHERE)) $(CLEAN)

test-operations: setup ## What operators do, what is retried, how failures are told apart; in three parts at once
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target test-operate-e2e test-operate test-operate-retry

test-operate-e2e:
	$(PART) $(OPERATE_E2E) $(CLEAN)

test-operate:
	$(PART) $(OPERATE) $(CLEAN)

test-operate-retry:
	$(PART) $(OPERATE_RETRY) $(CLEAN)

test-kubernetes: setup-kubernetes ## Jobs on a real API server, on a stand-in for a node and on a real one (root on Debian)
	folder=$$(mktemp -d); $(BIN)/python -m pytest -q -m "$(KUBERNETES)" --durations=10 --basetemp=$$folder/part $(PART_KUBERNETES) $(CLEAN)

soak: setup ## 1,000 windows whose runs are killed by chance, 200 random pasts, a short January (hours; SOAK_WINDOWS=50 SOAK_HISTORIES=20)
	$(BIN)/python -m pytest -q -s -m soak $(TESTS)

check: setup ## Lint, types, import rule, definitions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(DG) check defs
	$(DG) list defs > /dev/null

bench: setup ## Speed of the transfer against two other ways, in one run
	$(BIN)/python benchmarks/transfer.py

# JANUARY='--short --kills' for the form of some minutes, with kills.
january: setup ## 260 customers on 8 clusters, 31 days, with stalls and deadlocks, proved in the end (JANUARY=--short)
	$(BIN)/python -m benchmarks.january $(JANUARY)

screenshots: setup ## The README's pictures, from headless Chromium (a Debian package, installed if it is not there)
	[ -x /usr/bin/chromium ] || { apt-get update -q && apt-get install -q -y chromium; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[local,dev,pictures]'
	$(BIN)/backfill demo --keep
	$(BIN)/python docs/screenshots.py
	$(BIN)/backfill stop

clean: ## Remove what the stack and the tools made; the virtual environment and the binaries stay
	[ ! -x $(BIN)/backfill ] || $(BIN)/backfill stop
	rm -rf .local/[!b]* .local/b[!i]* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
