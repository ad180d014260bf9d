#!/bin/sh
# Installs what tests/clients/package-lock.json names, for the end-to-end tests; does nothing when it is there.
set -eu
cd "$(dirname "$0")/../tests/clients"

stamp=node_modules/installed-lock.json
cmp -s package-lock.json "$stamp" && exit 0
echo "Installing tests/clients/package-lock.json"
npm ci --no-audit --no-fund
cp package-lock.json "$stamp"
