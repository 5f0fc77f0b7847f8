# make demo | test | test-all | fuzz | lint | bench; each builds .venv first, from requirements.lock.

VENV := .venv
BIN := $(VENV)/bin

# The first Python that is new enough and can make a virtual environment; override with make PYTHON=...
SUITABLE := import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell $(name) -c '$(SUITABLE)' >/dev/null 2>&1 && echo $(name))))

# Programs that tests marked `peer` want, beyond Python, and the Debian packages that have them. What comes from PyPI and
# npm the tests install themselves, under build/peers, and are skipped where they cannot.
PEERS := curl:curl node:nodejs npm:npm
PEERS_S := 180  # how long apt-get may take

.PHONY: demo test test-all fuzz lint bench lock peers clean

demo: $(VENV)/.synced
	$(BIN)/ihobs demo
	@echo "To have ihobs at hand: . $(BIN)/activate"

# Needs nothing but Python. Skipped tests are listed with their reasons (-ra in pyproject.toml).
test: $(VENV)/.synced
	$(BIN)/pytest -q -n auto -m "not peer"

# Everything: also the tests that need other programs, which are installed when we may.
test-all: test peers
	$(BIN)/pytest -q -n auto --dist loadfile -m peer

# A hundred thousand damaged bodies against one server; make test sends two thousand.
fuzz: $(VENV)/.synced
	IHOBS_FUZZ=100000 $(BIN)/pytest -q -s tests/fuzz

lint: $(VENV)/.synced
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.synced
	$(BIN)/python -m benchmarks

# A machine that lacks one, or may not have it, only skips its tests.
peers:
	@missing=""; \
	for pair in $(PEERS); do \
		command -v "$${pair%%:*}" >/dev/null || missing="$$missing $${pair#*:}"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		timeout $(PEERS_S) sh -c "apt-get update -q && apt-get install -q -y --no-install-recommends $$missing" \
			|| echo "apt-get could not install$$missing: their tests are skipped"; \
	else \
		echo "not root, or no apt-get: tests that need$$missing are skipped"; \
	fi

# Resolve the dependencies anew, for all platforms and Python >= 3.11.
lock: $(VENV)/.synced
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--group dev --all-extras --custom-compile-command "make lock" pyproject.toml -o requirements.lock

$(VENV)/.synced: requirements.lock pyproject.toml
	@[ -n "$(PYTHON)" ] || { echo "no Python >= 3.11 with venv found; name one with make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache
