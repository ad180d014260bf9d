"""Dead events are found page by page, and each is replayed."""

from __future__ import annotations

import unittest

import replay
from api import Answer


class Pages:
    """An API with two pages of dead events."""

    def __init__(self) -> None:
        self.replayed: list[str] = []

    def get(self, *path: str, **query: str) -> Answer:
        assert path == ("v2", "parked") and query["state"] == "dead"
        if "cursor" not in query:
            return Answer(200, {"data": [{"id": "evt_1"}, {"id": "evt_2"}], "page": {"next": "more"}})
        return Answer(200, {"data": [{"id": "evt_3"}], "page": {"next": None}})

    def post(self, *path: str) -> Answer:
        self.replayed.append(path[2])
        return Answer(202, {"data": {"id": path[2]}})


class Replay(unittest.TestCase):
    def test_every_dead_event_of_every_page_is_replayed(self):
        pages = Pages()
        replay.run(pages, None)
        self.assertEqual(pages.replayed, ["evt_1", "evt_2", "evt_3"])


if __name__ == "__main__":
    unittest.main()
