# Everything a contributor needs; CI calls the same. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# As many test processes as cores; tests that need order are kept together by their group.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadgroup
CHECKED := bot tests scripts benchmarks

.PHONY: help install install-test demo test test-all crash-test chaos check fix docs bench screenshots clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(INSTALLED) ## make .venv with everything, and the programs that builds need
	@scripts/install_system.sh bwrap git

$(INSTALLED): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "buildhook needs Python 3.11 or newer")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

install-test: install
	@scripts/install_system.sh bwrap git slirp4netns ip chromium podman runc busybox systemd-analyze haproxy

demo: install ## the main job end to end, without an account
	@$(BIN)/buildhook demo

test: install-test check ## what CI runs: the checks, then the tests
	$(PYTEST) -m "not long"

test-all: install-test check ## the tests that take longer as well
	$(PYTEST) --timeout 900

crash-test: install-test ## every failpoint, each action, both databases, five scenarios; a table at the end
	$(PYTEST) -m crash tests/crash

check: $(INSTALLED) ## only looks: lint, format, types, imports, generated pages, links of the docs, container file
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/generate_pages.py --check
	$(BIN)/python scripts/build_docs.py --check
	$(BIN)/hadolint Dockerfile

chaos: install-test ## random faults for some minutes, two replicas: make chaos SEED=7 MINUTES=3
	$(BIN)/python -W ignore -m tests.crash.chaos $(if $(SEED),--seed $(SEED)) --minutes $(or $(MINUTES),3)

fix: $(INSTALLED) ## mends what a program can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python scripts/generate_pages.py

docs: $(INSTALLED) ## the documentation as a site, in site/; a link that leads nowhere is an error
	$(BIN)/python scripts/build_docs.py

bench: install ## every benchmark, beside peers, into docs/benchmarks.md; some: make bench PART="door way"
	@scripts/install_system.sh wrk
	$(BIN)/python benchmarks/run.py $(PART)

screenshots: install-test ## make the pictures of the docs anew
	@scripts/install_system.sh emoji
	$(BIN)/python -m scripts.make_screenshots
	$(BIN)/python -m scripts.draw_trace

clean: ## remove what the other targets made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist site
	find bot tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
