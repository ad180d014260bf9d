"""Says in one sentence what this machine lacks, before anything is built or installed.

Runs on the system's Python, whatever its version, so it uses nothing newer than Python 3.6.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OLDEST_PYTHON = (3, 10)  # what ministack and aws-sam-translator ask for


def oldest_rust():
    """The `rust-version` of the workspace, e.g. (1, 94, 1)."""
    with open(os.path.join(REPO, "Cargo.toml"), encoding="utf-8") as manifest:
        return version(re.search(r'^rust-version = "([\d.]+)"', manifest.read(), re.MULTILINE).group(1))


def version(text):
    """The first dotted number in `text` as a tuple, or None."""
    match = re.search(r"\d+(\.\d+)+", text)
    return tuple(int(part) for part in match.group().split(".")) if match else None


def dotted(parts):
    return ".".join(str(part) for part in parts)


def installed_rust():
    """The version of `cargo`, or None where there is none that runs."""
    try:
        done = subprocess.run(["cargo", "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return version(done.stdout.decode())


def missing():
    """One sentence for each thing that is missing or too old."""
    if sys.version_info < OLDEST_PYTHON:
        yield "Python {} is too old: {} or newer is needed; name one with `make PYTHON=python3.12 …`.".format(
            dotted(sys.version_info[:3]), dotted(OLDEST_PYTHON))
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        yield "Python has no venv module: install it (Debian, Ubuntu: apt-get install python3-venv)."
    rust, wanted = installed_rust(), oldest_rust()
    if rust is None:
        yield "cargo is not installed: see https://rustup.rs."
    elif rust < wanted:
        yield "Rust {} is too old: {} or newer is needed (rustup update).".format(dotted(rust), dotted(wanted))
    if not any(shutil.which(compiler) for compiler in (os.environ.get("CC", "cc"), "gcc", "clang")):
        yield "There is no C compiler (Debian, Ubuntu: apt-get install build-essential; macOS: xcode-select --install)."


if __name__ == "__main__":
    problems = list(missing())
    for problem in problems:
        print("causeway: " + problem, file=sys.stderr)
    sys.exit(1 if problems else 0)
