"""Keeps a set of programs running: restarts one that ends, and ends all of them on request."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local import guard

_LOG_LIMIT = 16 * 1024 * 1024
"""Bytes above which a log is put aside (as `.1`) before its program starts again."""

_GONE_SECONDS = 30.0
"""Longest wait for the kernel to end killed processes, in seconds. A process outside the group may
hold the pipe for longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One program that runs until it is told to stop."""

    name: str
    """Name shown to people; the log is `{name}.log`."""
    command: tuple[str, ...]
    """The program and its arguments."""
    ports: tuple[int, ...]
    """The loopback ports on which it listens once it is ready."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """The whole environment that it runs in."""


class StartFailed(Exception):
    """A program that cannot be started. If it has run, the message has the end of its log."""


def restart_delay(failures: int) -> float:
    """Return the seconds to wait before restarting a program that failed this often in a row."""
    return min(0.25 * float(1 << min(failures - 1, 10)), 15.0)


LIVED = 20.0
"""Seconds of running after which an earlier failure no longer counts."""


def free_ports(wanted: Sequence[int]) -> list[int]:
    """Find a free loopback port for each wanted one; 0 means any. All are different.

    A wanted port that is taken is replaced by a free one. The ports are free when they are found,
    but are not reserved.

    Raises:
        StartFailed: the machine has no free port left.
    """
    found = [0] * len(wanted)
    with contextlib.ExitStack() as held:
        # Named ports come first, so that none of them is handed out as "any".
        for place in sorted(range(len(wanted)), key=lambda place: wanted[place] == 0):
            listener = held.enter_context(_bind(wanted[place]) or _bind_any())
            found[place] = listener.getsockname()[1]
    return found


_ANY_PORT = range(20_000, 32_000)
"""Ports below those that systems use for outgoing connections. Such a connection could take a port
while its program restarts."""


def _bind_any() -> socket.socket:
    for port in random.sample(_ANY_PORT, 1000):
        listener = _bind(port)
        if listener is not None:
            return listener
    raise StartFailed("No free port was found on 127.0.0.1.")


def is_free(port: int) -> bool:
    """Return True if a loopback port can be listened on now."""
    listener = _bind(port)
    if listener is None:
        return False
    listener.close()
    return True


def wait_free(ports: Iterable[int], *, seconds: float) -> None:
    """Wait until all ports are free, or the time is up.

    The kernel closes the files and ports of a killed process one after the other. So its ports
    may become free a moment after its locks and pipes.
    """
    deadline = time.monotonic() + seconds
    awaited = tuple(ports)
    while not all(map(is_free, awaited)) and time.monotonic() < deadline:
        time.sleep(0.01)


def _bind(port: int) -> socket.socket | None:
    if not port:
        return None
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # As in the servers. Lingering connections of an earlier run then do not block the port.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(1)
    except OSError:
        listener.close()
        return None
    return listener


def answers(port: int) -> bool:
    """Return True if something accepts connections on a loopback port.

    Only a connection is made, nothing is sent: a GET would run an HTTP function.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def describe_exit(code: int) -> str:
    """Put an exit code of a guarded program into words."""
    if code == guard.CANNOT_START:
        return "could not be started"
    number = -code if code < 0 else code - 128
    if number > 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(number).name}"
    return f"ended with exit code {code}"


class Supervisor:
    """Keeps programs running until it is stopped, and ends them even if it is killed.

    Each program leads a process group of its own, so a Ctrl-C in the terminal reaches only the
    supervisor. Its parent is a guard (`local.guard`), which ends with the supervisor.

    Args:
        logs: folder for `{name}.log`, made if need be; output is appended.
        folder: working folder of the programs.
        say: called with one sentence for each event that a person should know. Called from several
            threads.
        keep_open: file descriptors that every program inherits, such as a lock to be held for as
            long as one of them lives.
        grace: seconds that a program has to end itself before it is killed.
    """

    def __init__(
        self,
        *,
        logs: Path,
        folder: Path,
        say: Callable[[str], None],
        keep_open: Sequence[int] = (),
        grace: float = 5.0,
    ) -> None:
        self._logs = logs
        self._folder = folder
        self._say = say
        self._keep_open = tuple(keep_open)
        self._grace = grace
        self._lifeline, self._own_end = os.pipe()
        self._layers: list[list[_Kept]] = []
        self._closed = False

    def start(self, layers: Sequence[Sequence[Program]], *, timeout: float) -> None:
        """Start every program of every layer at once and wait until all of them answer.

        A layer depends on those before it, so `stop` ends the last one first.

        Raises:
            StartFailed: a port is taken, a program has ended, or one does not answer in `timeout`
                seconds. Whatever has started by then is left to `stop`.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        for program in (program for layer in layers for program in layer):
            for port in program.ports:
                if not is_free(port):
                    raise StartFailed(
                        f"{program.name} cannot have port {port}: something else listens there."
                    )
        new = [[self._kept(program) for program in layer] for layer in layers]
        # Recorded before they run, so that `stop` ends them in every case.
        self._layers += new
        deadline = time.monotonic() + timeout
        for kept in (kept for layer in new for kept in layer):
            kept.start()
        for kept in (kept for layer in new for kept in layer):
            kept.wait_ready(deadline)

    def _kept(self, program: Program) -> _Kept:
        return _Kept(
            program,
            log=self._logs / f"{program.name}.log",
            folder=self._folder,
            say=self._say,
            lifeline=self._lifeline,
            keep_open=self._keep_open,
        )

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the guards, by program. Each is also the id of the process group."""
        return {
            kept.program.name: kept.pid
            for layer in self._layers
            for kept in layer
            if kept.pid is not None
        }

    def stop(self) -> None:
        """End every program, the last layer first, and return when none is left."""
        if self._closed:
            return
        self._closed = True
        # No program may restart while another is being ended.
        for layer in self._layers:
            for kept in layer:
                kept.give_up()
        for layer in reversed(self._layers):
            for kept in layer:
                kept.terminate()
            deadline = time.monotonic() + self._grace
            for kept in layer:
                kept.end(deadline)
        os.close(self._own_end)
        os.close(self._lifeline)


