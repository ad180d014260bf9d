"""Replays dead events: those whose attempts are used up, or that could not succeed as things were."""

from __future__ import annotations

from typing import Iterator

from api import Api
from console import Failure, green, red, say


def run(api: Api, connector: str | None) -> None:
    """Replays every dead event (of `connector`), one request each, and says what became of the request."""
    replayed = refused = 0
    for event in list(dead_events(api, connector)):
        answer = api.post("v2", "parked", event["id"], "replay")
        replayed, refused = (replayed + 1, refused) if answer.ok else (replayed, refused + 1)
        say(f"  {event['id']}  {green('queued') if answer.ok else red(answer.problem)}")
    say(f"{replayed} replayed, {refused} refused.")


def dead_events(api: Api, connector: str | None) -> Iterator[dict]:
    """Every dead event, page by page."""
    query = {"state": "dead", **({"connector": connector} if connector else {})}
    while True:
        answer = api.get("v2", "parked", **query)
        if not answer.ok:
            raise Failure(f"The dead events cannot be listed: {answer.problem}")
        yield from answer.data
        cursor = answer.body["page"]["next"]
        if cursor is None:
            return
        query["cursor"] = cursor
