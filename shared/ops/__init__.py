"""Commands for operators on a terminal: `python -m shared.ops COMMAND`.

The commands work on a project in the cloud, or on a stack on this machine. Which one is set in the
environment, with the same variables as for the functions.

Exit codes: 0 done; 1 not applicable, or partly failed; 2 the command line or a setting has an
error, nothing was done; 3 a service could not be reached, or refuses you; 70 an error of the
program; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.core import TryAgain
from shared.ops import (
    alerts,
    command,
    completion,
    connections,
    erase,
    imports,
    leaflet,
    replay,
    undo,
)
from shared.ops.command import Command, Desk, add_to, guarded

if TYPE_CHECKING:
    from shared.services import Services

COMMANDS: tuple[Command, ...] = (
    *imports.COMMANDS,
    *replay.COMMANDS,
    *undo.COMMANDS,
    *connections.COMMANDS,
    *leaflet.COMMANDS,
    *alerts.COMMANDS,
    *erase.COMMANDS,
)
"""All commands; a module that has commands adds them here."""

PATIENCE_SECONDS = 30.0
"""Seconds that a person waits for an answer of the ledger."""

_ABOUT = (
    "Commands for operators. They work on the project that the environment names: set "
    "GOOGLE_CLOUD_PROJECT, BUCKET, QUEUE, LOAD_URL and TASKS_SERVICE_ACCOUNT as for the functions "
    '(eval "$(deploy/deploy.sh variables)"). For a stack on this machine: '
    "`python -m local COMMAND --data DIR`."
)
_EXIT_CODES = (
    "exit codes: 0 done; 1 not applicable, or partly failed; 2 the command line or a setting has "
    "an error, nothing was done; 3 a service could not be reached, or refuses you; 70 an error of "
    "the program; 130 interrupted"
)


def connect(environment: Mapping[str, str]) -> Services:
    """Create the clients for the environment. It takes a while: call it only when needed.

    Raises:
        SettingsError: a variable has a value that cannot be used.
        TryAgain: no emulator answers at the address in the environment.
    """
    _look_for_emulator(environment.get("FIRESTORE_EMULATOR_HOST", ""))
    from shared.wiring import connect as make

    services = make(environment)
    return replace(services, ledger=services.ledger.within(PATIENCE_SECONDS))


def _look_for_emulator(address: str) -> None:
    """Make sure that an emulator answers: the client would try to reach it for minutes.

    Raises:
        TryAgain: no emulator answers.
    """
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
    """Add the commands to a parser; `common` adds the arguments that all commands have."""
    add_to(commands, COMMANDS, common=common)


def with_defaults(arguments: Sequence[str]) -> list[str]:
    """Return a command line as the parser takes it: `imports` alone becomes `imports list`."""
    return command.with_defaults(arguments, COMMANDS)


def run(
    parsed: argparse.Namespace,
    environment: Callable[[], Mapping[str, str]],
    *,
    program: str = "python -m shared.ops",
    options: str = "",
) -> int:
    """Carry out a parsed command and print its result; return the exit code.

    A person writes `program` before a command and `options` after it. Suggested next steps contain
    both.
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
    """Carry out the command line; return the exit code."""
    return run(parser().parse_args(with_defaults(arguments)), lambda: os.environ)
