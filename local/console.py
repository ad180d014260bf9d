"""What the scripts print: phases with their times, colour only on a terminal, errors as one sentence."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import Iterator


class Failure(Exception):
    """Something the user can act on; its text is the whole message, and no trace is shown."""


def coloured(text: str, code: str) -> str:
    """`text` in the ANSI colour `code`, where the output is a terminal that wants colour."""
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        return f"\033[{code}m{text}\033[0m"
    return text


def bold(text: str) -> str:
    return coloured(text, "1")


def dim(text: str) -> str:
    return coloured(text, "2")


def green(text: str) -> str:
    return coloured(text, "32")


def red(text: str) -> str:
    return coloured(text, "31")


def yellow(text: str) -> str:
    return coloured(text, "33")


def say(text: str = "") -> None:
    """Prints at once, so that our lines and those of cargo come in order."""
    print(text, flush=True)


class Phases:
    """Announces each phase, and at the end says how long each took."""

    def __init__(self) -> None:
        self._taken: list[tuple[str, float]] = []

    @contextlib.contextmanager
    def phase(self, title: str) -> Iterator[None]:
        """Times what happens inside; a phase that fails is listed too."""
        say(bold(f"== {title}"))
        started = time.monotonic()
        try:
            yield
        finally:
            self._taken.append((title, time.monotonic() - started))

    def summary(self) -> None:
        """Prints the times of all phases."""
        total = sum(seconds for _, seconds in self._taken)
        say()
        for title, seconds in [*self._taken, ("Total", total)]:
            say(f"  {title:<28}{seconds:>8.1f} s")
