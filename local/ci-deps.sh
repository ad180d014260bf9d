#!/bin/sh
# Installs the system packages that are missing, on Debian and Ubuntu. Does nothing where all are present.
set -eu

missing=""
need() { # need PACKAGE COMMAND…: the package, unless the command succeeds
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
need build-essential cc --version
need make make --version
need curl curl --version
need openssl openssl version
need jq jq --version
# Client libraries and a browser, for the end-to-end tests.
need nodejs node -e 'process.exit(process.versions.node.split(".")[0] >= 18 ? 0 : 1)'
need npm npm --version
need chromium sh -c 'command -v chromium || command -v chromium-browser || command -v google-chrome'
need python3-venv "${PYTHON:-python3}" -c 'import ensurepip, venv'

[ -n "$missing" ] || { echo "All system packages are present."; exit 0; }
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "causeway: missing:$missing; install them with your package manager." >&2
    exit 1
fi
apt-get update -qq
# shellcheck disable=SC2086 # a list of packages
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
