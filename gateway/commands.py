"""Commands besides the server: hash a password, add or remove a user, check a gateway."""

from __future__ import annotations

import argparse
import getpass
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.users import ALL, UsersError, add_user, hash_password, remove_user

SUBCOMMANDS = ("hash-password", "add-user", "remove-user", "check")


def run(arguments: Sequence[str]) -> int:
    """Carry out a command; return the exit code."""
    options = commands_parser().parse_args(arguments)
    match options.command:
        case "hash-password":
            return _hash_password()
        case "check":
            return _check(options)
        case "remove-user":
            return _remove_user(options)
        case _:
            return _add_user(options)


def commands_parser() -> argparse.ArgumentParser:
    """Return the parser of the commands besides the server."""
    parser = argparse.ArgumentParser(prog="python -m gateway", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "hash-password",
        help="print the hash of a password, for a users file",
        description="Asks for a password, or reads one line of standard input, and prints its hash "
        "for a users file.",
    )
    add = commands.add_parser(
        "add-user",
        help="add a user to a users file",
        description="Adds a user to a users file. A running gateway reads the change.",
    )
    add.add_argument("--users", type=Path, required=True, help="users file; made if it is missing")
    add.add_argument("--name", required=True)
    add.add_argument(
        "--connection",
        required=True,
        help=f'connection whose files the user sees, or "{ALL}" for all',
    )
    add.add_argument(
        "--key",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="public key file; may be repeated. Without a key, the command asks for a password",
    )
    add.add_argument(
        "--password",
        action="store_true",
        help="ask for a password, too (or read one line of standard input)",
    )
    remove = commands.add_parser("remove-user", help="remove a user from a users file")
    remove.add_argument("--users", type=Path, required=True)
    remove.add_argument("--name", required=True)
    check = commands.add_parser(
        "check",
        help="check that a gateway on this machine answers",
        description="Exit code 0 if a gateway on this machine answers, else 1.",
    )
    check.add_argument("--port", type=int, required=True)
    return parser


def _hash_password() -> int:
    try:
        print(hash_password(_ask_password()))
    except ValueError as error:
        print(f"Not done: {error}.", file=sys.stderr)
        return 2
    return 0


def _add_user(options: argparse.Namespace) -> int:
    def add() -> None:
        add_user(
            options.users,
            name=options.name,
            connection=options.connection,
            password=_ask_password() if options.password or not options.key else None,
            keys=[path.read_text("utf-8") for path in options.key],
        )

    return _change_users(add, f"{options.users} now has the user {options.name}.")


def _remove_user(options: argparse.Namespace) -> int:
    return _change_users(
        lambda: remove_user(options.users, name=options.name),
        f"{options.users} no longer has the user {options.name}.",
    )


def _change_users(change: Callable[[], None], done: str) -> int:
    """Change a users file, say `done`, and return the exit code."""
    try:
        change()
    except (OSError, UnicodeDecodeError, UsersError) as error:
        print(f"Not done: {error}.", file=sys.stderr)
        return 2
    print(done)
    return 0


def _check(options: argparse.Namespace) -> int:
    try:
        with socket.create_connection(("127.0.0.1", options.port), timeout=5) as connection:
            connection.settimeout(5)
            try:
                answer = connection.recv(8)
            except ConnectionResetError:
                answer = b""
            if not answer:
                print("It answers, and takes no connection from here at the moment.")
                return 0
            if answer.startswith(b"SSH-2.0"):
                return 0
            print("What listens there is no SSH server.", file=sys.stderr)
    except OSError as error:
        print(f"Nothing answers: {error}.", file=sys.stderr)
    return 1


def _ask_password() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    return sys.stdin.readline().rstrip("\r\n")
