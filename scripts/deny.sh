#!/usr/bin/env bash
# Licences, bans and sources of the dependencies; their advisories where the database of advisories can be had.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo deny --locked check bans licenses sources
if timeout 120 cargo deny fetch db </dev/null; then
  cargo deny --locked check --disable-fetch advisories
else
  echo '*** SKIPPED: the advisories of the dependencies: their database is out of reach ***' >&2
fi
