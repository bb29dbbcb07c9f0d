"""Reads the command line of `python -m local`, and prints the results in the terminal."""

from __future__ import annotations

import argparse
import itertools
import os
import shlex
import signal
import sys
import tempfile
import textwrap
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

from local.demo import LARGE_ROWS, DemoFailed, run_demo
from local.endpoints import Endpoints
from local.processes import StartFailed, answers
from local.stack import PORTS, Options, Stack, StackError, loopback_environment
from shared import ops
from shared.core import SettingsError, read_duration, read_orders_delay
from shared.ops import completion

INTERRUPTED = 130
CANNOT_START = 2
"""Exit code when the stack cannot be started as asked."""
FAULT = 70
"""Exit code of a fault of the program."""


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit code.

    0: success, or `up` was ended. 1: a part did not start, or the demo failed. 2: the command line
    is not valid, the folder is in use, or something requested is not installed. 70: a fault of the
    program. 130: interrupted. For commands about a running stack, see `shared.ops`.
    """
    parsed = parser().parse_args(ops.with_defaults(arguments))
    os.environ.update(loopback_environment(os.environ))
    with _signals_as_interrupt():
        try:
            if parsed.command == "demo":
                return _demo(parsed)
            return _up(parsed) if parsed.command == "up" else _ask(parsed)
        except KeyboardInterrupt:
            return 0 if parsed.command == "up" else INTERRUPTED
        except StackError as error:
            print(error, file=sys.stderr)
            return CANNOT_START
        except StartFailed as error:
            print(f"The stack did not come up: {error}", file=sys.stderr)
            return 1
        except OSError as error:
            where = f" {error.filename}" if error.filename else ""
            print(f"The system refused: {error.strerror or error}{where}.", file=sys.stderr)
            return CANNOT_START
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{os.path.basename(place.filename)}:{place.lineno}"
            print(
                f"This should not have happened: {type(error).__name__} in {where}: {error}\n"
                "The log of each part is in the folder logs below --data.",
                file=sys.stderr,
            )
            return FAULT


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m local`."""
    whole = argparse.ArgumentParser(
        prog="python -m local",
        description="The whole pipeline on this machine. Commands other than up and demo work on a "
        "stack that runs.",
    )
    commands = whole.add_subparsers(dest="command", required=True)
    up = commands.add_parser(
        "up", help="start the pipeline and run it until Ctrl-C", description=_UP
    )
    demo = commands.add_parser(
        "demo", help="upload the samples, show what happens, check the result", description=_DEMO
    )
    _data_argument(up)
    ops.add_commands(commands, common=_data_argument)
    completion.add_command(commands, whole, default_name="a21local")
    demo.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of its state (default: a temporary one, removed at the end)",
    )
    demo.add_argument(
        "--rows",
        type=int,
        default=LARGE_ROWS,
        metavar="N",
        help=f"rows of its larger file (default: {LARGE_ROWS:,})",
    )
    for command, delay in ((up, "30m"), (demo, "5s")):
        command.add_argument(
            "--orders-delay",
            type=_orders_delay,
            default=delay,
            metavar="TIME",
            help="time from a customers file to the start of its orders file, such as 5s, 30m or "
            f"1800 (default: {delay}; in production 30m)",
        )
        command.add_argument(
            "--port-base",
            type=int,
            metavar="N",
            help=f"listen on N to N+{len(PORTS) - 1}: {', '.join(PORTS)} "
            "(default: free ports, the same ones after a restart)",
        )
        command.add_argument(
            "--firestore",
            choices=("embedded", "google"),
            default="embedded",
            help="the embedded server (default), or Google's emulator: one that is installed, or "
            "one that already runs where FIRESTORE_EMULATOR_HOST says",
        )
        command.add_argument(
            "--sweep-every",
            type=_length,
            default="60s",
            metavar="TIME",
            help="time from one sweep to the next (default: 60s)",
        )
    return whole


def _data_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder of the stack's state"
    )


_UP = (
    "Starts SFTP gateway, bucket, queue, database and functions, writes DIR/endpoints.json once "
    "all of them answer, and runs until Ctrl-C or SIGTERM."
)
_DEMO = (
    "Starts the whole pipeline on this machine, uploads sample exports over SFTP, good and faulty, "
    "shows what happens to each, and checks Firestore at the end. The exit code is 0 only if "
    "everything is as expected. Nothing leaves this machine."
)


def _orders_delay(text: str) -> timedelta:
    return _length(text, read_orders_delay)


