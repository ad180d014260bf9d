"""Runs ministack without the 40 ms that Nagle's algorithm adds to each call of a function.

ministack hands events to the functions through an HTTP server of Python's standard library, which answers in
two small writes; the second waits for the peer's delayed acknowledgement. One switch of the library turns that
off. It reaches into ministack, so it is checked first: should ministack ever serve its functions another way,
this refuses to start rather than be silently slow.

Usage: ministack_server.py PIDFILE (kept locked while the server lives)
"""

from __future__ import annotations

import fcntl
import http.server
import inspect
import json
import os
import socketserver
import sys
from typing import TextIO

from ministack import app
from ministack.core import lambda_runtime


def serve_functions_without_delay() -> None:
    """Sets TCP_NODELAY on every connection of the server that the functions talk to."""
    source = inspect.getsource(lambda_runtime)
    expected = ("class RuntimeAPIHandler(http.server.BaseHTTPRequestHandler)", "socketserver.ThreadingTCPServer")
    handler = http.server.BaseHTTPRequestHandler
    if not all(text in source for text in expected) or not issubclass(handler, socketserver.StreamRequestHandler):
        sys.exit("this ministack serves its functions another way: revise local/ministack_server.py")
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True


def hold_pid_file(path: str) -> TextIO:
    """Writes pid and port to `path` and keeps it locked for as long as the returned file is open."""
    file = open(path, "a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"another server already holds {path}")
    file.truncate(0)
    json.dump({"pid": os.getpid(), "port": int(os.environ["GATEWAY_PORT"])}, file)
    file.flush()
    return file


if __name__ == "__main__":
    with hold_pid_file(sys.argv.pop()):
        serve_functions_without_delay()
        app.main()
