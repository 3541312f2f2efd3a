.DEFAULT_GOAL := help
.PHONY: help run build test lint bench

help: ## what can be made
	@sed -n 's/^\([a-z]*\): ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

run: ## build and start everything with demo work (installs PostgreSQL if there is none)
	@scripts/run.sh $(ARGS)

build: ## the release binary
	cargo build --locked --release -p syncfleet

test: ## all tests, on a private PostgreSQL and Redis
	@scripts/test.sh $(ARGS)

lint: ## formatting, clippy, docs, dependencies, scripts, query descriptions
	@scripts/lint.sh

bench: ## measure everything; ARGS name one measurement and its flags
	@scripts/bench.sh $(ARGS)
