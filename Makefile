.DEFAULT_GOAL := help
.PHONY: demo vm-demo test prove synth fuzz coverage mutants lint fmt clean help setup

demo: setup ## two hosts, a card each and a wire: see packets cross
	@echo "demo: building (a minute or some the first time), making the card's model (as long), then running"
	@cargo run --release -- demo
	@echo
	@echo "Try next:"
	@echo "  cargo run --release -- demo --help    other captures, widths, a waveform"
	@echo "  cargo run --release -- bench --help   what the card does in how many cycles"
	@echo "  make test                             everything that is checked"

vm-demo: setup ## a stock Linux kernel drives the card: probe, ping, TCP, ethtool, resets
	@bash tools/setup --vm
	@echo "vm-demo: building (a minute or some the first time), making the card's model (as long), then running"
	@cargo run --release -- vm --story
	@echo
	@echo "Try next:"
	@echo "  cargo run --release -- vm            a shell in such a machine"
	@echo "  cargo run --release -- vm --help     other kernels, captures, waves, traces, how fast it is"

test: setup ## all tests
	@echo "test: building, making models (some minutes the first time), and running"
	@cargo test --workspace
	@echo
	@echo "Try next:"
	@echo "  make demo                             see packets cross"
	@echo "  cargo test -p nitor-block             one crate's tests"
	@echo "  make lint                             what CI checks besides"

BOARD ?= ulx3s-85f

prove: ## proofs of the blocks that must never be wrong
	@bash tools/setup --prove
	@cargo test --release -p nitor-hdl --test proofs -- --ignored --nocapture
	@cargo test --release -p nitor-board --test netlist -- --ignored --nocapture

synth: ## a bitstream: make synth BOARD=ulx3s-85f (cargo run --release -- synth --help)
	@bash tools/setup --synth
	@cargo run --release -- synth --board $(BOARD)

fuzz: setup ## the card against random input, a minute each (tests/fuzz/run --help)
	@tests/fuzz/run 60

coverage: setup ## what the tests reach of the RTL: docs/coverage.md (tests/coverage/run --help)
	@tests/coverage/run

mutants: setup ## how many single changes to the RTL the tests notice; takes hours (tests/coverage/mutants --help)
	@tests/coverage/mutants

lint: setup ## formatting and clippy, warnings are errors
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets --features nitor/fuzz -- -D warnings

fmt: ## format the Rust
	@cargo fmt --all

clean: ## remove all that was built; tools in .tools and models in ~/.cache/nitor stay
	@cargo clean

setup: ## install what is missing (tools/setup); the other targets do it by themselves
	@bash tools/setup

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'
