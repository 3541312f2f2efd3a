#!/usr/bin/env bash
# Makes .sqlx anew, the descriptions of all queries that builds check against; with --check only compares.
# DATABASE_URL names a server on which a database may be made: `scripts/with-servers.sh scripts/sqlx-prepare.sh`.
#
# The macros of sqlx write a description for each query they look up, into SQLX_OFFLINE_DIR.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${DATABASE_URL:?names the PostgreSQL server to describe the queries on}"

made="$(mktemp -d)"
name="syncfleet_prepare_$$"
base="${DATABASE_URL%%\?*}"
query="${DATABASE_URL#"$base"}"
url="${base%/*}/$name$query"
psql() { command psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 "$@"; }
trap 'rm -rf "$made"; psql "$DATABASE_URL" -c "drop database if exists $name with (force)"' EXIT

psql "$DATABASE_URL" -c "create database $name"
shopt -s nullglob
for file in migrations/*.sql; do
  single=(--single-transaction)
  # As sqlx does it.
  [[ "$(head -n 1 "$file")" != '-- no-transaction'* ]] || single=()
  psql "$url" "${single[@]}" -f "$file" >/dev/null
done

# Cargo does not see that the database changed: the root of each crate counts as new.
touch ./*/src/lib.rs ./*/src/main.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$made" DATABASE_URL="$url" \
  cargo check --locked --workspace --all-targets --quiet

if [ "${1:-}" = --check ]; then
  mkdir -p "$made.empty"
  committed=.sqlx
  [ -d .sqlx ] || committed="$made.empty"
  outcome=0
  diff -r "$committed" "$made" || outcome=1
  rmdir "$made.empty"
  [ "$outcome" = 0 ] || echo '.sqlx is stale: run scripts/with-servers.sh scripts/sqlx-prepare.sh and commit it' >&2
  exit "$outcome"
fi
rm -rf .sqlx
described=("$made"/query-*.json)
if [ ${#described[@]} -gt 0 ]; then
  mkdir .sqlx
  cp "${described[@]}" .sqlx/
fi
echo "${#described[@]} queries described in .sqlx"
