#!/usr/bin/env bash
# Measures the engine on a private PostgreSQL that syncs to the disk, beside other queues on the same servers, and prints
# tables for BENCHMARKS.md: bench.sh [engine|fairness|idle|calendar|drive|push|dns|soak [ARGS...]]; without arguments all of them, one after the
# other. What the servers write goes to TMPDIR, /var/tmp by default: it must be a disk, not memory.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh postgresql redis bind
cargo build --locked --release -p syncfleet -p syncfleet-loadtest
# A package of its own, with its own lock file.
cargo build --locked --release --manifest-path loadtest/peers/Cargo.toml --target-dir loadtest/peers/target

loadtest="${CARGO_TARGET_DIR:-target}/release/loadtest"
export TMPDIR="${TMPDIR:-/var/tmp}"
measure() { # COMMAND ARGS...: on new servers each, so that none finds what another left in caches and logs
  local command=$1
  shift
  local more=()
  [ "$command" != engine ] || more=(--peers loadtest/peers/target/release/peers)
  scripts/with-servers.sh --durable "$loadtest" "$command" "${more[@]}" "$@"
  echo
}

if [ $# -gt 0 ]; then
  measure "$@"
else
  measure engine --runs 3
  measure fairness
  measure idle
  for _ in 1 2 3; do measure calendar; done
  measure drive contents
  measure push
  measure dns
  measure soak
fi
