# The entry points of the project. Each target creates the environment that it needs, from Python alone.

PYTHON ?= python3
PORT ?= 3000
MODEL ?=
ONLY ?=
# More workers than a small machine has cores, as many tests mostly wait.
WORKERS ?= 3

BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export BENTOML_DO_NOT_TRACK := True
UV := $(BIN)/python -m uv
INSTALL = $(UV) pip install --quiet --require-hashes --requirement

BENTO = $(or $(MODEL),marmita)
# Only Docker's own image format supports a health check.
IMAGE_FORMAT = $(if $(filter podman buildah,$(BENTOML_CONTAINERIZE_BACKEND)),--opt format=docker)

.DEFAULT_GOAL := help

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Not `?=`: some shells and conda set HOST in the environment.
HOST = 127.0.0.1

serve: .venv/train  ## Train the models without a champion, and serve all (PORT=3000; HOST=0.0.0.0: all addresses)
	@exec python -m marmita serve --host $(HOST) --port $(PORT)

train: .venv/train  ## Train all models, and promote those that pass the gate
	@python -m marmita train

bento: .venv/train  ## Build the Bento of all models, or of one: MODEL=wine_quality
	@python -m marmita train --missing $(MODEL)
	@python -m marmita bento $(MODEL)

image: bento  ## Build the image of all models, or of one: MODEL=wine_quality
	@# BentoML accepts the image's template only below the current folder, and the Bento lies elsewhere: hence `cd /`.
	@models="$$(python -m marmita tags $(MODEL))" && revision=$$(git rev-parse HEAD) && cd / && \
		version=$$(basename $$(bentoml get --output path $(BENTO):latest)) && \
		bentoml containerize $(BENTO):$$version -t $(BENTO):$$version -t $(BENTO):latest $(IMAGE_FORMAT) \
		--opt label=org.opencontainers.image.revision=$$revision --opt label=marmita.models="$$models" \
		--opt label=org.opencontainers.image.licenses=Apache-2.0

chart: .venv/train  ## Write the models in bentos/ into the Helm chart's values
	@python -m marmita chart

shepherd-image:  ## Build the image of the shepherd (the retraining controller), with the libraries of training
	@revision=$$(git rev-parse --short=12 HEAD) && $(or $(BENTOML_CONTAINERIZE_BACKEND),docker) build \
		--file deploy/shepherd.Dockerfile --tag marmita-shepherd:$$revision --tag marmita-shepherd:latest \
		--label org.opencontainers.image.revision=$$revision --label org.opencontainers.image.licenses=Apache-2.0 .

test: .venv/dev  ## Run all tests (WORKERS=3: the number of parallel workers)
	@python -m pytest --numprocesses $(WORKERS)

# Not `?=`, for the same reason: bash sets SECONDS.
URL = http://localhost:$(PORT)
USERS = 20
SECONDS = 20
SHAPE =
P95 = 500

load: .venv/dev  ## Load-test the running service, and check its answers (URL, USERS, SECONDS, SHAPE, P95)
	@locust --headless --only-summary --host $(URL) --users $(USERS) --spawn-rate $(USERS) --run-time $(SECONDS)s \
		--stop-timeout 10 --objective-p95-ms $(P95) $(if $(SHAPE),--shape $(SHAPE))

bench: .venv/dev  ## Run the benchmark of all contenders, or of some: ONLY=marmita,mosec
	@python -m marmita train --missing
	@python -m benchmarks $(if $(ONLY),--only $(ONLY))

check: .venv/dev  ## Check format, lint, layers and types
	@ruff format --check .
	@ruff check .
	@lint-imports --no-logo
	@mypy

format: .venv/dev  ## Format the code, and fix what the linter can fix
	@ruff format .
	@ruff check --fix .

docs: .venv/train  ## Generate the tables and plots in docs/, from the code and the champions
	@python -m marmita docs

lock: .venv/dev  ## Pin the newest compatible versions of all dependencies
	@$(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-header --output-file requirements/dev.txt --extra train --group dev pyproject.toml
	@$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --constraint requirements/dev.txt --output-file requirements/train.txt --extra train pyproject.toml
	@$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --constraint requirements/dev.txt --output-file requirements/serve.txt pyproject.toml

.venv/bin/uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@echo "creating the environment in .venv"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/uv.txt
	@touch $@

.venv/train: .venv/bin/uv requirements/train.txt
	@echo "installing the dependencies of training and serving"
	@$(INSTALL) requirements/train.txt
	@touch $@

.venv/dev: .venv/bin/uv requirements/dev.txt
	@echo "installing the dependencies of the tests"
	@$(INSTALL) requirements/dev.txt
	@touch $@

.PHONY: help serve train bento image chart shepherd-image test bench load check format docs lock
