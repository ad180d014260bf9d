"""How make's words reach the programs that speak to an ERPNext site."""

from __future__ import annotations

import os
import subprocess
import unittest

from stack import REPO

PROBE = 'probe: ; @printf "%s|" "$$ERPNEXT_URL" "$$ERPNEXT_KEY" "$$ERPNEXT_SECRET" "$$ERPNEXT_OAUTH"'


def seen(*words: str, **environment: str) -> list[str]:
    """What a recipe finds in its environment: URL, key, secret, OAuth's file."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ERPNEXT_", "MAKE", "MFLAGS"))}
    command = ["make", "--no-print-directory", f"--eval={PROBE}", "probe", *words]
    done = subprocess.run(command, cwd=REPO, env={**clean, **environment}, capture_output=True, text=True, check=True)
    return done.stdout.split("|")[:-1]


class Words(unittest.TestCase):
    def test_the_short_names_count_on_the_command_line(self):
        self.assertEqual(seen("URL=https://erp.example.com", "KEY=k", "SECRET=s"), ["https://erp.example.com", "k", "s", ""])

    def test_the_environment_counts_by_its_long_names_alone(self):
        found = seen(ERPNEXT_URL="https://a", ERPNEXT_KEY="k", ERPNEXT_SECRET="s", URL="https://b", KEY="x", SECRET="y")
        self.assertEqual(found, ["https://a", "k", "s", ""])

    def test_the_command_line_wins_and_a_key_there_is_no_grant(self):
        found = seen("URL=https://b", "KEY=k$$", "SECRET=s", ERPNEXT_URL="https://a", ERPNEXT_KEY="x", ERPNEXT_OAUTH="file")
        self.assertEqual(found, ["https://b", "k$$", "s", ""])
        self.assertEqual(seen("URL=https://b", ERPNEXT_OAUTH="file"), ["https://b", "", "", "file"])


if __name__ == "__main__":
    unittest.main()
