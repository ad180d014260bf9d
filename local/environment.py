"""What a client of a running stack needs to know: its URL, key, tables, queues and secrets, one NAME=value a line.

The file is for shells (`. .local/env`), for `cargo lambda watch` and for the end-to-end tests.
"""

from __future__ import annotations

import json
from pathlib import Path

from aws import client
from console import Failure
from deploy import api_url, outputs, resource_id
from stack import CREDENTIALS, REGION, REPO, Stack

WEBHOOK_SECRETS = REPO / "local" / "webhook-secrets.json"


def describe(stack: Stack) -> dict[str, str]:
    """The variables of the deployed stack."""
    out = outputs(stack)
    api_id = resource_id(stack, "HttpApi")
    secrets = client(stack, "secretsmanager")
    admin_secret = secrets.get_secret_value(SecretId=out["AdminApiKeyArn"])["SecretString"]
    webhook_secrets = json.loads(WEBHOOK_SECRETS.read_text(encoding="utf-8"))
    return {
        **functions_environment(stack),
        "API_URL": api_url(stack, api_id),
        "API_KEY": f"key_admin.{admin_secret}",
        "AWS_ENDPOINT_URL": stack.endpoint,
        "AWS_REGION": REGION,
        **CREDENTIALS,
        "EVENTS_DLQ_URL": out["EventsDlqUrl"],
        "EVENT_WORKER_FUNCTION": out["EventWorkerFunctionName"],
        **{f"WEBHOOK_SECRET_{ref.split('/')[0].upper()}": text for ref, text in webhook_secrets.items()
           if ref.endswith("/current")},
    }


def functions_environment(stack: Stack) -> dict[str, str]:
    """What the template hands to the functions, so that one started by hand works on the same tables and queues."""
    variables: dict[str, str] = {}
    for function in client(stack, "lambda").list_functions()["Functions"]:
        variables |= function["Environment"]["Variables"]
    # JSON is no line that means the same to every shell; without it a function has the default limits.
    variables.pop("RATE_LIMITS", None)
    return variables


def write(stack: Stack, path: Path) -> dict[str, str]:
    """Writes the variables to `path`, readable by the owner only, and returns them."""
    variables = describe(stack)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    return variables


def read(path: Path) -> dict[str, str]:
    """The variables in `path`."""
    if not path.is_file():
        raise Failure("No stack is up; run make up.")
    return dict(line.split("=", 1) for line in path.read_text().splitlines())
