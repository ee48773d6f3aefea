# Thin front of CMake; the presets in CMakePresets.json do the work. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := build

SOAK_SECONDS ?= 60
BENCH ?=

.PHONY: build setup tvm demo test ci bench soak clean format help

build: ## configure and build; leaves the command line at build/boundflow (installs nothing)
	@scripts/build.sh release boundflow boundflow-tvmc boundflow_shared

setup: ## install what building and testing need (Debian 12, root or sudo)
	@scripts/setup.sh test

tvm: ## put TVM, an optional kernel compiler, into .tvm (265 MB)
	@scripts/setup.sh tvm

demo: ## set up, build, and verify an embedded model: one property proved, one refuted
	@scripts/setup.sh build
	@$(MAKE) --no-print-directory build
	@build/boundflow demo

test: ## set up, build, run all tests
	@scripts/setup.sh test
	@scripts/run_tests.sh release

ci: ## all that has to pass before a merge
	@.ci/run

bench: ## benchmarks beside the peer into build/bench, e.g. make bench BENCH="--quick"
	@scripts/setup.sh test
	@$(MAKE) --no-print-directory build
	@.venv/bin/python bench/bench.py $(BENCH)

soak: ## fuzz every parser, SOAK_SECONDS each
	@scripts/setup.sh ci
	@scripts/soak.sh $(SOAK_SECONDS)

clean: ## remove all build folders
	@rm -rf build build-*

format: ## clang-format the C files
	@git ls-files '*.c' '*.h' | xargs clang-format -i

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile
