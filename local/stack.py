"""Starts and stops ministack, the AWS on this machine, as a background process.

All it leaves behind lies in one directory (`.local`, or the one given), so that several stacks can run side
by side on different ports, each with its own directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from console import Failure

REPO = Path(__file__).resolve().parent.parent
REGION = "us-east-1"
# The stand-in takes any credentials. These exist so that no real ones are ever picked up.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}

START_SECONDS = 30
STOP_SECONDS = 30


@dataclass(frozen=True)
class Stack:
    """One local stack: its directory and its port."""

    root: Path
    port: int

    @property
    def endpoint(self) -> str:
        """Where its AWS is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.root / "ministack.log"

    @property
    def env_file(self) -> Path:
        return self.root / "env"

    def start(self) -> bool:
        """Starts it and waits until it answers. False where it was running already."""
        running = running_port(self.root)
        if running == self.port:
            return False
        if running is not None:
            raise Failure(f"The stack in {self.root} runs on port {running}; stop it first (make down).")
        if not port_is_free(self.port):
            raise Failure(f"Port {self.port} is taken by another program; choose one: make up CAUSEWAY_PORT=4577.")
        self._spawn()
        return True

    def _spawn(self) -> None:
        scratch = self.root / "tmp"
        shutil.rmtree(scratch, ignore_errors=True)  # unpacked functions of an earlier run
        scratch.mkdir(parents=True)
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, str(REPO / "local" / "ministack_server.py"), str(pid_file(self.root))],
                env=self._environment(scratch),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"ministack did not start; {self.log} ends with: {last_line(self.log)}")
            time.sleep(0.05)

    def _environment(self, scratch: Path) -> dict[str, str]:
        """All that ministack and, through it, the functions see of the machine: they inherit its environment."""
        return {
            **CREDENTIALS,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            # Reaches the functions, and wins over what the template gives them.
            "AWS_ENDPOINT_URL": self.endpoint,
            **_dynamodb_elsewhere(),
            "BIND_HOST": "127.0.0.1",
            "DOCKER_HOST": f"unix://{scratch}/no-docker",  # or it tidies up the containers of a Docker it finds
            "GATEWAY_PORT": str(self.port),
            "IOT_MTLS_ENABLED": "0",
            "MINISTACK_HOST": "localhost",
            "MINISTACK_REGION": REGION,
            "PATH": os.defpath,
            "PERSIST_STATE": "1",
            "PYTHONUNBUFFERED": "1",
            "SFTP_ENABLED": "0",
            "STATE_DIR": str(self.root / "state"),
            "TMPDIR": str(scratch),
        }

    def answers(self) -> bool:
        """Whether its health check answers."""
        try:
            with urllib.request.urlopen(f"{self.endpoint}/_ministack/health", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


def _dynamodb_elsewhere() -> dict[str, str]:
    """Where the functions find DynamoDB if not here: the end-to-end tests put a proxy between, which fails at times."""
    url = os.environ.get("CAUSEWAY_DYNAMODB_URL")
    return {"AWS_ENDPOINT_URL_DYNAMODB": url} if url else {}


def stop(root: Path) -> bool:
    """Stops the stack of `root`, which writes its state. False where none was running."""
    if running_port(root) is None:
        return False
    pid = _read_pid_file(root)["pid"]
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    # The functions' processes are in the server's session, and outlive it by a moment.
    while running_port(root) is not None or session_lives(pid):
        if time.monotonic() > deadline:
            raise Failure(f"The stack in {root} did not stop within {STOP_SECONDS} s; see {root / 'ministack.log'}.")
        time.sleep(0.05)
    return True


def session_lives(leader: int) -> bool:
    """Whether any process of the session that `leader` began is left."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def running_port(root: Path) -> int | None:
    """The port of the stack of `root`, or None where none runs.

    The server keeps its pid file locked while it lives, so neither a crash nor a reused pid can deceive us.
    """
    with contextlib.suppress(FileNotFoundError), pid_file(root).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_pid_file(root)["port"]
    return None


def pid_file(root: Path) -> Path:
    return root / "ministack.pid"


def _read_pid_file(root: Path) -> dict[str, int]:
    return json.loads(pid_file(root).read_text())


def port_is_free(port: int) -> bool:
    """Whether nothing listens on `port` of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def free_port() -> int:
    """A port that nothing uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def last_line(path: Path) -> str:
    """The last line of a log that says anything."""
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "(nothing)"
