"""Where the documents of a stack live: which place was asked for, which is deployed, and as whom an ERPNext site knows us.

The site is asked for by the environment (ERPNEXT_URL, ERPNEXT_KEY, ERPNEXT_SECRET; the Makefile has shorter names).
Without a word documents stay where they are; only `none` or `built-in` takes them off a site.
"""

from __future__ import annotations

import functools
import json
import os
import urllib.parse
from dataclasses import dataclass, field

import api
import deploy
from aws import client
from console import Failure
from stack import Stack

BUILT_IN = ("none", "built-in")
# Of a site's own pages and interfaces: whoever copies the URL from a browser copies one of them.
PAGES = ("app", "desk", "login", "me", "api", "home")
WHO_AM_I = "/api/method/frappe.auth.get_logged_user"


@dataclass(frozen=True)
class Token:
    """An API key of the site's user. It shows itself to nobody."""

    key: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Asked:
    """What the caller said."""

    url: str | None
    """The site; empty for the built-in store, None to stay."""
    token: Token | None

    def site(self, before: str) -> str:
        """Where documents are to live that live on `before`."""
        return before if self.url is None else self.url


def asked(parameter: str | None = None) -> Asked:
    """Reads the environment; what cannot work is refused at once. `parameter` is the template's, which comes first."""
    return Asked(place(os.environ.get("ERPNEXT_URL", "")) if parameter is None else parameter, token())


def place(text: str) -> str | None:
    """The site at the URL `text`; empty for the built-in store, None where nothing is said."""
    url = text.strip()
    if not url or url.lower() in BUILT_IN:
        return "" if url else None
    if "://" not in url:
        raise Failure(f"The site's URL {url!r} has no scheme: https://{url}? (none: the built-in store)")
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise Failure("The site's URL must begin with https://, name a host and hold no credentials.")
    if parts.query or parts.fragment or any(letter.isspace() for letter in url):
        raise Failure("The site's URL must be without spaces, and end before any ? and #.")
    if parts.path.strip("/").split("/")[0] in PAGES:
        raise Failure(f"The site's URL has the path {parts.path} of a page of it: {parts.scheme}://{parts.netloc}?")
    return url.rstrip("/")


def token() -> Token | None:
    """The token of the environment, without the spaces and newlines that were pasted around it."""
    key, secret = (os.environ.get(name, "").strip() for name in ("ERPNEXT_KEY", "ERPNEXT_SECRET"))
    if not key and not secret:
        return None
    for name, text in (("ERPNEXT_KEY", key), ("ERPNEXT_SECRET", secret)):
        if not text:
            raise Failure(f"{name} is missing: a token has a key and a secret.")
        if not (text.isascii() and text.isprintable()) or " " in text or ":" in text:
            raise Failure(f"{name} is not one word of letters and digits: was it pasted whole, and nothing besides?")
    return Token(key, secret)


def deployed(stack: Stack) -> str:
    """The site that documents live on by now; empty for the built-in store, and before the first deployment."""
    parameters = (deploy.describe(stack) or {}).get("Parameters", [])
    return next((item.get("ParameterValue", "") for item in parameters if item["ParameterKey"] == "ErpnextUrl"), "")


def refuse_a_wrong_token(site: str, before: str, wanted: Asked) -> None:
    """Before anything changes. Documents do not move to a site that is silent; where they are, it may be."""
    refuse_foreign_token(site, before, wanted.token)
    if site and wanted.token:
        try:
            user(site, wanted.token)
        except api.Silence:
            if site != before:
                raise


def refuse_foreign_token(site: str, before: str, given: Token | None) -> None:
    """One site must not be sent the token of another."""
    if site and before and site != before and given is None:
        raise Failure(f"The token that is kept is for {before}: give KEY and SECRET of {site} too.")


@functools.cache
def user(site: str, given: Token) -> str:
    """As whom `site` knows the token."""
    answer = api.send("GET", site + WHO_AM_I, {"Authorization": f"token {given.key}:{given.secret}"}, None)
    name = answer.body.get("message") if isinstance(answer.body, dict) else None
    if answer.ok and isinstance(name, str) and name != "Guest":
        return name
    if answer.status in (401, 403) or name == "Guest":
        raise Failure(f"{site} does not accept the token (key {given.key}): is it of this site, and the newest?")
    raise Failure(f"{site} answers {answer.status} and names no user: is it an ERPNext site? make check-erpnext")


def kept(stack: Stack, secret_id: str) -> dict[str, str]:
    """What the stack knows the site by."""
    return json.loads(client(stack, "secretsmanager").get_secret_value(SecretId=secret_id)["SecretString"])


def told(stack: Stack, secret_id: str, site: str, before: str, wanted: Asked) -> str:
    """Where documents live, in one line."""
    if not site:
        left = f" again; those on {before} stay there" if before else ""
        return f"documents live in the built-in store{left}"
    return f"documents live on {site}, {known_as(stack, secret_id, site, wanted)}"


def known_as(stack: Stack, secret_id: str, site: str, wanted: Asked) -> str:
    """As whom; a site that is down is no reason to leave it, and a token that it does not take is one to stop."""
    given = wanted.token
    if given is None:
        present = kept(stack, secret_id)
        if "refresh_token" in present:
            return "by a grant of OAuth, which is not tried: each works once"
        if not present.get("key"):
            return "which nobody gave a token for yet: make deploy KEY=… SECRET=…"
        given = Token(present["key"], present.get("secret", ""))
    try:
        return f"as {user(site, given)}"
    except api.Silence as silence:
        return f"which is silent: {silence}"
