"""Runs Causeway on this machine: one command for each thing that the Makefile offers.

`causeway.py up` starts the AWS stand-in, deploys template.yaml to it, seeds connectors and shows the main job.
Tests use the same command with a directory, a port and times of their own:

    .venv/bin/python local/causeway.py up --root DIR --port 0 --no-build --no-tour \\
        --param EventWorkerTimeoutSeconds=2 --param EventsVisibilitySeconds=12 --env-file FILE
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

import deploy
import environment
import erpnext
import logs
import replay
import seed
import stack
import tour
import tour_bulk
from api import Api
from console import Failure, Phases, bold, say
from stack import REPO, Stack


def main() -> int:
    """Runs the command; what the user can act on is one sentence, never a trace."""
    options = arguments().parse_args()
    options.env_file = options.env_file or options.root / "env"
    try:
        options.run(options)
    except Failure as failure:
        print(f"causeway: {failure}", file=sys.stderr)
        return 1
    except (BotoCoreError, ClientError) as error:
        print(f"causeway: the local AWS answered: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, `head` for instance, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def up(options: argparse.Namespace) -> None:
    """Build, start, deploy, seed, show."""
    phases = Phases()
    asked = erpnext.asked(dict(options.param).get("ErpnextUrl"))
    port = stack.running_port(options.root)
    before = erpnext.deployed(Stack(options.root, port)) if port else ""
    erpnext.refuse_a_wrong_token(asked.site(before), before, asked)  # rather than after minutes of building
    if not options.no_build:
        with phases.phase("Build the functions"):
            build()
    target = Stack(options.root, options.port)
    with phases.phase("Start the local AWS"):
        started = target.start()
        say(f"{target.endpoint} ({'started' if started else 'was running'})")
    with phases.phase("Deploy template.yaml"):
        deploy_to(target, options, asked)
    if not options.no_seed:
        with phases.phase("Seed secrets and connectors"):
            seed.run(target, environment.read(options.env_file), options.connectors)
    variables = environment.read(options.env_file)
    shows = not options.no_tour and not seed.site_of(variables)  # nobody's real site is for showing things
    if shows:
        with phases.phase("Tour: the main job, once"):
            tour.run(variables, options.connectors)
    phases.summary()
    if shows:
        tour.print_next_steps(variables, options.env_file)


def build() -> None:
    """Builds every function as the tests do, so that neither build invalidates the other."""
    if subprocess.run(["cargo", "build", "--workspace"], cwd=REPO, check=False).returncode != 0:
        raise Failure("The build failed; cargo says why above.")


def deploy_to(target: Stack, options: argparse.Namespace, asked: erpnext.Asked) -> bool:
    """Deploys, and says where documents live; whether they moved there just now."""
    before = erpnext.deployed(target)
    site = asked.site(before)
    erpnext.refuse_a_wrong_token(site, before, asked)
    changed = deploy.deploy(target, options.bin_dir, {**dict(options.param), "ErpnextUrl": site})
    variables = environment.write(target, options.env_file)
    say(f"{'deployed' if changed else 'nothing changed'}; variables in {display(options.env_file)}")
    say(erpnext.told(target, variables.get("ERPNEXT_CREDENTIALS_ID", ""), site, before, asked))
    if asked.token and not site:
        say("ERPNEXT_KEY and ERPNEXT_SECRET are not used: no site is named (ERPNEXT_URL)")
    return site != before


def redeploy(options: argparse.Namespace) -> None:
    """Deploys what is built to the running stack."""
    target, asked = running(options), erpnext.asked(dict(options.param).get("ErpnextUrl"))
    moved = deploy_to(target, options, asked)
    if moved or asked.token:  # the token, and the rules of connectors, follow the documents
        seed.run(target, environment.read(options.env_file), options.connectors)


def down(options: argparse.Namespace) -> None:
    """Stops the stack; its data stay for the next `up`."""
    if stack.stop(options.root):
        say("Stopped. The data stay in .local until make clean.")
    else:
        say("No stack is running.")


def clean(options: argparse.Namespace) -> None:
    """Stops the stack and deletes all its data."""
    stack.stop(options.root)
    shutil.rmtree(options.root, ignore_errors=True)
    say(f"Deleted {display(options.root)}.")


def status(options: argparse.Namespace) -> None:
    """Says whether the stack runs, where, and whether it answers."""
    target = running(options)
    say(f"{bold('running')} on {target.endpoint}, {'healthy' if target.answers() else 'not answering'}")
    for name, value in environment.read(options.env_file).items():
        say(f"  {name:<24} {value}")


def seed_again(options: argparse.Namespace) -> None:
    """Puts secrets and connector settings into the running stack."""
    seed.run(running(options), environment.read(options.env_file), options.connectors)


def show_tour(options: argparse.Namespace) -> None:
    """Sends real webhooks to the running stack and shows what becomes of them."""
    running(options)
    variables = environment.read(options.env_file)
    if site := seed.site_of(variables):
        raise Failure(f"The tour makes documents, and they would be made on {site}; it is for the built-in store.")
    tour.run(variables, options.connectors)
    tour.print_next_steps(variables, options.env_file)


def show_bulk(options: argparse.Namespace) -> None:
    """Turns 1,000 Sales Orders into Sales Invoices, and shows how."""
    running(options)
    variables = environment.read(options.env_file)
    if site := seed.site_of(variables):
        raise Failure(f"The tour makes documents, and they would be made on {site}; it is for the built-in store.")
    tour_bulk.run(variables)


def show_logs(options: argparse.Namespace) -> None:
    """Shows what the functions logged lately."""
    logs.run(running(options), options.minutes)


def replay_dead(options: argparse.Namespace) -> None:
    """Replays every dead event."""
    running(options)
    replay.run(Api.of(environment.read(options.env_file)), options.connector)


def running(options: argparse.Namespace) -> Stack:
    """The stack of `--root`, which must be running."""
    port = stack.running_port(options.root)
    if port is None:
        raise Failure("No stack is running; run make up.")
    return Stack(options.root, port)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description="Causeway on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run in COMMANDS.items():
        command = commands.add_parser(name, help=run.__doc__.strip().split("\n")[0])
        command.set_defaults(run=run)
        add_options(command, name)
    return parser


def add_options(command: argparse.ArgumentParser, name: str) -> None:
    command.add_argument("--root", type=absolute, default=REPO / ".local", help="where the stack keeps everything")
    command.add_argument("--env-file", type=absolute, help="default: ROOT/env")
    if name == "up":
        command.add_argument("--port", type=port_number, default=os.environ.get("CAUSEWAY_PORT", "4566"),
                             help="0 takes a free one; default: $CAUSEWAY_PORT or 4566")
        for phase in ("build", "seed", "tour"):
            command.add_argument(f"--no-{phase}", action="store_true", help=f"leave out the phase: {phase}")
    if name in ("up", "deploy"):
        command.add_argument("--bin-dir", type=absolute, default=target_dir() / "debug", help="where the binaries are")
        command.add_argument("--param", type=assignment, action="append", default=[], metavar="NAME=VALUE",
                             help="a parameter of template.yaml")
    if name in ("up", "deploy", "seed", "tour"):
        command.add_argument("--connectors", type=absolute, default=REPO / "local" / "connectors",
                             help="connector settings, NAME.json each")
    if name == "logs":
        command.add_argument("--minutes", type=int, default=15, help="how far back; default: 15")
    if name == "replay-dead":
        command.add_argument("--connector", help="only events of this connector")


def absolute(text: str) -> Path:
    return Path(text).resolve()


def port_number(text: str) -> int:
    """A port; 0 stands for one that is free now."""
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port")
    return port or stack.free_port()


def assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    return name, value


def target_dir() -> Path:
    """Where cargo builds to."""
    return REPO / os.environ.get("CARGO_TARGET_DIR", "target")


def display(path: Path) -> str:
    """`path` as seen from the repository, where it lies in it."""
    return str(path.relative_to(REPO)) if path.is_relative_to(REPO) else str(path)


COMMANDS = {
    "up": up,
    "down": down,
    "clean": clean,
    "status": status,
    "deploy": redeploy,
    "seed": seed_again,
    "tour": show_tour,
    "tour-bulk": show_bulk,
    "logs": show_logs,
    "replay-dead": replay_dead,
}

if __name__ == "__main__":
    sys.exit(main())
