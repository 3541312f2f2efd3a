#!/usr/bin/env bash
# Builds the program and starts everything, with demo work. The arguments go to `syncfleet up`.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh postgresql || echo 'going on: syncfleet downloads a PostgreSQL of its own'
cargo build --locked --release -p syncfleet

data="$PWD/.data"
# PostgreSQL refuses root, and its user must be able to get to the data.
if [ "$(id -u)" = 0 ] && ! setpriv --reuid=nobody --clear-groups --regid="$(id -g nobody)" test -x "$PWD/."; then
  data=/var/lib/syncfleet
  echo "$PWD is closed to other users, so the data goes to $data"
fi
exec "${CARGO_TARGET_DIR:-target}/release/syncfleet" up --demo --data "$data" "$@"
