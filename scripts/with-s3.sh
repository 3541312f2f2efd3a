#!/usr/bin/env bash
# Runs a command with an S3-compatible service on loopback, with an empty bucket in it: with-s3.sh COMMAND...
# SYNCFLEET_TEST_S3 leads to it. The service is moto, in a Python environment of its own that is made once.
set -euo pipefail

cache="${SYNCFLEET_CACHE:-$HOME/.cache/syncfleet}"
version=5.2.5
venv="$cache/moto-$version"
if [ ! -e "$venv/installed" ]; then
  mkdir -p "$cache"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet "moto[s3,server]==$version"
  touch "$venv/installed"
fi

port=$((20000 + RANDOM % 12000))
log="$(mktemp)"
"$venv/bin/moto_server" --host 127.0.0.1 --port "$port" >"$log" 2>&1 &
service=$!
trap 'kill "$service" 2>/dev/null || true; rm -f "$log"' EXIT
export SYNCFLEET_TEST_S3="http://127.0.0.1:$port"
for _ in $(seq 100); do
  if "$venv/bin/python" -c 'import sys, urllib.request as r
r.urlopen(r.Request(sys.argv[1], method="PUT"), timeout=2)' "$SYNCFLEET_TEST_S3/syncfleet-test" 2>/dev/null; then
    "$@"
    exit
  fi
  kill -0 "$service" 2>/dev/null || break
  sleep 0.2
done
echo "the S3-compatible service does not start:" >&2
tail -n 20 "$log" >&2
exit 1
