# Five verbs: help, check, test, gen, demo. Each sets up what it needs, once.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ENGINE ?= simulated
MODELS := build/models
# Tests wait more than they compute; two vLLM servers fill the cores, and those that measure want them for themselves.
WORKERS ?= 3
# Files in their order: by default those with the fewest tests come last, and they are the longest.
SHARED := --dist loadfile --no-loadscope-reorder
# What to look at when the tests take too long.
SLOWEST := --durations=15 --durations-min=15
PIP_QUIET := --quiet --disable-pip-version-check --no-warn-script-location

# Tests start some hundred programs, which would each compile the toolkit anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help check test test-fast gen demo soak runbooks mutations pictures vllm tiny-model system node clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

# --- The two commands of the README -----------------------------------------------------------------------------

demo: $(VENV)/ops.ready ## a good release promoted, a bad one rolled back, under load; ENGINE=vllm for real vLLM
	@if [ "$(ENGINE)" = vllm ]; then $(MAKE) --no-print-directory tiny-model; fi
	@$(BIN)/ops demo --engine $(ENGINE)

test: $(VENV)/test.ready system tiny-model node ## every test, those with real servers and real vLLM included
	@$(BIN)/pytest -m "not vllm and not alone" -n $(WORKERS) $(SHARED) $(SLOWEST) $(PYTEST_ARGS)
	@$(BIN)/pytest -m "vllm and not alone" -n 2 $(SHARED) $(SLOWEST) $(PYTEST_ARGS)
	@$(BIN)/pytest -m alone $(SLOWEST) $(PYTEST_ARGS)

# --- For those who work on it -----------------------------------------------------------------------------------

test-fast: $(VENV)/test.ready node ## the tests that need no server, in seconds
	@$(BIN)/pytest -m "not server and not vllm" -n auto $(PYTEST_ARGS)

check: $(VENV)/test.ready ## lint, types, layers, and whether generated files are as generated
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory gen
	@git diff --exit-code --stat -- $(GENERATED) || { echo "generated files differ: commit what 'make gen' wrote"; exit 1; }

GENERATED := gratefulgpt.schema.json docs/rollout.md alerts runbooks dashboards
gen: $(VENV)/ops.ready ## writes the generated files anew
	@$(BIN)/ops spec schema --output gratefulgpt.schema.json
	@$(BIN)/python -m ops.rollout.drawing docs/rollout.md
	@$(BIN)/ops alerts render
	@$(BIN)/ops dashboards render

soak: $(VENV)/ops.ready ## 20 rollouts each of good and bad releases under load; SOAK_ARGS="--good 2 --bad 3" for fewer
	@$(BIN)/python -m benchmarks.soak --output build/soak.json $(SOAK_ARGS)

runbooks: $(VENV)/ops.ready system ## faults on a live stack, and the runbooks that end them; RUNBOOKS_ARGS="--only TierOutage" for one
	@$(BIN)/python -m benchmarks.runbooks --output build/runbooks.json $(RUNBOOKS_ARGS)

mutations: $(VENV)/ops.ready system ## every rule's numbers, windows and labels changed, one at a time: do the rule tests find it?
	@$(BIN)/python -m benchmarks.mutations $(MUTATIONS_ARGS)

pictures: $(VENV)/ops.ready system build/pictures/page/main.js ## draws the dashboards into docs/images, by Grafana's own components (npm, 450 MB), of a stack under load
	@$(BIN)/python -m benchmarks.pictures $(PICTURES_ARGS)

vllm: .venv-vllm/ready ## real vLLM in a virtual environment of its own (3.5 GB without a GPU, four minutes)

tiny-model: .venv-vllm/ready ## builds and trains the tiny models of the vLLM tests and demo
	@.venv-vllm/bin/python -m training.tiny_models --output $(MODELS)

system: ## Debian's packages for the tests (PostgreSQL 15, Prometheus, Alertmanager); installs them only as root
	@PYTHON=$(PYTHON) ./.ci/system-packages

node: build/node/ready ## others' schemas for the tests (npm), 62 MB

clean: ## removes what was built, the virtual environments excepted
	@rm -rf build .stack .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# --- Virtual environments ---------------------------------------------------------------------------------------

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/ops.ready: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing what the toolkit needs into $(VENV) (once, about a minute)"
	@$(BIN)/pip install $(PIP_QUIET) -c constraints.txt -e '.[ops,prometheus,dashboards,load]' 2> >(grep -v "is ignored" >&2)
	@touch $@

$(VENV)/test.ready: $(VENV)/ops.ready
	@$(BIN)/pip install $(PIP_QUIET) -c constraints.txt -e '.[ops,prometheus,dashboards,load,test]' 2> >(grep -v "is ignored" >&2)
	@touch $@

build/node/ready: tests/node/package.json tests/node/package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed: apt-get install npm"; exit 1; }
	@mkdir -p build/node && cp $^ build/node/
	@npm ci --prefix build/node --no-audit --no-fund --loglevel error
	@touch $@

# With Grafana's components and React in one file; NODE_PATH, since the sources lie apart from their packages.
PAGE := benchmarks/pictures/page
build/pictures/page/main.js: build/pictures/ready $(wildcard $(PAGE)/*)
	@mkdir -p build/pictures/page && cp $(PAGE)/index.html build/pictures/page/
	@NODE_PATH=build/pictures/node_modules build/pictures/node_modules/.bin/esbuild $(PAGE)/main.jsx --bundle --minify \
	  --jsx=automatic --loader:.ttf=file --loader:.woff=file --loader:.woff2=file --define:process.env.NODE_ENV='"production"' \
	  --log-level=warning --outdir=build/pictures/page

build/pictures/ready: $(PAGE)/package.json $(PAGE)/package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed: apt-get install npm"; exit 1; }
	@mkdir -p build/pictures && cp $^ build/pictures/
	@npm ci --prefix build/pictures --no-audit --no-fund --loglevel error
	@touch $@

.venv-vllm/ready: requirements-vllm.txt training/install.py
	@$(PYTHON) -m training.install --venv .venv-vllm
	@touch $@
