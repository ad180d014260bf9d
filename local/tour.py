"""Drives the main job once, with real signed webhooks, and shows what became of each.

ERPNext's deliveries are recordings of a real site, sent byte for byte; the other providers' are samples, signed
here. A second tour sends the same recordings again: the hub knows them, and does nothing twice.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterator

import recordings
import signing
from api import Answer, Api, send
from console import Failure, bold, dim, green, red, say, yellow
from stack import REPO

SAMPLES = REPO / "local" / "samples"

# What a real site sent, in its order, and the event that its webhook was set up for.
RECORDED = (
    ("erpnext_customer_insert.raw", "customer.after_insert"),
    ("erpnext_sales_order_insert.raw", "sales_order.after_insert"),
    ("erpnext_sales_order_submit.raw", "sales_order.on_update"),
    ("erpnext_sales_order_submit_on_change.raw", "sales_order.on_change"),
    ("erpnext_sales_order_cancel.raw", "sales_order.on_change"),
)

# The statuses after which nothing more happens by itself.
SETTLED = {"done", "superseded", "ignored", "rejected", "split", "dead"}
SETTLE_SECONDS = 20


@dataclass(frozen=True)
class Delivery:
    """One webhook request."""

    title: str
    connector: str
    event: str | None
    headers: dict[str, str]
    body: bytes
    genuine: bool = True

    def path(self) -> str:
        """Where it is posted to."""
        return f"/webhooks/{self.connector}" + (f"/{self.event}" if self.event else "")


def run(variables: dict[str, str], connectors: Path) -> None:
    """Sends every delivery, one after the other, then shows the documents that came of them.

    It fails where a genuine delivery is refused or does not settle, or a forged one is accepted.
    """
    api = Api.of(variables)
    say(dim(f"  {'webhook':<38}{'answer':<31}{'event':<40}what became of it"))
    documents, seen, surprises = {}, set(), 0
    for delivery in deliveries(variables, connectors):
        answer = post(api, delivery)
        entry = settled_entry(api, answer)
        repeat = answer.ok and answer.data["id"] in seen
        seen.add(answer.data["id"] if answer.ok else None)
        say(line(delivery, answer, entry) + (dim("  (the same event: nothing is done twice)") if repeat else ""))
        surprises += not as_expected(delivery, answer, entry)
        if entry and (document := entry.get("document")):
            documents[document["doctype"], document["name"]] = None
    for doctype, name in documents:
        show_document(api, doctype, name)
    if surprises:
        raise Failure(f"{surprises} webhooks did not end as they should; see what the functions logged: make logs.")


def as_expected(delivery: Delivery, answer: Answer, entry: dict | None) -> bool:
    """Whether a genuine delivery was accepted and settled, and a forged one refused."""
    if not delivery.genuine:
        return answer.status == 401
    return answer.ok and entry is not None and entry["status"] in SETTLED - {"dead"}


def deliveries(variables: dict[str, str], connectors: Path) -> Iterator[Delivery]:
    """The tour: recordings, one sample for each other scheme, a repeat and a forgery."""
    recorded = [recording(name, event) for name, event in RECORDED]
    yield from recorded
    yield from samples(variables, connectors)
    repeated = recorded[1]
    yield replace(repeated, title="the second one again")
    yield replace(repeated, title="the same, its amount forged", body=repeated.body.replace(b"9.99", b"9.98"),
                  genuine=False)


def recording(name: str, event: str) -> Delivery:
    """A recorded ERPNext delivery, with the headers that ERPNext chose and the body as it was signed."""
    headers, body = recordings.read(name)
    sent = {k: v for k, v in headers.items() if k.startswith("X-") or k == "Content-Type"}
    return Delivery(f"erpnext {event}", "erpnext", event, sent, body)


def samples(variables: dict[str, str], connectors: Path) -> Iterator[Delivery]:
    """One signed delivery for each sample whose connector is set up."""
    run_id = uuid.uuid4().hex[:12]
    for path in sorted(SAMPLES.glob("*.json")):
        settings = connectors / path.name
        if settings.is_file():
            scheme = json.loads(settings.read_text(encoding="utf-8"))["scheme"]
            yield sample(path, scheme, variables[f"WEBHOOK_SECRET_{path.stem.upper()}"], run_id)


def sample(path: Path, scheme: signing.Scheme, secret: str, run_id: str) -> Delivery:
    """The sample as a signed delivery; `{run}` in it becomes the run's id, so that each tour is news."""
    content = json.loads(path.read_text(encoding="utf-8").replace("{run}", run_id))
    body = json.dumps(content["body"]).encode()
    signature = signing.sign(scheme, secret, body, now=int(time.time()), message_id=f"msg_{run_id}")
    headers = {"Content-Type": "application/json", **content.get("headers", {}), **signature}
    return Delivery(f"{path.stem} {content['title']}", path.stem, content.get("event"), headers, body)


