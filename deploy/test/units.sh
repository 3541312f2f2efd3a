#!/usr/bin/env bash
# Has systemd read the units of deploy/systemd, where it is installed: it must have nothing to say of them, but of a misspelt setting.
set -euo pipefail
cd "$(dirname "$0")/../systemd"
if ! command -v systemd-analyze >/dev/null; then
  echo "units: not read by systemd, which is not installed here"
  exit 0
fi
copy="$(mktemp -d)"
trap 'rm -rf "$copy"' EXIT
export XDG_RUNTIME_DIR="$copy"

# What systemd says of a unit, with a program in it that is there. Of other units that it reads beside it may say what it likes.
read_unit() {
  sed -i 's#^ExecStart=[^ ]*#ExecStart=/bin/true#' "$copy/syncfleet.service"
  systemd-analyze "$1" verify --man=no "$copy/syncfleet.service" 2>&1 | grep -F syncfleet || true
}

for manager in system user; do
  unit=syncfleet.service
  [ "$manager" = system ] || unit=user/syncfleet.service
  cp "$unit" "$copy/syncfleet.service"
  said="$(read_unit "--$manager")"
  [ -z "$said" ] || { printf '%s\n' "$said" >&2; exit 1; }
  sed 's/^KillMode=/KillMod=/' "$unit" >"$copy/syncfleet.service"
  [ -n "$(read_unit "--$manager")" ] || { echo "units: a misspelt setting of $unit is not noticed" >&2; exit 1; }
done
echo "units: read by systemd without a word"
