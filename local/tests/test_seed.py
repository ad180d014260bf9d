"""What a stack is seeded with where documents live on an ERPNext site."""

from __future__ import annotations

import json
import os
import unittest
from types import SimpleNamespace
from unittest import mock

import seed
from stack import REPO


class Recorder:
    """Takes settings, and remembers them by connector."""

    def __init__(self) -> None:
        self.settings: dict[str, dict] = {}

    def put(self, *path: str, body: dict) -> SimpleNamespace:
        self.settings[path[-1]] = body
        return SimpleNamespace(ok=True)


class Connectors(unittest.TestCase):
    def seeded(self, without_rules: set[str]) -> dict[str, dict]:
        api = Recorder()
        with mock.patch.object(seed, "say"):
            seed.put_connectors(api, REPO / "local" / "connectors", without_rules)
        return api.settings

    def test_a_site_is_not_mirrored_into_itself(self):
        settings = self.seeded({"erpnext"})
        self.assertEqual(settings["erpnext"]["rules"], [])
        self.assertNotEqual(settings["stripe"]["rules"], [])

    def test_the_built_in_store_mirrors_it(self):
        self.assertNotEqual(self.seeded(set())["erpnext"]["rules"], [])


class Token(unittest.TestCase):
    def put(self, **environment: str) -> list[dict]:
        secrets = mock.Mock()
        with mock.patch.dict(os.environ, environment), mock.patch.object(seed, "say") as said, \
                mock.patch.object(seed, "client", return_value=secrets):
            seed.put_token(None, "arn", "https://erp.example.com")
        self.assertNotIn("s3cret", str(said.call_args))
        return [call.kwargs for call in secrets.put_secret_value.call_args_list]

    def test_the_token_comes_from_the_environment(self):
        (put,) = self.put(ERPNEXT_KEY="k", ERPNEXT_SECRET="s3cret")
        self.assertEqual(json.loads(put["SecretString"]), {"key": "k", "secret": "s3cret"})

    def test_without_one_what_is_there_stays(self):
        self.assertEqual(self.put(ERPNEXT_KEY="", ERPNEXT_SECRET=""), [])


if __name__ == "__main__":
    unittest.main()
