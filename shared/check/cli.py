"""Command line of `python -m shared.check`, and its exit codes."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from shared.check.describe import describe
from shared.check.page import page
from shared.check.telling import tell
from shared.check.verdict import FILE, GOOD, Verdict, arrival, check_file
from shared.core import ConnectionSettings, Deployment, SettingsError, printable, printable_json
from shared.files import TYPES, Misnamed, read_name
from shared.files.types import example_csv, file_type
from shared.terminal import ProgressBar, Screen

WRONG_USE = 64
"""Exit code for a wrong command line. The other codes are about the files."""
INTERRUPTED = 130

_EPILOG = """\
exit codes:
  0   every row can be loaded (there may be warnings)
  1   some rows would be rejected, the others loaded
  2   a file would be rejected whole: its name, its header, its end, too many bad rows
  64  the command line has an error

examples:
  python -m shared.check customers_20230424T201230Z.csv
  python -m shared.check exports/*.csv --html report.html
  python -m shared.check --describe customers
  python -m shared.check --sample orders > orders_20230424T201230Z.csv
  python -m shared.check --fix-name 'Customers 2023-04-24.CSV'
"""


def main(arguments: Sequence[str]) -> int:
    """Carry out the command line; return the exit code."""
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone (`| head`). Nothing more can be written, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERRUPTED


def _main(arguments: Sequence[str]) -> int:
    parser = _parser()
    parsed = parser.parse_args(arguments)
    if parsed.describe:
        describe(file_type(parsed.describe), Screen(sys.stdout))
        return GOOD
    if parsed.sample:
        sys.stdout.write(example_csv(file_type(parsed.sample)))
        return GOOD
    if parsed.fix_name:
        settings = _settings(parser, parsed.settings, parsed.time_zone)
        return max(_fix(name, settings) for name in parsed.fix_name)
    if not parsed.files:
        parser.error("name a file to check, or ask for --describe, --sample or --fix-name")
    settings = _settings(parser, parsed.settings, parsed.time_zone)
    verdicts = [_check(path, settings, parsed.type) for path in parsed.files]
    codes = [FILE if isinstance(one, OSError) else one.exit_code for one in verdicts]
    found = [one for one in verdicts if not isinstance(one, OSError)]
    if parsed.json:
        documents = {"exitCode": max(codes), "files": [one.to_document() for one in found]}
        print(printable_json(documents, indent=2))
    else:
        screen = Screen(sys.stdout)
        for number, one in enumerate(found):
            if number:
                screen.line()
            tell(one, screen)
    if parsed.html:
        try:
            parsed.html.write_text(page(found), encoding="utf-8")
        except OSError as error:
            parser.error(f"--html {parsed.html}: {error.strerror}")
    return max(codes)


def _check(path: Path, settings: ConnectionSettings, type: str | None) -> Verdict | OSError:
    bar = None
    try:
        bar = ProgressBar(path.name, path.stat().st_size)
        return check_file(path, settings=settings, type=type, progress=bar)
    except OSError as error:
        print(printable(f"{path}: {error.strerror or error}"), file=sys.stderr)
        return error
    finally:
        if bar is not None:
            bar.close()


def _fix(name: str, settings: ConnectionSettings) -> int:
    """Print the right name for a wrong one."""
    named = read_name(Path(name).name, arrival(settings))
    if not isinstance(named, Misnamed):
        print(printable(Path(name).name))
        return GOOD
    if named.suggestion is None:
        print(printable(f"{name}: {named.problem.message} {named.problem.hint}"), file=sys.stderr)
        return FILE
    print(named.suggestion.rpartition("/")[2])
    return GOOD


def _settings(
    parser: argparse.ArgumentParser, path: Path | None, time_zone: str | None
) -> ConnectionSettings:
    """Read the connection's settings from a JSON file, in the form of its Firestore document."""
    document: object = {}
    if path is not None:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            parser.error(f"--settings {path}: {error.strerror}")
        except ValueError:
            parser.error(f"--settings {path}: it is not JSON")
    if not isinstance(document, Mapping):
        parser.error(f"--settings {path}: it must be a JSON object")
    values = {**document, **({"timeZone": time_zone} if time_zone else {})}
    try:
        return ConnectionSettings.from_document(values, connection="…", deployment=Deployment())
    except SettingsError as error:
        parser.error(str(error))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(WRONG_USE, f"{self.prog}: {printable(message)}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m shared.check",
        description="Says what the loader will say of export files, before they are sent. Works "
        "offline; nothing is loaded and nothing leaves this machine.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", metavar="FILE", nargs="*", type=Path, help="an export file")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.add_argument("--html", type=Path, metavar="PAGE", help="write a page as well")
    parser.add_argument(
        "--type", choices=TYPES, help="what to check a file as whose name does not tell"
    )
    parser.add_argument(
        "--settings",
        type=Path,
        metavar="JSON",
        help="the connection's settings (aliases, timeZone, keyColumn, …), as docs/ledger.md has "
        "them",
    )
    parser.add_argument("--time-zone", metavar="ZONE", help="zone of the times in the file")
    instead = parser.add_argument_group("instead of checking")
    instead.add_argument("--describe", choices=TYPES, help="print the format of a type of file")
    instead.add_argument("--sample", choices=TYPES, help="print a correct example file")
    instead.add_argument("--fix-name", nargs="+", metavar="NAME", help="print the right name")
    return parser
