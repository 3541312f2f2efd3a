#!/usr/bin/env bash
# All tests, on a private PostgreSQL and Redis; the arguments go to `cargo test`.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh postgresql redis bind chromium python kubectl
deploy/test/render.sh
deploy/test/units.sh
# The fault test starts it as separate processes.
cargo build --locked -p syncfleet
scripts/with-servers.sh cargo test --locked --workspace "$@"
# The object store in a bucket.
[ $# -gt 0 ] || scripts/with-s3.sh scripts/with-servers.sh cargo test --locked --workspace --test objects --test contents -- --ignored
