# Causeway. `make up` on a machine with Rust, Python 3.10+, make and a C compiler does everything.
PYTHON ?= python3
CAUSEWAY_PORT ?= 4566
export PYTHON CAUSEWAY_PORT
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# The ERPNext site, for up, deploy and check-erpnext: ERPNEXT_URL, ERPNEXT_KEY and ERPNEXT_SECRET of the environment, or
# URL, KEY and SECRET on make's own command line (in an environment, those could be anyone's). They reach programs by
# the environment, so that no other list of processes has them.
ifeq ($(origin URL),command line)
override export ERPNEXT_URL := $(value URL)
endif
ifeq ($(origin KEY),command line)
override export ERPNEXT_KEY := $(value KEY)
override export ERPNEXT_OAUTH :=
endif
ifeq ($(origin SECRET),command line)
override export ERPNEXT_SECRET := $(value SECRET)
endif

CAUSEWAY := .venv/bin/python local/causeway.py
CHECKS := .venv/bin/python local/checks.py

.DEFAULT_GOAL := help
.PHONY: help up down clean status deploy seed tour tour-bulk logs replay-dead watch test lint unit e2e bench check-erpnext preflight venv venv-dev ci-deps

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: venv ## Build, start the local AWS, deploy, seed, and show the main job once (URL=, KEY=, SECRET= of an ERPNext site: documents live there; URL=none: here again)
	@$(CAUSEWAY) up

down: venv ## Stop the local AWS; its data stay
	@$(CAUSEWAY) down

clean: venv ## Stop the local AWS and delete its data
	@$(CAUSEWAY) clean

status: venv ## Where the local stack runs, and its variables
	@$(CAUSEWAY) status

deploy: venv ## Build, and deploy to the running local stack (URL=, KEY=, SECRET= as with up)
	@cargo build --workspace
	@$(CAUSEWAY) deploy

seed: venv ## Put secrets and connector settings into the running stack
	@$(CAUSEWAY) seed

tour: venv ## Send real signed webhooks to the running stack and show what becomes of them
	@$(CAUSEWAY) tour

tour-bulk: venv ## Turn 1,000 Sales Orders into Sales Invoices on the running stack, with failures and a retry
	@$(CAUSEWAY) tour-bulk

logs: venv ## What the functions logged in the last 15 minutes
	@$(CAUSEWAY) logs

replay-dead: venv ## Replay every dead event (CONNECTOR=name: of that connector)
	@$(CAUSEWAY) replay-dead $(if $(CONNECTOR),--connector $(CONNECTOR))

watch: venv-dev ## Run the functions under `cargo lambda watch`, on the running stack's tables and queues
	@$(CAUSEWAY) status >/dev/null # without a stack it would talk to the real AWS
	@set -a; . ./.local/env; set +a; cargo lambda watch --invoke-address 127.0.0.1

test: venv-dev ## Everything: lints, unit tests, end-to-end tests
	@$(CHECKS) lint unit e2e

lint: venv-dev ## Formatting, clippy, dependency policy, template
	@$(CHECKS) lint

unit: venv-dev ## Unit tests, Rust and Python
	@$(CHECKS) unit

e2e: venv-dev ## End-to-end tests: the real binaries on a local stack of their own
	@$(CHECKS) e2e

bench: venv ## Time, AWS cost, start-up and throughput, as in docs/benchmarks.md
	@cargo build --release --workspace
	@cargo bench --workspace --bench ingest --bench signature --bench units --bench read_models --bench outbound --bench outage --bench bulk --bench start --bench load --bench bulk_load --bench api

check-erpnext: ## Try what an ERPNext site can do (URL=, KEY=, SECRET=; WRITE=1, SUBMIT=1, SETUP=DocType,…)
	@cargo build --quiet --workspace --bin check-erpnext
	@$${CARGO_TARGET_DIR:-target}/debug/check-erpnext

preflight:
	@$(PYTHON) local/preflight.py

venv: preflight
	@local/venv.sh requirements.txt

venv-dev: preflight
	@local/venv.sh requirements.txt requirements-dev.txt

ci-deps: ## Install missing system packages (Debian, Ubuntu; as root)
	@local/ci-deps.sh
