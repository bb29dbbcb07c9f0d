"""What an operator can ask from a terminal: `python -m shared.ops COMMAND`.

It works on whatever the environment names, with the same variables as the functions: a project in
the cloud, or a stack on this machine.

Exit codes: 0 done; 1 it makes no sense, or something asked for was not done; 2 the command line or
a setting is wrong; 3 a service could not be reached; 70 a fault of the program; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.core import TryAgain
from shared.ops import alerts, command, completion, connections, erase, imports
from shared.ops.command import Command, Desk, add_to, guarded

if TYPE_CHECKING:
    from shared.services import Services

COMMANDS: tuple[Command, ...] = (
    *imports.COMMANDS,
    *connections.COMMANDS,
    *alerts.COMMANDS,
    *erase.COMMANDS,
)
"""Every command there is; a module that has one adds it here."""

PATIENCE_SECONDS = 30.0
"""How long a person waits for an answer of the ledger."""

_ABOUT = (
    "What an operator can ask of the pipeline. It works on whatever the environment names: with "
    "GOOGLE_CLOUD_PROJECT, BUCKET, QUEUE, LOAD_URL and TASKS_SERVICE_ACCOUNT as the functions have "
    "them, or on a stack on this machine with `python -m local COMMAND --data DIR`."
)
_EXIT_CODES = (
    "exit codes: 0 done; 1 it makes no sense, or something asked for was not done; 2 the command "
    "line or a setting is wrong; 3 a service could not be reached; 70 a fault of the program; "
    "130 interrupted"
)


def connect(environment: Mapping[str, str]) -> Services:
    """Make the clients that the environment asks for; only when they are needed: it takes a while.

    Raises:
        SettingsError: a variable has a value that cannot be used.
        TryAgain: nothing answers where an emulator should be.
    """
    _look_for_emulator(environment.get("FIRESTORE_EMULATOR_HOST", ""))
    from shared.wiring import connect as make

    services = make(environment)
    return replace(services, ledger=services.ledger.within(PATIENCE_SECONDS))


def _look_for_emulator(address: str) -> None:
    """Make sure that an emulator is there: the client would look for it for minutes."""
    host, _, port = address.rpartition(":")
    if not address:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, ValueError):
        raise TryAgain(
            f"Nothing answers at {address}, where FIRESTORE_EMULATOR_HOST leads. Start that "
            "emulator, or unset the variable to work in the cloud."
        ) from None


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    *,
    common: Callable[[argparse.ArgumentParser], object] = lambda _: None,
) -> None:
    """Add the commands to a parser's; `common` adds what every one of them takes as well."""
    add_to(commands, COMMANDS, common=common)


def with_defaults(arguments: Sequence[str]) -> list[str]:
    """Return a command line as the parser takes it: `imports` alone stands for `imports list`."""
    return command.with_defaults(arguments, COMMANDS)


def run(
    parsed: argparse.Namespace,
    environment: Callable[[], Mapping[str, str]],
    *,
    program: str = "python -m shared.ops",
    options: str = "",
) -> int:
    """Carry a parsed command out and print what came of it; return the exit code.

    `program` and `options` are what a person has to write around a command, for what is suggested
    as the next step.
    """
    desk = Desk(lambda: connect(environment()), parsed, program=program, options=options)
    return guarded(lambda: int(parsed.carry_out(desk)), desk)


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m shared.ops`."""
    whole = argparse.ArgumentParser(
        prog="python -m shared.ops", description=_ABOUT, epilog=_EXIT_CODES
    )
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_commands(commands)
    completion.add_command(commands, whole, default_name="a21")
    return whole


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks; return the exit code."""
    return run(parser().parse_args(with_defaults(arguments)), lambda: os.environ)
