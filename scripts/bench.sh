#!/usr/bin/env bash
# Measures the engine on a private PostgreSQL that syncs to the disk; the arguments go to `loadtest engine`.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh postgresql redis
cargo build --locked --release -p syncfleet -p syncfleet-loadtest
TMPDIR="${TMPDIR:-/var/tmp}" scripts/with-servers.sh --durable \
  "${CARGO_TARGET_DIR:-target}/release/loadtest" engine "$@"
