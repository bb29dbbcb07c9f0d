"""What an operator can ask from a terminal: `python -m shared.ops {replay,release} IMPORT`, and
`python -m shared.ops erase PERSON`.

It works on whatever the environment names, with the same variables as the functions: a project in
the cloud, or a stack on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from shared import erase_command
from shared.errors import SettingsError, TryAgain
from shared.ledger import Import
from shared.names import DEFAULT_CONNECTION, is_connection
from shared.replaying import NotPossible, release, replay
from shared.services import connect

NOT_POSSIBLE = 1
WRONG_USE = 2
OUT_OF_REACH = 3

_COMMANDS: Mapping[str, tuple[Callable[..., Import], str]] = {
    "replay": (replay, "load an ended import again, from the bytes that were uploaded"),
    "release": (release, "let orders go that wait for their customers"),
}


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> list[str]:
    """Add the commands to a parser's; return their names."""
    for name, (_, words) in _COMMANDS.items():
        command = commands.add_parser(name, help=words, description=f"{words.capitalize()}.")
        command.add_argument(
            "import_id", metavar="IMPORT", help="id in the ledger, e.g. orders_20230424T201230Z"
        )
        command.add_argument(
            "--connection",
            type=_connection,
            default=DEFAULT_CONNECTION,
            help=f"the connection it belongs to (default: {DEFAULT_CONNECTION})",
        )
        if name == "replay":
            command.add_argument(
                "--force",
                action="store_true",
                help="also where it is no longer known what newer files have confirmed",
            )
        command.add_argument("--json", action="store_true", help="answer in JSON")
    return [*_COMMANDS, erase_command.add_command(commands, _connection)]


def run(parsed: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Carry a parsed command out and print what came of it.

    Returns:
        0: done. 1: it makes no sense for that import, or is not proved of that person. 2: a
        setting is wrong. 3: a service could not be reached.
    """
    try:
        services = connect(environment)
        if parsed.command not in _COMMANDS:
            return erase_command.run(parsed, services)
        command, _ = _COMMANDS[parsed.command]
        options = {"force": parsed.force} if parsed.command == "replay" else {}
        import_ = command(parsed.connection, parsed.import_id, services, **options)
    except NotPossible as error:
        return _fail(parsed, NOT_POSSIBLE, str(error))
    except SettingsError as error:
        return _fail(parsed, WRONG_USE, str(error))
    except TryAgain as error:
        return _fail(parsed, OUT_OF_REACH, f"{error} Try again in a moment.")
    if parsed.json:
        print(json.dumps({"import": import_.import_id, **import_.to_document()}, default=str))
    else:
        print(
            f"{import_.connection}/{import_.import_id} is {import_.status}: {import_.status_text}"
        )
    return 0


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m shared.ops", description=__doc__)
    add_commands(parser.add_subparsers(dest="command", required=True))
    return run(parser.parse_args(arguments), os.environ)


def _fail(parsed: argparse.Namespace, code: int, message: str) -> int:
    if parsed.json:
        print(json.dumps({"error": message}))
    else:
        print(message, file=sys.stderr)
    return code


def _connection(text: str) -> str:
    if not is_connection(text):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be the name of a connection")
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
