#!/usr/bin/env bash
# Installs the clients of package.json into artifacts/clients, outside git, where the tests of KQuant.Server look for them.
set -euo pipefail
cd "$(dirname "$0")"
target=../../artifacts/clients
if cmp -s package.json "$target/package.json" && [ -d "$target/node_modules/openai" ] && [ -d "$target/node_modules/@anthropic-ai/sdk" ]; then
    exit
fi
mkdir -p "$target"
cp package.json "$target/new.json"
rm -rf "$target/package.json" "$target/node_modules"
mv "$target/new.json" "$target/package.json"
npm install --prefix "$target" --no-package-lock --no-audit --no-fund --ignore-scripts
