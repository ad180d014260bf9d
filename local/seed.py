"""Gives a fresh stack its webhook secrets and connectors. Running it again changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

from api import Api
from aws import client
from console import Failure, say
from environment import WEBHOOK_SECRETS
from stack import Stack


def run(stack: Stack, variables: dict[str, str], connectors: Path) -> None:
    """Puts the secrets first, since a connector without its secret refuses every delivery."""
    put_secrets(stack, variables["WEBHOOK_SECRETS_ID"])
    put_connectors(Api.of(variables), connectors)


def put_secrets(stack: Stack, secret_id: str) -> None:
    """Adds the local secrets to the bundle; those that someone put there stay."""
    secrets = client(stack, "secretsmanager")
    present = json.loads(secrets.get_secret_value(SecretId=secret_id)["SecretString"])
    wanted = {**present, **json.loads(WEBHOOK_SECRETS.read_text(encoding="utf-8"))}
    if wanted != present:
        secrets.put_secret_value(SecretId=secret_id, SecretString=json.dumps(wanted, sort_keys=True))
    say(f"{len(wanted)} webhook secrets")


def put_connectors(api: Api, directory: Path) -> None:
    """Puts each `NAME.json` of the directory as the settings of the connector NAME."""
    names = []
    for path in sorted(directory.glob("*.json")):
        answer = api.put("v2", "connectors", path.stem, body=json.loads(path.read_text(encoding="utf-8")))
        if not answer.ok:
            raise Failure(f"The settings in {path.name} were refused: {answer.problem}")
        names.append(path.stem)
    say(f"{len(names)} connectors: {', '.join(names) or 'none'}")
