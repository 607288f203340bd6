# `make demo` and `make test` set up all they need: a virtual environment in .venv, the project in it.

PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
READY := $(VENV)/.ready
BRICKS := docs/bricks.jpg
PHOTO := train/tn_train/data/photos/coffee.jpg

.PHONY: demo site test test-hard test-lowest test-clients bench results check format docs dist clean

demo: demo/bricks.onnx demo/coffee.jpg
	$(BIN)/tn-run texture demo/bricks.onnx -o demo/tile.png --size 1024 --tileable
	$(BIN)/tn-run texture demo/bricks.onnx -o demo/window.png --size 1024x512 --origin=-1000000,12345
	@echo "Look at demo/coffee.jpg, a photo painted like Hokusai's wave, at demo/tile.png, which repeats"
	@echo "seamlessly, and at demo/window.png."

demo/coffee.jpg: | $(READY)
	mkdir -p demo
	$(BIN)/tn-run style great_wave $(PHOTO) -o demo/coffee.jpg

demo/bricks.onnx: demo/bricks.trained
	$(BIN)/tn-export demo/bricks.pt -o demo/bricks.onnx

# An interrupted training leaves a bricks.pt and no mark; it goes on.
demo/bricks.trained: | $(READY)
	mkdir -p demo
	$(BIN)/tn-train texture $(BRICKS) -o demo/bricks.pt --minutes 3 \
		--credit "Ron Kapaun, 3TD Studios" --license CC0-1.0 \
		$(if $(wildcard demo/bricks.pt),--resume)
	touch demo/bricks.trained

# The page of tn-run serve as a folder for any static host, in build/site: the models run in the browser.
site: $(READY) site/node_modules/.package-lock.json
	$(BIN)/python site/build.py build/site
	@echo "Look at it: python3 -m http.server -d build/site"

site/node_modules/.package-lock.json: site/package-lock.json
	npm ci --prefix site --ignore-scripts --no-audit --no-fund

test: check
	$(BIN)/pytest -n 2 --dist loadfile

# What is long: kills at chance moments, twenty of each, and all hostile cases.
test-hard: $(READY)
	$(BIN)/pytest -n 2 -m hard

# The runtime alone, without torch, with the lowest versions that it allows.
test-lowest:
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	.venv-lowest/bin/python -m pip install --quiet --constraint lowest.txt . --group lowest
	.venv-lowest/bin/pytest -p no:cacheprovider tests/runtime

# The programs of docs/clients.md, and the engines beside ONNX Runtime. What cannot be had is skipped.
test-clients: $(READY)
	tests/clients/install.sh
	$(BIN)/python -m pip install --quiet --group clients
	$(BIN)/pytest -m "hard or not hard" tests/clients

# All suites in short, within five minutes of two idle cores, and the page that shows them. It goes on where it was stopped.
bench: $(READY)
	$(BIN)/tn-bench run --quick -o bench
	$(BIN)/tn-bench report bench -o bench/report.html

# The full run over all shipped models, from a clean tree, into what is committed: benchmarks/results and the figures in the README.
# Two hours and a quarter on two idle cores. PICTURES is the folder of the pictures that no package has; train/zoo.toml lists them.
results: $(READY)
	$(BIN)/tn-bench run -o full --pictures $(PICTURES)
	rm -rf benchmarks/results
	mkdir benchmarks/results
	cp full/results.json benchmarks/results/
	$(BIN)/tn-bench report full -o benchmarks/results/report.html
	$(BIN)/python benchmarks/lab/figures.py benchmarks/results README.md

check: $(READY)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# The reference of the Python API, from the docstrings: build/docs/index.html.
docs: $(READY)
	$(BIN)/python -m pip install --quiet --group docs
	$(BIN)/python -W error docs/reference.py

# What a release must pass: sdist and wheel are built, and every shipped model runs from the wheel
# alone, in an empty environment.
dist: $(READY)
	$(BIN)/python -m pip install --quiet --group release
	rm -rf dist build/wheel
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv build/wheel
	build/wheel/$(notdir $(BIN))/python -m pip install --quiet dist/*.whl
	build/wheel/$(notdir $(BIN))/python -I tests/wheel.py

clean:
	rm -rf $(VENV) .venv-lowest tests/clients/node_modules demo bench full build dist .mypy_cache .pytest_cache .ruff_cache

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[all]" --group dev
	touch $(READY)
