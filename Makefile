.DEFAULT_GOAL := help
PYTHON ?= python3
RUN := $(PYTHON) -m config.bootstrap

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

up: ## Start everything and print the address with one-time sign-in links (HOST=, PORT= to change)
	@$(RUN) up

link: ## Print fresh sign-in links for a running installation
	@$(RUN) link

stop: ## Stop what `make up` started elsewhere, and the embedded services
	@$(RUN) stop

test: ## All tests: unit, API, training, processes, browser
	@$(RUN) test

check: ## All that needs no running: lint, types, import rules, migrations, schema, sizes
	@$(RUN) check

demo: ## A whole round by simulated labelers over the REST API; ends with a table
	@$(RUN) demo

bench: ## The measured rows: starts, link to first ranking, the labelers' queue up to a million tasks (ten minutes)
	@$(RUN) bench

bench-resume: ## Kill -9 at every step and every write of every stage, resume, compare bit for bit (OPTIONS="ppo" for some)
	@$(RUN) bench-resume $(OPTIONS)

bench-sampling: ## Bulk sampling against transformers, one table (OPTIONS="--quick" for two minutes)
	@$(RUN) bench-sampling $(OPTIONS)

mutants: ## Break the two cores on purpose, one mistake at a time: a test has to notice (OPTIONS="--only E8")
	@$(RUN) mutants $(OPTIONS)

bench-peers: ## Make the environments of what we are measured against, apart from ours
	@$(RUN) bench-peers

bench-training: ## SFT, reward model and PPO against TRL, one table (OPTIONS="--quick" for a few minutes)
	@$(RUN) bench-training $(OPTIONS)

fmt: ## Format Python and TypeScript
	@$(RUN) fmt

schema: ## Write docs/openapi.json and the TypeScript types from the code
	@$(RUN) schema

clean: ## Remove what was built here (never the data; `make up` says where that is)
	@$(RUN) clean

.PHONY: help up link stop test check demo bench bench-peers bench-resume bench-sampling bench-training mutants fmt schema clean
