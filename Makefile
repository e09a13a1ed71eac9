PYTHON ?= python3
BIN = .venv/bin

# The linter alone; no torch.
.venv/nnlint: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# What a confirmation run needs besides.
.venv/torch: .venv/nnlint
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group torch
	@touch $@

# What the tests need: they run every fixture and every example of the documentation.
.venv/tests: .venv/torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev --group frameworks
	@touch $@

# What the site is built with.
.venv/docs: .venv/nnlint
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group docs
	@touch $@

.PHONY: demo test check docs generate clean

demo: .venv/torch  ## lint the project of several files in fixtures/demo/greenhouse, then run it and settle each finding
	@echo "\$$ nnlint fixtures/demo/greenhouse"
	@$(BIN)/nnlint --exit-zero fixtures/demo/greenhouse
	@echo "\$$ nnlint --runtime --format concise fixtures/demo/greenhouse/train.py"
	@$(BIN)/nnlint --runtime --format concise --exit-zero fixtures/demo/greenhouse/train.py

test: .venv/tests  ## run all tests
	$(BIN)/python -m pytest --quiet -n auto

check: .venv/tests docs  ## style, types, generated files, the site
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python scripts/generate.py --check

docs: .venv/docs  ## the site, in build/site, with its links checked
	$(BIN)/zensical build --strict --clean
	$(BIN)/python scripts/links.py build/site

generate: .venv/nnlint  ## renew what is derived from the rules
	$(BIN)/python scripts/generate.py

clean:
	rm -rf .venv build dist *.egg-info
