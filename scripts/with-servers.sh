#!/usr/bin/env bash
# Runs a command with a private PostgreSQL and Redis: with-servers.sh [--durable] COMMAND...
# Both listen on loopback alone, keep their data in a temporary folder and end with the command. DATABASE_URL and
# REDIS_URL lead to them. Without --durable PostgreSQL does not sync to the disk: for tests, never for measurements.
set -euo pipefail

sync=off
if [ "${1:-}" = --durable ]; then
  sync=on
  shift
fi

# Newest last in the distributions' folders; else what is on the search path.
bin="$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1 || true)"
[ -n "$bin" ] || bin="$(dirname "$(readlink -f "$(command -v initdb)")")"

# PostgreSQL refuses root.
as=()
owner="$(id -un)"
if [ "$(id -u)" = 0 ]; then
  owner=nobody
  id postgres >/dev/null 2>&1 && owner=postgres
  as=(setpriv "--reuid=$owner" "--regid=$(id -g "$owner")" --clear-groups)
fi

folder="$(mktemp -d "${TMPDIR:-/tmp}/syncfleet-servers.XXXXXX")"
postgres='' redis=''
stop() {
  trap '' INT TERM
  [ -z "$redis" ] || kill "$redis" 2>/dev/null || true
  # SIGINT: the clients that are left are cut off.
  [ -z "$postgres" ] || kill -INT "$postgres" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

chmod 711 "$folder"
install -d -m 700 -o "$owner" "$folder/postgres" "$folder/run"
install -d -m 700 "$folder/redis"
secret="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
install -m 600 -o "$owner" <(echo "$secret") "$folder/password"

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

ready() { # NAME PID LOG CHECK...
  local name=$1 pid=$2 log=$3
  shift 3
  for _ in $(seq 300); do
    if "$@" >/dev/null 2>&1; then return; fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  echo "$name does not start:" >&2
  tail -n 20 "$log" >&2
  exit 1
}

cd "$folder"
"${as[@]}" "$bin/initdb" -D "$folder/postgres" -U syncfleet -E UTF8 --locale=C --no-sync \
  --auth-local=trust --auth-host=password --pwfile="$folder/password" >"$folder/initdb.log" 2>&1 ||
  { cat "$folder/initdb.log" >&2; exit 1; }
port="$(free_port)"
"${as[@]}" "$bin/postgres" -D "$folder/postgres" -k "$folder/run" -p "$port" \
  -c listen_addresses=127.0.0.1 -c max_connections=300 -c shared_buffers=256MB \
  -c "fsync=$sync" -c "synchronous_commit=$sync" -c "full_page_writes=$sync" \
  </dev/null >"$folder/postgres.log" 2>&1 &
postgres=$!
ready PostgreSQL "$postgres" "$folder/postgres.log" \
  "$bin/psql" -h "$folder/run" -p "$port" -U syncfleet -d postgres -c 'select 1'
"$bin/createdb" -h "$folder/run" -p "$port" -U syncfleet syncfleet
export DATABASE_URL="postgres://syncfleet:$secret@127.0.0.1:$port/syncfleet"

port="$(free_port)"
redis-server --port "$port" --bind 127.0.0.1 --dir "$folder/redis" --save '' --appendonly no \
  </dev/null >"$folder/redis.log" 2>&1 &
redis=$!
ready Redis "$redis" "$folder/redis.log" redis-cli -p "$port" ping
export REDIS_URL="redis://127.0.0.1:$port"

cd "$OLDPWD"
"$@"
