"""Shows a bulk transaction: 1,000 Sales Orders become Sales Invoices, some fail, and a retry mends them.

It makes orders of its own, so that it may be run again and again. A few of the names it asks for are not there at
first: those records fail, each with its reason, and the others go on.
"""

from __future__ import annotations

import shutil
import sys
import time
import uuid

from api import Answer, Api
from console import Failure, bold, dim, green, red, say

ORDERS = 1_000
LATE = 7
"""Orders that do not exist when they are to be invoiced."""
BATCH = 50
SETTLE_SECONDS = 300
WIDEST_BAR = 40
BESIDES = 52
"""Columns that a line takes besides its bar."""
OVER = {"completed", "completed_with_failures", "cancelled", "failed"}


def run(variables: dict[str, str]) -> None:
    """Makes orders, has them invoiced, and has tried again what failed."""
    api = Api.of(variables)
    tour = uuid.uuid4().hex[:6]
    names = [f"TOUR-{tour}-{n:04}" for n in range(ORDERS)]
    late, there = names[-LATE:], names[:-LATE]
    say(f"{len(there)} Sales Orders are made, {BATCH} a request …")
    make_orders(api, there)
    say(bold(f"POST /v2/bulk-transactions: {ORDERS} Sales Orders become Sales Invoices"))
    asked = expect(api.post("v2", "bulk-transactions", body={
        "from_doctype": "Sales Order", "to_doctype": "Sales Invoice", "records": names,
    }), 202)
    job = follow(api, asked["id"])
    show_failures(api, job)
    say(f"{LATE} orders arrive late, and what failed is tried again:")
    make_orders(api, late)
    expect(api.post("v2", "bulk-transactions", job["id"], "retry"), 202)
    job = follow(api, job["id"])
    counts = job["counts"]
    if (job["status"], counts["succeeded"]) != ("completed", ORDERS):
        raise Failure(f"The bulk transaction ended as {job['status']}, with {counts}.")
    show_invoice(api, job)


def make_orders(api: Api, names: list[str]) -> None:
    """Creates submitted orders, many in one request."""
    for begin in range(0, len(names), BATCH):
        documents = [order(name) for name in names[begin:begin + BATCH]]
        answer = api.post("api", "method", "frappe.client.insert_many", body={"docs": documents})
        if not answer.ok:
            raise Failure(f"The orders were refused: {answer.problem}")


def order(name: str) -> dict:
    """A submitted order of two rows."""
    rows = [row(name, 1, "HUB-ITEM-0", 2, 10), row(name, 2, "HUB-ITEM-1", 1, 5)]
    return {
        "doctype": "Sales Order", "name": name, "docstatus": 1, "customer": "Hub Customer 0",
        "company": "Hub Test Co", "currency": "USD", "conversion_rate": 1, "transaction_date": "2026-11-23",
        "total_qty": 3, "total": 25, "net_total": 25, "grand_total": 25, "items": rows,
    }


def row(name: str, idx: int, item: str, qty: int, rate: int) -> dict:
    return {"name": f"{name}-{idx}", "idx": idx, "item_code": item, "item_name": item, "uom": "Nos", "qty": qty,
            "rate": rate, "amount": qty * rate, "billed_amt": 0, "delivered_qty": 0}


def follow(api: Api, job_id: str) -> dict:
    """Shows how far the job is until it is over."""
    begun = time.monotonic()
    while True:
        job = expect(api.get("v2", "bulk-transactions", job_id), 200)
        show(job)
        if job["status"] in OVER and job["counts"]["pending"] == 0:
            finish_line(job)
            return job
        if time.monotonic() - begun > SETTLE_SECONDS:
            raise Failure(f"The bulk transaction is still {job['status']} after {SETTLE_SECONDS} s: {job['counts']}.")
        time.sleep(0.2)


def show(job: dict) -> None:
    """Writes the line over itself, where someone looks."""
    if sys.stdout.isatty():
        print(f"\r{line_of(job)}\x1b[K", end="", flush=True)


def line_of(job: dict) -> str:
    """A bar, and what came of the records so far."""
    counts = job["counts"]
    done = counts["total"] - counts["pending"]
    # A line that wraps could not be written over.
    bar = min(WIDEST_BAR, shutil.get_terminal_size((WIDEST_BAR + BESIDES, 24)).columns - BESIDES)
    filled = max(bar, 0) * done // counts["total"]
    rate = job.get("records_per_second")
    shown = f"[{'█' * filled}{'·' * (bar - filled)}] " if bar > 0 else ""
    return (f"  {shown}{done:>4} of {counts['total']}"
            f"  {green(str(counts['succeeded']))} made  {red(str(counts['failed']))} failed"
            f"  {f'{rate:.0f}/s' if rate else '':>5}")


def finish_line(job: dict) -> None:
    """The last state stays."""
    line = f"{line_of(job)}  {job['status']}"
    print(f"\r{line}\x1b[K" if sys.stdout.isatty() else line, flush=True)


def show_failures(api: Api, job: dict) -> None:
    """The first records that failed, with the reason of each."""
    page = expect(api.get("v2", "bulk-transactions", job["id"], "records", status="failed", limit="3"), 200)
    for record in page:
        say(dim(f"  {record['name']}: {record['error']['code']}, {record['error']['detail']}"))


def show_invoice(api: Api, job: dict) -> None:
    """One of the invoices."""
    records = expect(api.get("v2", "bulk-transactions", job["id"], "records", status="succeeded", limit="1"), 200)
    target = records[0]["target"]
    invoice = expect(api.get("v2", "documents", target["doctype"], target["name"]), 200)
    say(f"{records[0]['name']} → {bold(invoice['name'])}: {len(invoice['items'])} rows, {invoice['grand_total']} "
        f"{invoice.get('currency', '')}, a draft")


def expect(answer: Answer, status: int) -> dict | list:
    """The data of an answer that must have this status."""
    if answer.status != status:
        raise Failure(f"The API answered {answer.problem}")
    return answer.data
