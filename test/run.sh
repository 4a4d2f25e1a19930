#!/usr/bin/env bash
# `npm test`: everything that the tests need on a fresh Debian or Ubuntu with Node, then all tests in one run.
# Arguments are files or folders to run instead of all: npm test -- test/unit/config
set -euo pipefail
cd "$(dirname "$0")/.."

bash test/setup/install-components.sh test
bash test/setup/build.sh

[ "$#" -gt 0 ] || set -- test
# Node 20 takes no patterns.
mapfile -t files < <(find "$@" -name '*.test.ts' | sort)
if [ "${#files[@]}" = 0 ]; then
  echo "There is no test in: $*" >&2
  exit 1
fi
# The limit is for each test and for each file as a whole: on a busy machine a file of mounts needs minutes.
exec bash test/setup/with-scratch.sh node --import tsx --import ./test/setup/plain-assert.ts --import ./test/setup/lingering.ts --test --test-reporter=spec --test-concurrency=2 --test-timeout=900000 "${files[@]}"
