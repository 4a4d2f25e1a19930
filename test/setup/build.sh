#!/usr/bin/env bash
# Installs the npm packages of the lock file where they are not there yet, and compiles where the source is newer.
set -euo pipefail
cd "$(dirname "$0")/../.."

# npm writes this file at the end of an installation.
installed=node_modules/.package-lock.json
if [ ! -e "$installed" ] || [ package-lock.json -nt "$installed" ]; then
  # The package's own `prepare` compiles.
  FUSE_NATIVE=1 npm ci --no-audit --no-fund
elif [ ! -e dist/program/main.js ] || [ -n "$(find src tsconfig.json package-lock.json test/setup/*.ts -newer dist/program/main.js -print -quit)" ]; then
  npm run --silent build
fi
