#!/usr/bin/env bash
# `npm run demo`: everything that the demo needs on a fresh Debian or Ubuntu with Node, then the demo itself.
set -euo pipefail
cd "$(dirname "$0")/.."

bash test/setup/install-components.sh mount
bash test/setup/build.sh
exec node bin/infinimount.js demo "$@"