def _length(text: str, read: Callable[[str, object], timedelta] = read_duration) -> timedelta:
    try:
        return read("TIME", text)
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _options(parsed: argparse.Namespace, data: Path) -> Options:
    if parsed.sweep_every < timedelta(seconds=1):
        raise StackError("--sweep-every must be at least 1s.")
    return Options(
        data=data,
        orders_delay=parsed.orders_delay,
        port_base=parsed.port_base,
        firestore=parsed.firestore,
        sweep_every=parsed.sweep_every,
    )


def _up(parsed: argparse.Namespace) -> int:
    began = time.monotonic()
    print("Starting the stack ...", flush=True)
    with Stack(_options(parsed, parsed.data), say=_say) as stack:
        print(_summary(parsed, stack, seconds=time.monotonic() - began), flush=True)
        try:
            threading.Event().wait()
        finally:
            print("\nEnding the stack ...", flush=True)
    return 0


_GOOGLE_FORGETS = "\nBut Google's emulator keeps its documents in memory only."


def _summary(parsed: argparse.Namespace, stack: Stack, *, seconds: float) -> str:
    endpoints: Endpoints = stack.endpoints
    sftp = endpoints.sftp
    functions = "\n".join(
        f"  {name:<10} {url}" for name, url in endpoints.functions.items() if name != "status"
    )
    note = _GOOGLE_FORGETS if parsed.firestore == "google" else ""
    return f"""
The stack is up ({seconds:.1f} s). Its state is in {stack.data}.

  SFTP       sftp -P {sftp.port} {sftp.user}@{sftp.host}   (password {sftp.password})
  status     {endpoints.functions["status"]}

  firestore  FIRESTORE_EMULATOR_HOST={endpoints.firestore}
  storage    STORAGE_EMULATOR_HOST={endpoints.storage}
  tasks      CLOUD_TASKS_EMULATOR_HOST={endpoints.tasks}
{functions}
  project    {endpoints.project}, bucket {endpoints.bucket}, queue {endpoints.queue}

  logs       {stack.data / "logs"}
  all this   {stack.endpoints_file}

Ctrl-C ends it; the state stays.{note}"""


def _demo(parsed: argparse.Namespace) -> int:
    if parsed.data is not None:
        return _run_demo(parsed, parsed.data)
    with tempfile.TemporaryDirectory(prefix="apparel21-demo-") as folder:
        return _run_demo(parsed, Path(folder))


def _run_demo(parsed: argparse.Namespace, data: Path) -> int:
    print(textwrap.fill(_DEMO, 100), flush=True)
    print("\nStarting SFTP gateway, bucket, queue, Firestore and functions ...", flush=True)
    began = time.monotonic()
    with Stack(_options(parsed, data), say=_say) as stack:
        print(f"All of them answer ({time.monotonic() - began:.1f} s).", flush=True)
        try:
            good = run_demo(stack, orders_delay=parsed.orders_delay, rows=max(1, parsed.rows))
            return 0 if good else 1
        except DemoFailed as error:
            print(f"\nThe demo has FAILED: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nInterrupted: ending the stack ...", flush=True)
            raise


def _ask(parsed: argparse.Namespace) -> int:
    """Run a command about the stack that runs in a folder."""
    if parsed.command == "completion":
        return ops.run(parsed, lambda: _lead_to(_typed_data(parsed.typed)))
    environment = _lead_to(parsed.data)
    return ops.run(
        parsed,
        lambda: environment,
        program="python -m local",
        options=f"--data {shlex.quote(str(parsed.data))}",
    )


def _lead_to(data: Path) -> Mapping[str, str]:
    """Point this process's clients at the stack in a folder; return the environment."""
    file = data / "endpoints.json"
    try:
        endpoints = Endpoints.read(file)
    except FileNotFoundError:
        raise StackError(
            f"No stack runs in {data} ({file} is missing). Start one: "
            f"python -m local up --data {data}"
        ) from None
    if not answers(int(endpoints.tasks.rpartition(":")[2])):
        raise StackError(
            f"The stack in {data} has ended unexpectedly. Start it again: "
            f"python -m local up --data {data}"
        )
    os.environ.update(endpoints.environment())
    return os.environ


def _typed_data(words: Sequence[str]) -> Path:
    """Find the folder in a command line that is still being typed."""
    for option, value in itertools.pairwise(words):
        if option == "--data":
            return Path(value)
    raise StackError("No --data has been typed yet.")


def _say(sentence: str) -> None:
    print(sentence, flush=True)


@contextmanager
def _signals_as_interrupt() -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into KeyboardInterrupt, and ignore later ones."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(*_: object) -> NoReturn:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    # Signals ignored from the start, such as SIGHUP under nohup, stay ignored.
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
