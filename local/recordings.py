"""Webhook deliveries recorded from a real ERPNext site, byte for byte."""

from __future__ import annotations

from console import Failure
from stack import REPO

DIRECTORY = REPO / "shared" / "fixtures" / "webhooks"
SECRET = "hub-test-secret-1"  # what the recorded site signed with


def read(name: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of the recording `name`; the body is what was signed."""
    path = DIRECTORY / name
    if not path.is_file():
        raise Failure(f"The recording {path.relative_to(REPO)} is missing.")
    head, body = path.read_bytes().split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines), body
