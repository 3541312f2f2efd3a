#!/usr/bin/env bash
# Installs by package name what is missing of: postgresql redis bind chromium python kubectl shellcheck
# cargo-deny (its arguments).
set -euo pipefail

postgres_there() {
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || compgen -G '/usr/pgsql-*/bin/initdb' >/dev/null ||
    command -v initdb >/dev/null
}

packages=()
for want in "$@"; do
  case "$want" in
    postgresql) postgres_there || packages+=(postgresql) ;;
    redis) command -v redis-server >/dev/null || packages+=(redis-server) ;;
    bind)
      # A distribution may keep it where only root looks.
      PATH="$PATH:/usr/sbin" command -v named >/dev/null || packages+=(bind9)
      { command -v dig && command -v nsupdate; } >/dev/null || packages+=(bind9-dnsutils)
      ;;
    chromium)
      command -v chromium >/dev/null || packages+=(chromium)
      command -v chromedriver >/dev/null || packages+=(chromium-driver)
      ;;
    python) python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv) ;;
    kubectl) command -v kubectl >/dev/null || packages+=(kubernetes-client) ;;
    shellcheck) command -v shellcheck >/dev/null || packages+=(shellcheck) ;;
    cargo-deny) command -v cargo-deny >/dev/null || cargo install --locked cargo-deny ;;
    *) echo "setup.sh: what is '$want'?" >&2; exit 2 ;;
  esac
done
[ ${#packages[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "not installed, and there is no apt-get to install them with: ${packages[*]}" >&2
  exit 1
fi
sudo=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "not installed, and there is no sudo to install them with: ${packages[*]}" >&2; exit 1; }
  sudo=(sudo)
fi
echo "installing ${packages[*]}"
"${sudo[@]}" apt-get update -qq </dev/null
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${packages[@]}" </dev/null
