#!/usr/bin/env bash
# Everything that can be said without running the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh postgresql redis shellcheck cargo-deny
set -x
cargo fmt --all --check
shellcheck .ci/run scripts/*.sh deploy/test/*.sh
scripts/deny.sh
cargo clippy --locked --workspace --all-targets -- -D warnings
# As in the container image.
cargo clippy --locked -p syncfleet --no-default-features -- -D warnings
RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps
scripts/with-servers.sh scripts/sqlx-prepare.sh --check
