"""Definition of a command, its place on the command line, and its end after an error."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from shared.core import IngestError, SettingsError, TryAgain, printable, printable_json
from shared.files import is_connection
from shared.terminal import Screen

if TYPE_CHECKING:
    from shared.services import Services

DONE = 0
NOT_POSSIBLE = 1
WRONG_USE = 2
OUT_OF_REACH = 3
FAULT = 70
INTERRUPTED = 130


class WrongUse(IngestError):
    """The command line asks for something that is not possible. The message says what is."""


class Desk:
    """Objects that a command works with: the services, the screen and the parsed command line."""

    def __init__(
        self,
        connect: Callable[[], Services],
        parsed: argparse.Namespace,
        *,
        program: str,
        options: str,
    ) -> None:
        self.parsed = parsed
        self.screen = Screen(sys.stdout)
        self._connect = connect
        self._program = program
        self._options = options

    @cached_property
    def services(self) -> Services:
        """Services; the first use connects."""
        return self._connect()

    @property
    def json(self) -> bool:
        """True if the answer is for a program."""
        return bool(getattr(self.parsed, "json", False))

    def command(self, text: str) -> str:
        """Return the whole command line for a command, as a person types it."""
        return " ".join(part for part in (self._program, text, self._options) if part)

    def answer(self, document: object) -> None:
        """Print an answer for a program: JSON, times in ISO 8601."""
        print(printable_json(document, default=_plain, indent=2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command."""

    path: tuple[str, ...]
    """Words of the command, e.g. `("imports", "list")`."""
    words: str
    """Effect of the command, as a phrase."""
    arguments: Callable[[argparse.ArgumentParser], object]
    """Adds the command's arguments to its parser."""
    carry_out: Callable[[Desk], int]
    """Carries out the command and returns the exit code."""
    default: bool = False
    """True if the first word alone is enough."""


GROUPS: Mapping[str, str] = {
    "imports": "list, show, replay, release and undo imports",
    "connections": "list connections, add one, change its settings, show its leaflet",
    "alerts": "list what needs a person",
}
"""First words that several commands share."""


def add_to(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    wanted: Iterable[Command],
    *,
    common: Callable[[argparse.ArgumentParser], object],
) -> None:
    """Add commands to a command line."""
    groups: dict[str, argparse._SubParsersAction[argparse.ArgumentParser]] = {}
    for command in wanted:
        first, *rest = command.path
        if not rest:
            _fill(commands.add_parser(first, **_words(command)), command, common)
            continue
        if first not in groups:
            words = GROUPS[first]
            group = commands.add_parser(first, help=words, description=f"{words.capitalize()}.")
            groups[first] = group.add_subparsers(dest="verb", metavar="VERB", required=True)
        _fill(groups[first].add_parser(rest[0], **_words(command)), command, common)


def with_defaults(arguments: Sequence[str], wanted: Iterable[Command]) -> list[str]:
    """Return the command line with the default verb added, if it names only a group."""
    verbs = {command.path[0]: command.path[1] for command in wanted if command.default}
    first, rest = arguments[:1], arguments[1:]
    alone = not rest or (rest[0].startswith("-") and rest[0] not in ("-h", "--help"))
    if first and first[0] in verbs and alone:
        return [first[0], verbs[first[0]], *rest]
    return list(arguments)


def _words(command: Command) -> dict[str, Any]:
    return {"help": command.words, "description": f"{command.words[0].upper()}{command.words[1:]}."}


def _fill(
    parser: argparse.ArgumentParser,
    command: Command,
    common: Callable[[argparse.ArgumentParser], object],
) -> None:
    command.arguments(parser)
    common(parser)
    parser.add_argument("--json", action="store_true", help="answer in JSON, times in UTC")
    parser.set_defaults(carry_out=command.carry_out)


def connection(text: str) -> str:
    """Read a connection's name on the command line."""
    if not is_connection(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot be the name of a connection: up to 39 of a-z, 0-9, _ and -"
        )
    return text


def add_yes(parser: argparse.ArgumentParser) -> None:
    """Add the argument `--yes` to a command that asks; see `agreed`."""
    parser.add_argument("--yes", action="store_true", help="do not ask first")


def agreed(
    desk: Desk, question: str, *, show: Callable[[], object] = lambda: None, hint: str = ""
) -> bool:
    """Show what would be done and ask a person, unless `--yes` was given; return the answer.

    Raises:
        WrongUse: there is no person to ask.
    """
    if desk.parsed.yes:
        return True
    make_sure_of_a_person(desk, question, hint=hint)
    show()
    if input(f"{question} [y/N] ").strip().lower() in ("y", "yes"):
        return True
    print("Nothing was done.", file=sys.stderr)
    return False


def make_sure_of_a_person(desk: Desk, question: str, *, hint: str = "") -> None:
    """Make sure that a person can be asked, or that `--yes` was given.

    Raises:
        WrongUse: there is no person to ask.
    """
    if not desk.parsed.yes and (desk.json or not sys.stdin.isatty()):
        raise WrongUse(f"{question} Add --yes to confirm{hint}.")


# -- how it ends ------------------------------------------------------------------------------


_REFUSALS = ("PermissionDenied", "Forbidden", "Unauthenticated")
_PATIENCE = "Try again in a moment."


def guarded(carry_out: Callable[[], int], desk: Desk) -> int:
    """Carry out a command; end every error in a sentence and an exit code."""
    try:
        code = carry_out()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of the answer, such as `head`, has stopped reading.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (SettingsError, WrongUse) as error:
        return _fail(desk, WRONG_USE, str(error))
    except TryAgain as error:
        refused = any(name in str(error) for name in _REFUSALS)
        step = "Ask for the roles that docs/operator.md names." if refused else _PATIENCE
        return _fail(desk, OUT_OF_REACH, f"{str(error).rstrip('.')}. {step}")
    except IngestError as error:
        return _fail(desk, NOT_POSSIBLE, str(error))
    except Exception as error:
        return _foreign(desk, error)
    return code


def _foreign(desk: Desk, error: Exception) -> int:
    """Report an error from other code than ours, with the next step."""
    name = type(error).__name__
    if name in ("DefaultCredentialsError", "RefreshError"):
        return _fail(
            desk,
            OUT_OF_REACH,
            "Google Cloud does not know who you are. Log in with `gcloud auth application-default "
            "login`, or use `python -m local COMMAND --data DIR` for a stack on this machine.",
        )
    if isinstance(error, EnvironmentError) and "Project was not passed" in str(error):
        return _fail(desk, WRONG_USE, "Set GOOGLE_CLOUD_PROJECT to the project to work on.")
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{os.path.basename(place.filename)}:{place.lineno}"
    return _fail(
        desk,
        FAULT,
        f"This should not have happened: {name} in {where}. Nothing is left half done in the "
        "ledger; report it with these words and what you typed.",
    )


def _fail(desk: Desk, code: int, message: str) -> int:
    if desk.json:
        print(printable_json({"error": message}))
    else:
        print(printable(message, keep="\n"), file=sys.stderr)
    return code


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
