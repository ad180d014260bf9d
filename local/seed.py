"""Gives a fresh stack its secrets and connectors. Running it again changes nothing.

Where documents live on an ERPNext site, the token comes from the environment (ERPNEXT_KEY, ERPNEXT_SECRET), and the
connector of that site has no rules: mirrored into itself, each of its webhooks would bring about the next.
"""

from __future__ import annotations

import json
from pathlib import Path

import erpnext
from api import Api
from aws import client
from console import Failure, say
from environment import WEBHOOK_SECRETS
from stack import Stack


def run(stack: Stack, variables: dict[str, str], connectors: Path) -> None:
    """Puts the secrets first, since a connector without its secret refuses every delivery."""
    put_secrets(stack, variables["WEBHOOK_SECRETS_ID"])
    site = site_of(variables)
    if site:
        put_token(stack, variables["ERPNEXT_CREDENTIALS_ID"], site)
    put_connectors(Api.of(variables), connectors, without_rules={"erpnext"} if site else set())


def site_of(variables: dict[str, str]) -> str:
    """The ERPNext site that documents live on; empty where that is the built-in store."""
    return variables.get("ERPNEXT_URL", "")


def put_token(stack: Stack, secret_id: str, site: str) -> None:
    """Puts the site's token, if the environment has one; else the one that is there stays."""
    given = erpnext.token()
    if given:
        text = json.dumps({"key": given.key, "secret": given.secret})
        client(stack, "secretsmanager").put_secret_value(SecretId=secret_id, SecretString=text)
    say(f"{'the token given' if given else 'the token that was there'}, for {site}")


def put_secrets(stack: Stack, secret_id: str) -> None:
    """Adds the local secrets to the bundle; those that someone put there stay."""
    secrets = client(stack, "secretsmanager")
    present = json.loads(secrets.get_secret_value(SecretId=secret_id)["SecretString"])
    wanted = {**present, **json.loads(WEBHOOK_SECRETS.read_text(encoding="utf-8"))}
    if wanted != present:
        secrets.put_secret_value(SecretId=secret_id, SecretString=json.dumps(wanted, sort_keys=True))
    say(f"{len(wanted)} webhook secrets")


def put_connectors(api: Api, directory: Path, without_rules: set[str]) -> None:
    """Puts each `NAME.json` of the directory as the settings of the connector NAME."""
    names = []
    for path in sorted(directory.glob("*.json")):
        settings = json.loads(path.read_text(encoding="utf-8"))
        if path.stem in without_rules:
            settings["rules"] = []
        answer = api.put("v2", "connectors", path.stem, body=settings)
        if not answer.ok:
            raise Failure(f"The settings in {path.name} were refused: {answer.problem}")
        names.append(path.stem)
    say(f"{len(names)} connectors: {', '.join(names) or 'none'}")
