PYTHON ?= python3
BIN = .venv/bin

# What `make demo` needs; no torch.
.venv/nnlint: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# What the tests need: they run every fixture and every example of the documentation.
.venv/tests: .venv/nnlint
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev --group torch
	@touch $@

.PHONY: demo test check generate clean

demo: .venv/nnlint  ## lint the project of several files in fixtures/demo/greenhouse
	@$(BIN)/nnlint --exit-zero fixtures/demo/greenhouse

test: .venv/tests  ## run all tests
	$(BIN)/python -m pytest --quiet -n auto

check: .venv/tests  ## style, types, generated files
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python scripts/generate.py --check

generate: .venv/nnlint  ## renew what is derived from the rules
	$(BIN)/python scripts/generate.py

clean:
	rm -rf .venv build dist *.egg-info
