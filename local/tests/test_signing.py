"""The signer agrees with what a real ERPNext site sent, and with the examples that providers publish."""

from __future__ import annotations

import unittest

import recordings
import signing

INSERT = "erpnext_sales_order_insert.raw"
UNSIGNED = "erpnext_unsigned.raw"
SIGNED = sorted(path.name for path in recordings.DIRECTORY.glob("erpnext_*.raw") if path.name != UNSIGNED)


def sign(scheme: dict, secret: str, body: bytes, now: int = 1, message_id: str = "msg_1") -> dict[str, str]:
    return signing.sign(scheme, secret, body, now=now, message_id=message_id)


class Frappe(unittest.TestCase):
    def test_every_recorded_signature_is_ours_too(self):
        self.assertIn(INSERT, SIGNED)
        for name in SIGNED:
            with self.subTest(name):
                headers, body = recordings.read(name)
                ours = sign({"type": "frappe"}, recordings.SECRET, body)
                self.assertEqual(headers["X-Frappe-Webhook-Signature"], ours["X-Frappe-Webhook-Signature"])

    def test_one_changed_byte_or_another_secret_changes_it(self):
        headers, body = recordings.read(INSERT)
        for secret, changed in ((recordings.SECRET, body + b" "), (recordings.SECRET + "x", body)):
            ours = sign({"type": "frappe"}, secret, changed)
            self.assertNotEqual(headers["X-Frappe-Webhook-Signature"], ours["X-Frappe-Webhook-Signature"])

    def test_a_webhook_without_a_secret_has_no_signature(self):
        headers, _ = recordings.read(UNSIGNED)
        self.assertNotIn("X-Frappe-Webhook-Signature", headers)


class PublishedExamples(unittest.TestCase):
    def test_github(self):
        """docs.github.com, "Validating webhook deliveries"."""
        self.assertEqual(
            sign({"type": "github"}, "It's a Secret to Everybody", b"Hello, World!"),
            {"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
        )

    def test_standard_webhooks(self):
        """The test of the specification's own libraries (standard-webhooks/standard-webhooks)."""
        headers = sign(
            {"type": "standard"},
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            b'{"test": 2432232314}',
            now=1614265330,
            message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        )
        self.assertEqual(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")


class SignedTime(unittest.TestCase):
    def test_stripe_signs_the_time_and_uses_the_whole_secret(self):
        scheme = {"type": "stripe"}
        headers = sign(scheme, "whsec_x", b"{}", now=7)
        self.assertRegex(headers["Stripe-Signature"], r"^t=7,v1=[0-9a-f]{64}$")
        self.assertNotEqual(headers["Stripe-Signature"][4:], sign(scheme, "whsec_x", b"{}", now=8)["Stripe-Signature"][4:])
        self.assertNotEqual(headers, sign(scheme, "x", b"{}", now=7))

    def test_generic_signs_the_time_where_the_settings_name_a_header(self):
        plain = {"type": "generic", "header": "X-Sign", "algorithm": "sha512", "encoding": "hex", "prefix": "v="}
        timed = {**plain, "timestamp_header": "X-Time"}
        self.assertEqual(sign(plain, "s", b"{}", now=1), sign(plain, "s", b"{}", now=2))
        self.assertRegex(sign(plain, "s", b"{}")["X-Sign"], r"^v=[0-9a-f]{128}$")
        self.assertEqual(sign(timed, "s", b"{}", now=5)["X-Time"], "5")
        self.assertNotEqual(sign(timed, "s", b"{}", now=1)["X-Sign"], sign(timed, "s", b"{}", now=2)["X-Sign"])


if __name__ == "__main__":
    unittest.main()