def post(api: Api, delivery: Delivery) -> Answer:
    """Sends it as its provider would: without an API key."""
    return send("POST", api.url + delivery.path(), delivery.headers, delivery.body)


def settled_entry(api: Api, answer: Answer) -> dict | None:
    """The Integration Log's entry of an accepted event, once it has settled or patience ends."""
    if not answer.ok or not answer.data:
        return None
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        entry = api.get("v2", "integration-logs", answer.data["id"]).data
        if (entry and entry["status"] in SETTLED) or time.monotonic() > deadline:
            return entry
        time.sleep(0.1)


def line(delivery: Delivery, answer: Answer, entry: dict | None) -> str:
    """One delivery's line of the table."""
    verdict = f"{answer.status} {answer.code or 'accepted'}" if answer.ok or answer.code else f"{answer.status}"
    paint = green if answer.ok else yellow
    event = answer.data["id"] if answer.ok and answer.data else "-"
    return f"  {delivery.title:<38}{paint(f'{verdict:<31}')}{event:<40}{outcome(answer, entry)}"


def outcome(answer: Answer, entry: dict | None) -> str:
    """What became of it, in a few words."""
    if not answer.ok:
        return "refused, nothing was stored"
    if entry is None:
        return red(f"no log entry within {SETTLE_SECONDS} s")
    status = entry["status"]
    text = green(status) if status == "done" else yellow(status)
    if document := entry.get("document"):
        text += f"  {document['doctype']} {document['name']}"
    if error := entry.get("error"):
        text += f"  {error.get('code')}: {error.get('detail')}"
    return text


def show_document(api: Api, doctype: str, name: str) -> None:
    """A document that came of the tour, field by field."""
    answer = api.get("v2", "documents", doctype, name)
    say()
    say(bold(f"  {doctype} {name}"))
    if not answer.ok:
        say(red(f"    {answer.problem}"))
        return
    for field, value in answer.data.items():
        if field not in ("doctype", "name"):
            text = repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
            say(f"    {field:<18}{text}")


def print_next_steps(variables: dict[str, str], env_file: Path) -> None:
    """URLs, the key, and commands that work when pasted."""
    say(f"""
{bold('Running')}
  API          {variables['API_URL']}
  webhooks     {variables['API_URL']}/webhooks/{{connector}}[/{{event}}]
  X-API-Key    {variables['API_KEY']}

{bold('Try')}
  . {env_file}
  body='{{"doctype": "Sales Order", "name": "SAL-ORD-2026-00001", "docstatus": 0, "modified": "2026-11-23 09:00:00.000000", \
"grand_total": 12.5, "delivery_date": "2026-12-01", "customer": "Hub Customer 0"}}'
  curl -sS "$API_URL/webhooks/erpnext/sales_order.after_insert" -d "$body" -H "X-Frappe-Webhook-Signature: \
$(printf %s "$body" | openssl dgst -sha256 -hmac "$WEBHOOK_SECRET_ERPNEXT" -binary | base64)"
  curl -sS "$API_URL/v2/documents/Sales%20Order/SAL-ORD-2026-00001" -H "X-API-Key: $API_KEY"
  curl -sS "$API_URL/v2/integration-logs?connector=erpnext" -H "X-API-Key: $API_KEY"

  make status     make tour     make tour-bulk     make logs     make replay-dead     make down""")
