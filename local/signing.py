"""Signs webhooks as each provider does, with Python's own hmac: a second opinion on what the Rust side verifies.

A scheme is what a connector's settings hold under `scheme`, e.g. `{"type": "github"}`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Callable

Scheme = dict[str, str]


def sign(scheme: Scheme, secret: str, body: bytes, *, now: int, message_id: str) -> dict[str, str]:
    """The headers that make `body` a genuine delivery.

    `now` is the time in seconds since 1970 and `message_id` the delivery's id; schemes that sign neither ignore them.
    """
    return SIGNERS[scheme["type"]](scheme, secret, body, now, message_id)


def frappe(_scheme: Scheme, secret: str, body: bytes, _now: int, _id: str) -> dict[str, str]:
    """Frappe and ERPNext: base64 over the body (frappe/integrations/doctype/webhook/webhook.py)."""
    return {"X-Frappe-Webhook-Signature": as_base64(hmac_sha256(secret.encode(), body))}


def github(_scheme: Scheme, secret: str, body: bytes, _now: int, _id: str) -> dict[str, str]:
    """GitHub: hex over the body, prefixed."""
    return {"X-Hub-Signature-256": "sha256=" + hmac_sha256(secret.encode(), body).hex()}


def shopify(_scheme: Scheme, secret: str, body: bytes, _now: int, _id: str) -> dict[str, str]:
    """Shopify: base64 over the body."""
    return {"X-Shopify-Hmac-Sha256": as_base64(hmac_sha256(secret.encode(), body))}


def stripe(_scheme: Scheme, secret: str, body: bytes, now: int, _id: str) -> dict[str, str]:
    """Stripe: hex over `{time}.{body}`; the key is the whole secret, its `whsec_` included."""
    signature = hmac_sha256(secret.encode(), f"{now}.".encode() + body).hex()
    return {"Stripe-Signature": f"t={now},v1={signature}"}


def standard(_scheme: Scheme, secret: str, body: bytes, now: int, message_id: str) -> dict[str, str]:
    """Standard Webhooks: base64 over `{id}.{time}.{body}`; the key is what `whsec_` precedes, decoded."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = as_base64(hmac_sha256(key, f"{message_id}.{now}.".encode() + body))
    return {"webhook-id": message_id, "webhook-timestamp": str(now), "webhook-signature": f"v1,{signature}"}


def generic(scheme: Scheme, secret: str, body: bytes, now: int, _id: str) -> dict[str, str]:
    """Whatever header, hash, encoding and prefix the settings name, with or without a signed time."""
    headers = {}
    signed = body
    if "timestamp_header" in scheme:
        headers[scheme["timestamp_header"]] = str(now)
        signed = f"{now}.".encode() + body
    digest = hmac.new(secret.encode(), signed, getattr(hashlib, scheme["algorithm"])).digest()
    encoded = digest.hex() if scheme["encoding"] == "hex" else as_base64(digest)
    headers[scheme["header"]] = scheme.get("prefix", "") + encoded
    return headers


def hmac_sha256(key: bytes, signed: bytes) -> bytes:
    return hmac.new(key, signed, hashlib.sha256).digest()


def as_base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


Signer = Callable[[Scheme, str, bytes, int, str], "dict[str, str]"]
SIGNERS: dict[str, Signer] = {
    "frappe": frappe,
    "generic": generic,
    "github": github,
    "shopify": shopify,
    "standard": standard,
    "stripe": stripe,
}
