# Entry points for development: `make demo` shows the product, `make test` runs the test suite.
# Both download their dependencies (Postgres 15, 17 and 18, an API fuzzer) into a cache directory.
# Nothing is installed except Chromium for the web panel tests, and only when run as root.

# Postgres runs as an unprivileged user, who cannot read root's home directory.
CACHE := $(if $(filter 0,$(shell id -u)),/var/cache/capydb,$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/capydb)
FETCH := bash src/server/postgres/fetch-debian.sh

.PHONY: build demo test setup completions openapi check bench-dump bench-upload fuzz kills fleet wild

build:
	cargo build --release --locked

# Sequential, because parallel downloads from one mirror would not be faster.
setup:
	$(FETCH) 17 $(CACHE)/postgres/17 >/dev/null
	$(FETCH) 15 $(CACHE)/postgres/15 >/dev/null
	$(FETCH) 18 $(CACHE)/postgres/18 >/dev/null
	@if python3 -c 'import venv, ensurepip' 2>/dev/null; \
	then bash tests/support/schemathesis.sh $(CACHE)/schemathesis >/dev/null; \
	else echo "NOT TESTED: api-fuzz: python3 with venv is not installed"; fi
	@bash tests/support/browser.sh $(CACHE)/axe

demo: build
	bash demo/demo.sh

test: setup
	cargo test --locked

check:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --all-targets --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
	@if command -v c++ >/dev/null; then cd fuzz && CARGO_TARGET_DIR=../target cargo check --locked; \
	else echo "NOT TESTED: fuzz: no C++ compiler"; fi

# Regenerates docs/openapi.json from the API's code.
openapi: setup
	CAPYDB_UPDATE_OPENAPI=1 cargo test --locked --test schema the_committed_description_is_current

completions:
	cargo build --locked
	target/debug/capydb completion bash >completions/capydb.bash
	target/debug/capydb completion zsh >completions/_capydb
	target/debug/capydb completion fish >completions/capydb.fish
	target/debug/capydb completion powershell >completions/_capydb.ps1
	target/debug/capydb completion elvish >completions/capydb.elv

bench-upload:
	bash bench/upload.sh

bench-dump: build
	bash bench/dump.sh

# Imports dumps as people really have them, and prints what became of each kind.
wild: setup
	cargo test --locked --test wild -- --nocapture

# Kills processes at random during imports, with many more rounds than `make test`.
kills: setup
	CAPYDB_KILLS=300 cargo test --locked --release --test kills

# Runs one control plane as six processes and kills workers at random.
fleet: setup
	CAPYDB_FLEET=60 cargo test --locked --release --test fleet -- --nocapture --test-threads=1

# Fuzzes the dump parser for ten minutes. Needs a C++ compiler; stable Rust is enough.
fuzz:
	mkdir -p fuzz/corpus
	cd fuzz && RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	  -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing" \
	  cargo run --release --target $(shell rustc -vV | sed -n 's/^host: //p') --bin dump -- \
	  -max_total_time=600 -rss_limit_mb=512 -max_len=20000 corpus seeds
