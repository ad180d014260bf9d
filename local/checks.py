"""Runs the project's checks in order, stops at the first that fails, and says how long each took.

Usage: checks.py lint|unit|e2e …
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from dataclasses import dataclass

from console import Failure, Phases, say, yellow
from stack import REPO


@dataclass(frozen=True)
class Check:
    """One command that must succeed."""

    group: str
    title: str
    command: tuple[str, ...]
    optional: bool = False
    """Left out, with a word about it, where its program is not installed."""


PYTHON = sys.executable
# cargo's `--workspace` everywhere: with part of it, features differ and the AWS SDK is built again.
CHECKS = (
    Check("lint", "Rust format", ("cargo", "fmt", "--all", "--check")),
    Check("lint", "Template (cfn-lint)", ("cfn-lint", "template.yaml")),
    Check("lint", "Clippy", ("cargo", "clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings")),
    Check("lint", "Dependency policy", ("cargo-deny", "--locked", "check"), optional=True),
    Check("unit", "Template and local tools",
          (PYTHON, "-m", "unittest", "discover", "-s", "local/tests", "-t", "local")),
    Check("unit", "Rust unit tests", ("cargo", "test", "--workspace", "--locked", "--lib", "--bins")),
    Check("e2e", "Client libraries", ("sh", "local/node.sh")),
    Check("e2e", "Build", ("cargo", "build", "--workspace", "--locked")),
    # `cargo test --test` builds no examples, and the end-to-end tests run one.
    Check("e2e", "Build the example", ("cargo", "build", "--workspace", "--locked", "--example", "rust")),
    Check("e2e", "Rust integration tests", ("cargo", "test", "--workspace", "--locked", "--test", "*")),
    Check("e2e", "Rust documentation tests", ("cargo", "test", "--workspace", "--locked", "--doc")),
)

# Programs that the tests of a group run, besides those that its checks begin with: any one of each line.
PROGRAMS = {
    "e2e": (("node",), ("npm",), ("curl",), ("jq",), ("chromium", "chromium-browser", "google-chrome")),
}


def missing(groups: list[str]) -> list[str]:
    """The programs that the groups need and this machine does not have."""
    wanted = [names for group in groups for names in PROGRAMS.get(group, ())]
    return [names[0] for names in wanted if not any(shutil.which(name) for name in names)]


def main() -> int:
    """Runs the groups asked for."""
    groups = dict.fromkeys(check.group for check in CHECKS)
    parser = argparse.ArgumentParser(description="Causeway's checks.")
    parser.add_argument("groups", nargs="+", choices=list(groups))
    wanted = parser.parse_args().groups
    phases = Phases()
    try:
        if lacking := missing(wanted):
            raise Failure(f"The tests need {', '.join(lacking)}: `make ci-deps` installs them on Debian and Ubuntu.")
        for check in CHECKS:
            if check.group in wanted:
                run(check, phases)
    except Failure as failure:
        phases.summary()
        print(f"causeway: {failure}", file=sys.stderr)
        return 1
    phases.summary()
    return 0


def run(check: Check, phases: Phases) -> None:
    """Runs one check as a phase."""
    if shutil.which(check.command[0]) is None:
        if not check.optional:
            raise Failure(f"{check.command[0]} is not installed; {check.title} needs it.")
        say(yellow(f"== {check.title}: left out, {check.command[0]} is not installed"))
        return
    with phases.phase(check.title):
        if subprocess.run(check.command, cwd=REPO, check=False).returncode != 0:
            raise Failure(f"{check.title} failed.")


if __name__ == "__main__":
    sys.exit(main())
