#!/usr/bin/env bash
# Renders every folder of deploy/ that has a kustomization and checks the result: against the schemas of Kubernetes,
# strictly, and against our own rules (check.py).
set -euo pipefail
cd "$(dirname "$0")/.."

cache="${SYNCFLEET_CACHE:-$HOME/.cache/syncfleet}"
version=1.37.0
venv="$cache/kubernetes-validate-$version"
if [ ! -e "$venv/installed" ]; then
  mkdir -p "$cache"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet "kubernetes-validate==$version"
  touch "$venv/installed"
fi
command -v kubectl >/dev/null || { echo "kubectl is not installed: it renders the manifests" >&2; exit 1; }

rendered="$(mktemp -d)"
trap 'rm -rf "$rendered"' EXIT
while read -r file; do
  folder="$(dirname "$file")"
  kubectl kustomize "$folder" >"$rendered/${folder//\//-}.yaml"
done < <(find . -name kustomization.yaml | sed 's#^\./##' | sort)
"$venv/bin/python" test/check.py . "$rendered"
