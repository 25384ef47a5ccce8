.DEFAULT_GOAL := help
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# What setup installs is not compiled; every process would do so again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1|/' | column -t -s '|'

.PHONY: setup
setup:  ## Install everything the project needs (quick when there is nothing to do)
	@bash ops/setup.sh

.PHONY: demo
demo: setup  ## Run the main job on the embedded stack and show what landed
	@python -m ops.demo

.PHONY: test
test: setup lint types  ## Check style, types and import rules, then run every test
	@bash tests/setup.sh
	@bash tests/run.sh

.PHONY: unit
unit: setup  ## Run the unit tests alone (under 20 seconds)
	@pytest -n 2 tests/unit

.PHONY: lint
lint:  ## Check style and import rules
	@ruff check .
	@ruff format --check .
	@lint-imports --no-logo

.PHONY: types
types:  ## Check types, strictly
	@mypy

.PHONY: format
format:  ## Format the code and fix what can be fixed
	@ruff format .
	@ruff check --fix .

.PHONY: synth
synth: setup  ## Write the CloudFormation templates of every environment from the CDK app
	@python -m infra.synth

.PHONY: ci
ci:  ## Run every step of CI as GitHub does; BASE=REV to compare with another revision
	@bash .github/ci.sh

ENV ?= dev

.PHONY: diff
diff: setup  ## Show what a deploy would change: make diff SERVICE=collector ENV=dev
	@python -m infra.deploy --env $(ENV) --stack $(SERVICE) $(if $(TAG),--image-tag $(TAG)) --diff

.PHONY: deploy
deploy: setup  ## Deploy one service alone: make deploy SERVICE=collector ENV=dev TAG=…
	@python -m infra.synth --check --env $(ENV)
	@python -m infra.deploy --env $(ENV) --stack $(SERVICE) $(if $(TAG),--image-tag $(TAG))

.PHONY: bench
bench: setup  ## Measure one real quarter beside the floor and the old way
	@uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements/benchmarks.txt
	@python -m benchmarks.quarter

.PHONY: bench-loader
bench-loader: setup  ## Measure the loader beside the server's own COPY and its peers
	@test -d .venv-peers || python3 -m venv .venv-peers
	@uv pip sync --quiet --python .venv-peers/bin/python --require-hashes requirements/peers.txt
	@python -m benchmarks.loader --peers
	@python -m benchmarks.loader_memory

.PHONY: soak
soak: setup  ## Kill loaders and servers 500 times and compare; writes docs/soak.md
	@python -m tests.soak --kills 500 --seed 1 --report docs/soak.md

.PHONY: lock
lock: setup  ## Resolve the dependencies again into requirements/*.txt, with hashes
	@bash ops/lock.sh
