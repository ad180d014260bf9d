#!/bin/sh
# Brings .venv up to date with the requirement files named as arguments; does nothing when it is.
# Usage: local/venv.sh requirements.txt [requirements-dev.txt]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv="$here/../.venv"
python=${PYTHON:-python3}

# A virtual environment whose interpreter is gone cannot be repaired, only made again.
if ! "$venv/bin/python" -c '' 2>/dev/null; then
    echo "Creating the virtual environment in .venv"
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi

for name in "$@"; do
    file="$here/$name"
    stamp="$venv/$name.installed"
    cmp -s "$file" "$stamp" && continue
    echo "Installing local/$name into .venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$file"
    cp "$file" "$stamp"
done
