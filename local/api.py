"""Calls a running Causeway over HTTP, with the answer's status and JSON in one value."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from dataclasses import dataclass
from typing import Any

from console import Failure

TIMEOUT_SECONDS = 30


class Silence(Failure):
    """No answer at all."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: Any

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def data(self) -> Any:
        """The `data` of a success."""
        return self.body.get("data") if isinstance(self.body, dict) else None

    @property
    def code(self) -> str:
        """The stable code of an error."""
        return self.body.get("code", "") if isinstance(self.body, dict) else ""

    @property
    def problem(self) -> str:
        """An error in one line: status, code, detail and the fields at fault."""
        if not self.code:  # not ours: from the HTTP API in front of the function
            return f"{self.status} {self.body}"
        fields = "; ".join(f"{e.get('field')}: {e.get('detail')}" for e in self.body.get("errors", []))
        text = f"{self.status} {self.code} {self.body.get('detail', '')}".strip()
        return f"{text} ({fields})" if fields else text


@dataclass(frozen=True)
class Api:
    """The API at `url`, called with `key`."""

    url: str
    key: str

    @classmethod
    def of(cls, variables: dict[str, str]) -> Api:
        """The API of a stack's variables."""
        return cls(variables["API_URL"], variables["API_KEY"])

    def get(self, *path: str, **query: str) -> Answer:
        """GET of the path's parts, each escaped."""
        return self._call("GET", path, query, None)

    def put(self, *path: str, body: Any) -> Answer:
        """PUT of a JSON body."""
        return self._call("PUT", path, {}, body)

    def post(self, *path: str, body: Any = None) -> Answer:
        """POST of a JSON body, if there is one."""
        return self._call("POST", path, {}, body)

    def _call(self, method: str, path: tuple[str, ...], query: dict[str, str], body: Any) -> Answer:
        url = "/".join([self.url, *(urllib.parse.quote(part, safe="") for part in path)])
        if query:
            url += "?" + urllib.parse.urlencode(query)
        headers = {"X-API-Key": self.key}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        return send(method, url, headers, data)


def send(method: str, url: str, headers: dict[str, str], data: bytes | None) -> Answer:
    """One request with exactly these headers (urllib would add a content type; Frappe sends none)."""
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=TIMEOUT_SECONDS)
    try:
        connection.request(method, urllib.parse.urlunsplit(("", "", *parts[2:4], "")), body=data, headers=headers)
        answer = connection.getresponse()
        return Answer(answer.status, parsed(answer.read()))
    except (OSError, http.client.HTTPException) as error:
        raise Silence(f"{url} does not answer ({error}).") from error
    finally:
        connection.close()


class Digits(float):
    """A decimal that shows the digits it was sent with: 398.00 is not 398.0."""

    def __new__(cls, text: str) -> Digits:
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __repr__(self) -> str:
        return self.text


def parsed(text: bytes) -> Any:
    """JSON where it is JSON, else the text. Decimals keep their digits."""
    try:
        return json.loads(text, parse_float=Digits)
    except ValueError:
        return text.decode(errors="replace")
