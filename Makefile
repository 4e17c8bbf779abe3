# make demo   align the embedded model and write a report        make check  lint, types, import rules, docs
# make test   all tests but the slow ones                        make docs   write the generated pages again
#
# Everything is installed into .venv, once: again only when pyproject.toml, constraints.txt or this folder's place change.
# pip's own settings come from the environment alone (PIP_INDEX_URL, PIP_FIND_LINKS, PIP_NO_INDEX ...).

PYTHON ?= python3
OUT ?= runs/demo
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
KEY := $(shell { cat pyproject.toml constraints.txt; pwd; } | cksum | tr ' ' '-')
TRAIN := $(VENV)/.installed-train-$(KEY)
DEV := $(VENV)/.installed-dev-$(KEY)

.PHONY: help demo test test-slow check docs clean

help:
	@sed -n 's/^# make/make/p' Makefile

demo: $(or $(wildcard $(DEV)),$(TRAIN))
	@code=0; $(BIN)/charter align --out "$(OUT)" || code=$$?; \
	if [ -f "$(OUT)/report.html" ]; then echo "report: $(OUT)/report.html"; fi; \
	if [ $$code -eq 3 ]; then echo "charter align: exit code 3: all stages ran, and the new checkpoint failed the release gate (see the reasons above)"; \
	elif [ $$code -ne 0 ]; then echo "charter align: exit code $$code" >&2; fi; \
	exit $$code

# Real data sets are used where they are: CHARTER_DATA as it is set, else the folder beside the checkout.
define pytest
	@if [ -z "$${CHARTER_DATA+set}" ] && [ -d ../shared/data ]; then CHARTER_DATA="$$(cd ../shared/data && pwd)"; export CHARTER_DATA; fi; \
	exec $(BIN)/python -m pytest $(1) $(PYTEST_ARGS)
endef

# As many processes as there are processors, at most four (each takes up to 2.5 GB); the tests of one file stay together, they share what is dear to make.
test: $(DEV)
	$(call pytest,-n logical --maxprocesses 4 --dist loadfile)

test-slow: $(DEV)
	$(call pytest,-m slow)

check: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python tools/make_docs.py --check

docs: $(DEV)
	$(BIN)/python tools/make_docs.py

# runs/ holds hours of work and stays.
clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# $(1): the extras to install; the stamp $@ is made last, so that a stopped installation is done again.
define install
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null || { \
	    echo "error: $(PYTHON) is not Python 3.11 to 3.13; install one and name it, such as: make $(or $(MAKECMDGOALS),demo) PYTHON=python3.12" >&2; exit 1; }; \
	  $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "error: $(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: sudo apt-get install $(notdir $(PYTHON))-venv" >&2; exit 1; }; \
	  echo "making $(VENV)"; \
	  $(PYTHON) -m venv $(VENV) || { echo "error: $(PYTHON) -m venv $(VENV) failed (its words are above); to begin anew: make clean" >&2; exit 1; }; \
	fi; \
	echo "installing charter-align[$(1)] into $(VENV); the first time this downloads PyTorch and takes minutes"; \
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[$(1)]' || { \
	  echo "error: pip could not install (its words are above); check the network or PIP_INDEX_URL, then run the same command again" >&2; exit 1; }; \
	rm -f $(VENV)/.installed-$(2)-*; touch $@
endef

$(TRAIN):
	$(call install,train,train)

$(DEV):
	$(call install,train$(comma)dev,dev)

comma := ,
