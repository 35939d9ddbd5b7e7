# The short way to everything. Each target makes the environment that it needs; nothing has to be installed before.

PYTHON ?= python3
PORT ?= 3000
MODEL ?=
ONLY ?=
# Many tests wait for something most of the time: so there are more workers than cores of a small machine.
WORKERS ?= 3

BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export BENTOML_DO_NOT_TRACK := True
UV := $(BIN)/python -m uv
INSTALL = $(UV) pip install --quiet --require-hashes --requirement

BENTO = $(or $(MODEL),marmita)
# Only Docker's own format has room for a health check.
IMAGE_FORMAT = $(if $(filter podman buildah,$(BENTOML_CONTAINERIZE_BACKEND)),--opt format=docker)

.DEFAULT_GOAL := help

help:  ## What there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Not `?=`: some shells and conda have a HOST of their own in the environment.
HOST = 127.0.0.1

serve: .venv/train  ## Train whatever model is missing and serve all of them (PORT=3000, HOST=0.0.0.0 for others)
	@exec python -m marmita serve --host $(HOST) --port $(PORT)

train: .venv/train  ## Train all models, and promote those that are better
	@python -m marmita train

bento: .venv/train  ## Build the Bento with all models, or of one: MODEL=wine_quality
	@python -m marmita train --missing $(MODEL)
	@python -m marmita bento $(MODEL)

image: bento  ## Make the image of the Bento, or of one: MODEL=wine_quality
	@# BentoML looks for the image's template below the current folder only, and the Bento lies elsewhere: hence `cd /`.
	@models="$$(python -m marmita tags $(MODEL))" && revision=$$(git rev-parse HEAD) && cd / && \
		version=$$(basename $$(bentoml get --output path $(BENTO):latest)) && \
		bentoml containerize $(BENTO):$$version -t $(BENTO):$$version -t $(BENTO):latest $(IMAGE_FORMAT) \
		--opt label=org.opencontainers.image.revision=$$revision --opt label=marmita.models="$$models" \
		--opt label=org.opencontainers.image.licenses=Apache-2.0

chart: .venv/train  ## Write the models in bentos/ into the Helm chart's values
	@python -m marmita chart

shepherd-image:  ## Make the shepherd's image, which has all that training needs
	@revision=$$(git rev-parse --short=12 HEAD) && $(or $(BENTOML_CONTAINERIZE_BACKEND),docker) build \
		--file deploy/shepherd.Dockerfile --tag marmita-shepherd:$$revision --tag marmita-shepherd:latest \
		--label org.opencontainers.image.revision=$$revision --label org.opencontainers.image.licenses=Apache-2.0 .

test: .venv/dev  ## Run all tests, with so many workers at a time: WORKERS=3
	@python -m pytest --numprocesses $(WORKERS)

# Not `?=`, for the same reason: bash counts its SECONDS.
URL = http://localhost:$(PORT)
USERS = 20
SECONDS = 20
SHAPE =
P95 = 500

load: .venv/dev  ## Ask the running service as its users do, and look at the answers (URL, USERS, SECONDS, SHAPE, P95)
	@locust --headless --only-summary --host $(URL) --users $(USERS) --spawn-rate $(USERS) --run-time $(SECONDS)s \
		--stop-timeout 10 --objective-p95-ms $(P95) $(if $(SHAPE),--shape $(SHAPE))

bench: .venv/dev  ## Measure this service beside its peers, or some of them: ONLY=marmita,mosec
	@python -m marmita train --missing
	@python -m benchmarks $(if $(ONLY),--only $(ONLY))

check: .venv/dev  ## Format, lint, layers and types
	@ruff format --check .
	@ruff check .
	@lint-imports --no-logo
	@mypy

format: .venv/dev  ## Put the code in shape
	@ruff format .
	@ruff check --fix .

docs: .venv/train  ## Write settings, metrics, routes, scores and pictures into docs/, from the code and the champions
	@python -m marmita docs

lock: .venv/dev  ## Pin the newest versions that work together
	@$(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-header --output-file requirements/dev.txt --extra train --group dev pyproject.toml
	@$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --constraint requirements/dev.txt --output-file requirements/train.txt --extra train pyproject.toml
	@$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --constraint requirements/dev.txt --output-file requirements/serve.txt pyproject.toml

.venv/bin/uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@echo "making the environment in .venv"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/uv.txt
	@touch $@

.venv/train: .venv/bin/uv requirements/train.txt
	@echo "installing what training and serving need"
	@$(INSTALL) requirements/train.txt
	@touch $@

.venv/dev: .venv/bin/uv requirements/dev.txt
	@echo "installing what testing needs"
	@$(INSTALL) requirements/dev.txt
	@touch $@

.PHONY: help serve train bento image chart shepherd-image test bench load check format docs lock
