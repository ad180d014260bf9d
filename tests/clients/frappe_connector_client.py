"""frappe-connector, unmodified, against version 1: reads, lists, changes, methods and failures as it shows them.

API_URL and API_KEY (<id>.<secret>) come from the environment. Prints what it did; the first wrong answer ends it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable

from frappe_connector import FrappeConnector, FrappeException, ServerError

# A DocType of its own for each run, so that lists hold what this run made.
DOCTYPE = f"Client Order {uuid.uuid4().hex[:8]}"


def connect(key: str) -> FrappeConnector:
    """A client with the key `<id>.<secret>`, which it sends as Basic."""
    key_id, secret = key.split(".", 1)
    return FrappeConnector(os.environ["API_URL"], api_key=key_id, api_secret=secret)


def failure(call: Callable[[], object]) -> FrappeException:
    """What `call` raises."""
    try:
        call()
    except FrappeException as error:
        return error
    raise AssertionError("this should have failed")


def same(ours: object, expected: object) -> None:
    """Ends the program where an answer is not what it should be."""
    assert ours == expected, f"{ours!r} is not {expected!r}"


def says_who_the_key_belongs_to(site: FrappeConnector) -> None:
    same(site.get_api("frappe.auth.get_logged_user"), "Administrator")
    same(site.post_api("ping"), "pong")


def creates_gets_changes_and_deletes_a_document(site: FrappeConnector) -> None:
    created = site.create_doc({"doctype": DOCTYPE, "name": "CRUD/1", "customer": "Atelier Nord", "qty": 2})
    same((created["name"], created["qty"], created["docstatus"]), ("CRUD/1", 2, 0))
    same(site.get_doc(DOCTYPE, "CRUD/1"), created)
    changed = site.update_doc({"doctype": DOCTYPE, "name": "CRUD/1", "qty": 3})
    same((changed["qty"], changed["customer"]), (3, "Atelier Nord"))
    site.delete_doc(DOCTYPE, "CRUD/1")
    error = failure(lambda: site.get_doc(DOCTYPE, "CRUD/1"))
    assert str(error).startswith("DoesNotExistError"), error


def lists_with_fields_filters_order_and_limits(site: FrappeConnector) -> None:
    for name, customer, qty in [("A", "Nord", 1), ("B", "Nord", 5), ("C", "Süd", 9)]:
        site.create_doc({"doctype": DOCTYPE, "name": name, "customer": customer, "qty": qty, "items": [{"n": qty}]})
    whole = site.get_list(DOCTYPE, filters={"customer": "Süd"})
    same([(row["name"], row["qty"], row["owner"]) for row in whole], [("C", 9, "Administrator")])
    same(site.get_doc(DOCTYPE, "C")["items"][0]["n"], 9)
    ordered = site.get_list(DOCTYPE, fields=["name"], order_by="name desc", offset=1, page_size=1)
    same(ordered, [{"name": "B"}])
    everything = site.get_list(DOCTYPE, fields="name", order_by="name asc", page_size=0)
    same([row["name"] for row in everything], ["A", "B", "C"])
    between = site.get_list(DOCTYPE, fields=["name"], filters={"qty": ["between", [2, 6]]})
    same(between, [{"name": "B"}])
    same(site.get_doc(DOCTYPE, filters={"customer": "Süd"})["name"], "C")


def counts_gets_and_sets_values(site: FrappeConnector) -> None:
    same(site.get_api("frappe.client.get_count", {"doctype": DOCTYPE}), 3)
    same(site.post_api("frappe.client.get_count", {"doctype": DOCTYPE, "filters": {"customer": "Nord"}}), 2)
    value = {"doctype": DOCTYPE, "fieldname": "qty", "filters": {"name": "B"}}
    same(site.get_api("frappe.client.get_value", value), {"qty": 5})
    new = {"doctype": DOCTYPE, "name": "B", "fieldname": {"qty": 6}}
    same(site.post_api("frappe.client.set_value", new)["qty"], 6)


def submits_and_cancels(site: FrappeConnector) -> None:
    site.create_doc({"doctype": DOCTYPE, "name": "S-1", "customer": "Nord"})
    same(site.submit_doc({"doctype": DOCTYPE, "name": "S-1"})["docstatus"], 1)
    error = failure(lambda: site.update_doc({"doctype": DOCTYPE, "name": "S-1", "customer": "Süd"}))
    assert isinstance(error, ServerError), error
    same(error.response.status_code, 417)
    same(site.post_api("frappe.client.cancel", {"doctype": DOCTYPE, "name": "S-1"})["docstatus"], 2)


def inserts_several(site: FrappeConnector) -> None:
    docs = [{"doctype": DOCTYPE, "name": f"M-{number}"} for number in (1, 2)]
    same(site.post_api("frappe.client.insert_many", {"docs": docs}), ["M-1", "M-2"])
    error = failure(lambda: site.post_api("frappe.client.insert_many", {"docs": [{"doctype": DOCTYPE, "name": "M-3"}, docs[0]]}))
    same(error.exc_type, "DuplicateEntryError")
    assert failure(lambda: site.get_doc(DOCTYPE, "M-3")), "one of the two was created"


def shows_failures(site: FrappeConnector) -> None:
    error = failure(lambda: site.post_api("frappe.nothing"))
    same(error.exc_type, "ValidationError")
    same(error.response.status_code, 417)
    error = failure(lambda: site.create_doc({"doctype": DOCTYPE, "name": "A"}))
    same((error.exc_type, error.response.status_code), ("DuplicateEntryError", 409))
    error = failure(lambda: site.rename_doc(DOCTYPE, "A", "Z"))
    assert "frappe.client.rename_doc" in error.server_traceback, error
    assert "Traceback" not in error.server_traceback, error
    error = failure(lambda: connect("nobody.nothing").get_list(DOCTYPE))
    same(error.exc_type, "AuthenticationError")


STEPS = [
    says_who_the_key_belongs_to,
    creates_gets_changes_and_deletes_a_document,
    lists_with_fields_filters_order_and_limits,
    counts_gets_and_sets_values,
    submits_and_cancels,
    inserts_several,
    shows_failures,
]


def main() -> None:
    with connect(os.environ["API_KEY"]) as site:
        for step in STEPS:
            step(site)
            print("frappe-connector", step.__name__.replace("_", " "))


if __name__ == "__main__":
    main()
