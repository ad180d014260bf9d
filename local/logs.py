"""Shows what the functions logged, all of them in the order of time, as CloudWatch Logs keeps it."""

from __future__ import annotations

import time

from aws import client
from console import dim, say
from stack import Stack


# What Lambda itself logs around each call.
LAMBDAS_OWN = ("START RequestId", "END RequestId", "REPORT RequestId", "INIT_START")


def run(stack: Stack, minutes: int) -> None:
    """Prints the lines of the last `minutes`."""
    logs = client(stack, "logs")
    since = int((time.time() - 60 * minutes) * 1000)
    lines = []
    for group in logs.describe_log_groups()["logGroups"]:
        function = group["logGroupName"].rsplit("/", 1)[-1]
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"], startTime=since)
        lines += [
            (event["timestamp"], function, event["message"])
            for page in pages
            for event in page["events"]
            if not event["message"].startswith(LAMBDAS_OWN)
        ]
    for at, function, message in sorted(lines, key=lambda line: line[0]):
        say(f"{dim(time.strftime('%H:%M:%S', time.localtime(at / 1000)))} {function:<15} {message.rstrip()}")
