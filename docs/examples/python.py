"""Causeway's API with requests. API_URL and API_KEY come from the environment."""

import json
import os
import time
import uuid
from decimal import Decimal

import requests

BASE = os.environ["API_URL"]
ORDERS = f"{BASE}/v2/documents/Sales%20Order"
MAX_TRIES = 4


class Problem(Exception):
    """What the API refused: `code` is stable, `detail` is for people."""

    def __init__(self, answer):
        body = answer.json()
        super().__init__(f"{answer.status_code} {body['code']}: {body['detail']}")
        self.code = body["code"]


session = requests.Session()
session.headers["X-API-Key"] = os.environ["API_KEY"]


def call(method, url, **more):
    """Sends a request, again where the API asks for it, and returns the answer; raises a Problem."""
    for attempt in range(1, MAX_TRIES + 1):
        answer = session.request(method, url, timeout=30, **more)
        if answer.status_code not in (429, 503) or attempt == MAX_TRIES:
            break
        time.sleep(float(answer.headers.get("Retry-After", 2**attempt)))
    if not answer.ok:
        raise Problem(answer)
    return answer


def data(answer):
    """The answer's data; amounts are decimals, to the digit."""
    return answer.json(parse_float=Decimal)["data"]


# Create a document. The key, one for each thing to be created, makes the request safe to repeat.
customer = f"Atelier Nord {uuid.uuid4()}"
order = {"naming_series": "EX-.YYYY.-", "customer": customer, "grand_total": 1250.00}
key = {"Idempotency-Key": str(uuid.uuid4())}
name = data(call("POST", ORDERS, json=order, headers=key))["name"]
print(f"created {name}")

# Read it.
found = data(call("GET", f"{ORDERS}/{name}"))
print(f"read {name} of {found['customer']}")

# Page through a list: page.next is the cursor of the next page, None at the end.
count = pages = 0
params = {"limit": 50}
while True:
    page = call("GET", ORDERS, params=params).json()
    count, pages = count + len(page["data"]), pages + 1
    if page["page"]["next"] is None:
        break
    params["cursor"] = page["page"]["next"]
print(f"paged through {count} in {pages}")

# Handle an error by its code.
try:
    call("GET", f"{ORDERS}/NO-SUCH-ORDER")
except Problem as problem:
    if problem.code != "document_not_found":
        raise
    print("not found, as expected")

# Create it again, as after a lost answer: it is still one document.
assert data(call("POST", ORDERS, json=order, headers=key))["name"] == name
print("created once")

# List with a filter.
filters = json.dumps([["customer", "=", customer]])
print(f"found {len(data(call('GET', ORDERS, params={'filters': filters})))} with the filter")

# Update it, if nobody else did since it was read.
read_as = {"If-Match": call("GET", f"{ORDERS}/{name}").headers["ETag"]}
updated = data(call("PATCH", f"{ORDERS}/{name}", json={"grand_total": 1300.00}, headers=read_as))
print(f"updated to revision {updated['revision']}")
try:
    call("PATCH", f"{ORDERS}/{name}", json={"grand_total": 1400.00}, headers=read_as)
except Problem as problem:
    if problem.code != "precondition_failed":
        raise
    print("somebody was quicker: read it again, and decide")
