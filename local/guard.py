"""Ties a program to the process that started it, so that the program ends with that process.

Run as a script, without the site packages, so that it costs next to nothing:

    python -I -S guard.py LIFELINE PROGRAM [ARGUMENT ...]

LIFELINE is the number of an inherited file descriptor, the reading end of a pipe whose writing end
only the starting process holds. The kernel closes that end when the process ends, `kill -9`
included, and the guard then kills the whole process group that it leads: the program and whatever
the program has started. A pipe works alike on Linux and macOS, and unlike a parent-death signal it
reaches the program's own workers too.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

CANNOT_START = 127
"""Exit code if the program cannot be run, as in shells."""


def guard(lifeline: int, command: Sequence[str]) -> NoReturn:
    """Run `command` and end when it ends, or kill it once the other end of `lifeline` is closed.

    The exit code is the program's own, or 128 plus the number of the signal that killed it.
    """
    awake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    # Handlers are used instead of SIG_IGN, which the program would inherit. The program itself
    # handles a stop signal that is sent to the group.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)

    program = os.fork()
    if program == 0:
        _become(lifeline, command)
    while True:
        ready, _, _ = select.select([lifeline, awake], [], [])
        if lifeline in ready:
            os.killpg(0, signal.SIGKILL)
        os.read(awake, 512)
        ended, status = os.waitpid(program, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _become(lifeline: int, command: Sequence[str]) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        os.close(lifeline)
        os.execvp(command[0], list(command))
    except OSError as error:
        os.write(2, f"Cannot run {command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(CANNOT_START)


if __name__ == "__main__":
    guard(int(sys.argv[1]), sys.argv[2:])