class _Kept:
    """A program and the thread that restarts it."""

    def __init__(
        self,
        program: Program,
        *,
        log: Path,
        folder: Path,
        say: Callable[[str], None],
        lifeline: int,
        keep_open: tuple[int, ...],
    ) -> None:
        self.program = program
        self._log = log
        self._folder = folder
        self._say = say
        self._lifeline = lifeline
        self._keep_open = keep_open
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._was_ready = threading.Event()
        self._ended = threading.Event()
        self._exit_code: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        # Each process of the group holds the other end of this pipe, so it ends with the last.
        self._gone = -1
        self._thread = threading.Thread(target=self._keep, name=f"keep-{program.name}", daemon=True)

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        self._thread.start()

    def _keep(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            with self._lock:
                if self._stopping.is_set():
                    return
                try:
                    process = self._process = self._spawn()
                except OSError:  # out of memory, processes or disk; it may pass
                    process = None
            code = process.wait() if process else guard.CANNOT_START
            # Children of the program must not hold its ports when it restarts.
            self._signal(signal.SIGKILL)
            if process:
                self._wait_gone()
            self._process = None
            if self._stopping.is_set():
                return
            if not self._was_ready.is_set():
                self._exit_code = code
                self._ended.set()
                return
            failures = 1 if time.monotonic() - began > LIVED else failures + 1
            pause = restart_delay(failures)
            self._say(
                f"{self.program.name} {describe_exit(code)}; starting it again in {pause:g} s"
                f" (log: {self._log})"
            )
            if self._stopping.wait(pause):
                return

    def _spawn(self) -> subprocess.Popen[bytes]:
        with contextlib.suppress(OSError):
            if self._log.stat().st_size > _LOG_LIMIT:
                self._log.replace(self._log.with_suffix(".log.1"))
        command = [sys.executable, "-I", "-S", guard.__file__, str(self._lifeline)]
        self._gone, held = os.pipe()
        try:
            with self._log.open("ab") as log:
                return subprocess.Popen(
                    [*command, *self.program.command],
                    cwd=self._folder,
                    env=dict(self.program.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=(self._lifeline, held, *self._keep_open),
                )
        except OSError:
            os.close(self._gone)
            raise
        finally:
            os.close(held)

    def _wait_gone(self) -> None:
        """Wait until every process of the group is gone, and its ports are free.

        A killed guard ends before its program, which is larger. So its exit does not say that the
        program has ended.
        """
        select.select([self._gone], [], [], _GONE_SECONDS)
        os.close(self._gone)
        wait_free(self.program.ports, seconds=5)

    def wait_ready(self, deadline: float) -> None:
        """Wait until every port answers.

        Raises:
            StartFailed: the program has ended, or `deadline` (monotonic seconds) is past.
        """
        for port in self.program.ports:
            while not answers(port):
                if self._ended.wait(0.03):
                    break
                if time.monotonic() > deadline:
                    raise StartFailed(
                        f"{self.program.name} does not answer on port {port}.{self._log_end()}"
                    )
        # Another program may have answered instead.
        if self._ended.is_set():
            code = self._exit_code if self._exit_code is not None else 0
            raise StartFailed(f"{self.program.name} {describe_exit(code)}.{self._log_end()}")
        self._was_ready.set()

    def _log_end(self) -> str:
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        except OSError:
            lines = []
        return "".join(f"\n    {line}" for line in (f"The end of {self._log}:", *lines))

    def give_up(self) -> None:
        """Stop restarting the program."""
        with self._lock:
            self._stopping.set()

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def end(self, deadline: float) -> None:
        """Wait for the program to end until `deadline` (monotonic seconds), then kill it."""
        if not self._thread.ident:
            return
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            self._signal(signal.SIGKILL)
            self._thread.join()

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
