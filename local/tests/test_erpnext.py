"""Where documents live is chosen once, kept without a word, and left only with one."""

from __future__ import annotations

import argparse
import http.server
import json
import os
import threading
import unittest
from pathlib import Path
from unittest import mock

import causeway
import deploy
import environment
import erpnext
import seed
from console import Failure

SITE = "https://erp.example.com"


class Urls(unittest.TestCase):
    def test_nothing_said_is_to_stay_and_leaving_takes_a_word(self):
        self.assertIsNone(erpnext.place(" "))
        self.assertEqual([erpnext.place(word) for word in ("none", "built-in", "None")], ["", "", ""])

    def test_a_url_is_taken_without_what_was_pasted_around_it(self):
        self.assertEqual(erpnext.place(f" {SITE}/\n"), SITE)
        self.assertEqual(erpnext.place("http://127.0.0.1:8000"), "http://127.0.0.1:8000")

    def test_what_is_no_sites_url_says_what_may_be_meant(self):
        for url, said in (("erp.example.com", "https://erp.example.com?"), (f"{SITE}/app/home", f"{SITE}?"),
                          (f"{SITE}?x=1", "before any"), ("https://me:pw@erp.example.com", "no credentials"),
                          ("ftp://erp.example.com", "begin with https")):
            with self.subTest(url), self.assertRaisesRegex(Failure, said.replace("?", r"\?")):
                erpnext.place(url)


class Tokens(unittest.TestCase):
    def given(self, key: str, secret: str) -> erpnext.Token | None:
        with mock.patch.dict(os.environ, ERPNEXT_KEY=key, ERPNEXT_SECRET=secret):
            return erpnext.token()

    def test_what_surrounds_a_pasted_token_is_no_part_of_it(self):
        self.assertEqual(self.given(" k\n", "s3cret\t"), erpnext.Token("k", "s3cret"))
        self.assertIsNone(self.given("", ""))

    def test_what_is_missing_or_broken_is_named(self):
        for key, secret, name in (("k", "", "ERPNEXT_SECRET"), ("", "s", "ERPNEXT_KEY"), ("k", "s 3", "ERPNEXT_SECRET"),
                                  ("k:s", "s", "ERPNEXT_KEY")):
            with self.subTest(key=key, secret=secret), self.assertRaisesRegex(Failure, name):
                self.given(key, secret)

    def test_it_shows_no_secret(self):
        self.assertNotIn("s3cret", repr(erpnext.Token("k", "s3cret")))


class Frappe(http.server.BaseHTTPRequestHandler):
    """Knows one token."""

    def do_GET(self) -> None:
        known = self.headers["Authorization"] == "token k:s3cret"
        body = json.dumps({"message": "hub@example.test"} if known else {"exc_type": "AuthenticationError"}).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Deployments(unittest.TestCase):
    def setUp(self) -> None:
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Frappe)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.site = f"http://127.0.0.1:{self.server.server_port}"
        erpnext.user.cache_clear()

    def deploy(self, before: str, kept: dict | None = None, **asked: str) -> tuple[str, str, bool]:
        """The site deployed, what was said, and whether connectors were seeded."""
        given = {"ERPNEXT_URL": "", "ERPNEXT_KEY": "", "ERPNEXT_SECRET": "", **asked}
        parameters = [{"ParameterKey": "ErpnextUrl", "ParameterValue": before}]
        options = argparse.Namespace(param=[], bin_dir=Path(), env_file=Path("env"), connectors=Path(), root=Path())
        with mock.patch.dict(os.environ, given), mock.patch.object(causeway, "say") as said, \
                mock.patch.object(causeway, "running"), mock.patch.object(deploy, "deploy") as deployed, \
                mock.patch.object(deploy, "describe", return_value={"Parameters": parameters}), \
                mock.patch.object(environment, "write", return_value={}), mock.patch.object(environment, "read"), \
                mock.patch.object(erpnext, "kept", return_value=kept or {}), mock.patch.object(seed, "run") as seeded:
            causeway.redeploy(options)
        lines = "\n".join(call.args[0] for call in said.call_args_list)
        self.assertNotIn("s3cret", lines)
        return deployed.call_args.args[2]["ErpnextUrl"], lines, seeded.called

    def test_a_deployment_without_a_word_stays_on_the_site(self):
        site, lines, seeded = self.deploy(self.site, kept={"key": "k", "secret": "s3cret"})
        self.assertEqual((site, seeded), (self.site, False))
        self.assertIn(f"documents live on {self.site}, as hub@example.test", lines)

    def test_it_takes_a_word_to_leave_and_rules_follow(self):
        site, lines, seeded = self.deploy(self.site, ERPNEXT_URL="none")
        self.assertEqual((site, seeded), ("", True))
        self.assertIn(f"documents live in the built-in store again; those on {self.site} stay there", lines)

    def test_moving_to_a_site_says_as_whom_and_rules_follow(self):
        site, lines, seeded = self.deploy("", ERPNEXT_URL=self.site, ERPNEXT_KEY="k", ERPNEXT_SECRET="s3cret")
        self.assertEqual((site, seeded), (self.site, True))
        self.assertIn("as hub@example.test", lines)

    def test_a_token_that_the_site_does_not_take_stops_before_anything_changes(self):
        with self.assertRaisesRegex(Failure, "does not accept the token"):
            self.deploy("", ERPNEXT_URL=self.site, ERPNEXT_KEY="k", ERPNEXT_SECRET="other")
        with self.assertRaisesRegex(Failure, "does not accept the token"):
            self.deploy(self.site, kept={"key": "k", "secret": "other"})

    def test_one_site_is_not_sent_the_token_of_another(self):
        with self.assertRaisesRegex(Failure, "is for https://erp.example.com"):
            self.deploy(SITE, ERPNEXT_URL=self.site)

    def test_a_site_that_is_down_is_no_reason_to_leave_it(self):
        site, lines, _ = self.deploy("http://127.0.0.1:9", kept={"key": "k", "secret": "s"})
        self.assertEqual(site, "http://127.0.0.1:9")
        self.assertIn("is silent", lines)

    def test_documents_do_not_move_to_a_site_that_is_silent(self):
        with self.assertRaisesRegex(Failure, "does not answer"):
            self.deploy("", ERPNEXT_URL="http://127.0.0.1:9", ERPNEXT_KEY="k", ERPNEXT_SECRET="s")
        token = {"ERPNEXT_KEY": "k", "ERPNEXT_SECRET": "s"}
        self.assertEqual(self.deploy("http://127.0.0.1:9", **token)[0], "http://127.0.0.1:9")

    def test_a_site_without_a_token_says_what_is_missing(self):
        self.assertIn("KEY=… SECRET=…", self.deploy("", ERPNEXT_URL=self.site)[1])

    def test_a_token_without_a_site_is_not_ignored_in_silence(self):
        self.assertIn("are not used", self.deploy("", ERPNEXT_KEY="k", ERPNEXT_SECRET="s")[1])


if __name__ == "__main__":
    unittest.main()
