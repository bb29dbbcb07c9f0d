"""Programs are kept running, and none outlives the supervisor."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.processes import (
    Program,
    StartFailed,
    Supervisor,
    answers,
    describe_exit,
    free_ports,
    is_free,
    restart_delay,
)
from tests.support.waiting import PATIENCE, alive, eventually

ROOT = Path(__file__).resolve().parents[3]

LISTEN = """
import os, socket, sys, time
print("listening", os.getpid(), flush=True)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    listener.accept()[0].close()
"""

# Ignores a polite stop and has a worker that would go on alone.
STUBBORN = """
import os, signal, socket, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
worker = os.fork()
if worker:
    print("worker", worker, flush=True)
    print("program", os.getpid(), flush=True)
while True:
    time.sleep(1)
"""

# The kernel needs a while to end it, because of its memory and its threads.
HEAVY = """
import signal, socket, sys, threading, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
memory = bytearray(60_000_000)
for _ in range(30):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    time.sleep(1)
"""


def program(name: str, code: str, port: int) -> Program:
    return Program(
        name=name,
        command=(sys.executable, "-I", "-S", "-c", code, str(port)),
        ports=(port,),
        environment=dict(os.environ),
    )


def numbers(log: Path, word: str) -> list[int]:
    """Process ids that a test program has printed after a word."""
    if not log.exists():
        return []
    return [int(line.split()[1]) for line in log.read_text().splitlines() if word in line]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    kept = Supervisor(logs=tmp_path / "logs", folder=tmp_path, say=said.append, grace=0.5)
    yield kept
    kept.stop()


def test_start_waits_until_the_port_answers(supervisor: Supervisor) -> None:
    """A started program accepts connections when start returns."""
    [port] = free_ports([0])

    supervisor.start([[program("web", LISTEN, port)]], timeout=PATIENCE)

    assert answers(port)


def test_stop_ends_everything(supervisor: Supervisor, tmp_path: Path) -> None:
    """A program that ignores SIGTERM is killed, and so is the worker it has started."""
    [port] = free_ports([0])
    supervisor.start([[program("stubborn", STUBBORN, port)]], timeout=PATIENCE)
    log = tmp_path / "logs" / "stubborn.log"
    assert eventually(lambda: bool(numbers(log, "program")))

    supervisor.stop()

    pids = numbers(log, "worker") + numbers(log, "program")
    assert len(pids) == 2
    assert eventually(lambda: not any(map(alive, pids)))


def test_what_is_killed_has_let_go_of_its_ports(supervisor: Supervisor) -> None:
    """After a stop, the ports of killed programs are free."""
    ports = free_ports([0] * 4)
    heavy = [program(f"heavy-{port}", HEAVY, port) for port in ports]
    supervisor.start([heavy], timeout=PATIENCE)

    supervisor.stop()

    assert [port for port in ports if not is_free(port)] == []


def test_a_dead_program_comes_back(supervisor: Supervisor, tmp_path: Path, said: list[str]) -> None:
    """A program that is killed is started again on its port, and a message says so."""
    [port] = free_ports([0])
    supervisor.start([[program("web", LISTEN, port)]], timeout=PATIENCE)
    log = tmp_path / "logs" / "web.log"
    [first] = numbers(log, "listening")

    os.kill(first, signal.SIGKILL)

    assert eventually(lambda: len(numbers(log, "listening")) == 2)
    assert eventually(lambda: answers(port))
    assert said == [f"web was ended by SIGKILL; starting it again in 0.25 s (log: {log})"]


def test_a_dead_guard_takes_its_program_along(supervisor: Supervisor, tmp_path: Path) -> None:
    """Killing the guard alone leaves no second copy of the program behind."""
    [port] = free_ports([0])
    supervisor.start([[program("web", LISTEN, port)]], timeout=PATIENCE)
    log = tmp_path / "logs" / "web.log"
    [first] = numbers(log, "listening")

    os.kill(supervisor.pids["web"], signal.SIGKILL)

    assert eventually(lambda: len(numbers(log, "listening")) == 2)
    assert eventually(lambda: not alive(first))


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("{python}", "-c", "raise SystemExit('No such setting')"), "ended with exit code 1"),
        (("/no/such/program",), "could not be started"),
    ],
)
def test_a_program_that_never_comes_up(
    supervisor: Supervisor, command: tuple[str, ...], why: str
) -> None:
    """A program that ends before it answers fails the start at once, with the end of its log."""
    [port] = free_ports([0])
    broken = Program(
        name="broken",
        command=tuple(part.format(python=sys.executable) for part in command),
        ports=(port,),
    )

    with pytest.raises(StartFailed, match=f"^broken {why}\\.\n    The end of .*\n    .*No such"):
        supervisor.start([[broken]], timeout=PATIENCE)


def test_a_program_that_does_not_answer(supervisor: Supervisor) -> None:
    """A program that runs but does not listen fails the start when the time is up."""
    [port] = free_ports([0])

    with pytest.raises(StartFailed, match=f"silent does not answer on port {port}"):
        supervisor.start([[program("silent", "import time; time.sleep(60)", port)]], timeout=0.3)


def test_a_taken_port_is_named(supervisor: Supervisor) -> None:
    """A port that somebody else listens on fails the start before anything runs."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(StartFailed, match=f"web cannot have port {port}"):
            supervisor.start([[program("web", LISTEN, port)]], timeout=PATIENCE)

    assert supervisor.pids == {}


def test_layers_end_last_first(tmp_path: Path) -> None:
    """A program is still there while those that lean on it are being ended."""
    order = tmp_path / "order"
    code = """
import signal, socket, sys
def stop(*_):
    with open({order!r}, "a") as order: print({name!r}, file=order)
    sys.exit()
signal.signal(signal.SIGTERM, stop)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    listener.accept()[0].close()
"""
    layers = [
        [program(name, code.format(order=str(order), name=name), port)]
        for name, port in zip(
            ("database", "queue", "functions"), free_ports([0, 0, 0]), strict=True
        )
    ]
    patient = Supervisor(logs=tmp_path / "logs", folder=tmp_path, say=print, grace=PATIENCE)
    try:
        patient.start(layers, timeout=PATIENCE)
    finally:
        patient.stop()

    assert order.read_text().split() == ["functions", "queue", "database"]


def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    """After kill -9 of the supervisor its programs and their workers end by themselves."""
    [port] = free_ports([0])
    script = f"""
import sys, time
from pathlib import Path
from local.processes import Program, Supervisor
supervisor = Supervisor(logs=Path({str(tmp_path)!r}), folder=Path("."), say=print)
command = (sys.executable, "-I", "-S", "-c", {STUBBORN!r}, "{port}")
supervisor.start([[Program(name="stubborn", command=command, ports=({port},))]], timeout={PATIENCE})
print(supervisor.pids["stubborn"], flush=True)
time.sleep({PATIENCE})
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent:
        guard = int(parent.stdout.readline())
        log = tmp_path / "stubborn.log"
        assert eventually(lambda: bool(numbers(log, "program")))
        pids = [guard, *numbers(log, "worker"), *numbers(log, "program")]
        assert all(map(alive, pids))

        parent.kill()

    assert eventually(lambda: not any(map(alive, pids)))
    assert eventually(lambda: is_free(port))


def test_free_ports_keeps_what_is_free() -> None:
    """A wanted port is given where it is free and replaced where it is taken."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        used = taken.getsockname()[1]
        [wish] = free_ports([0])

        ports = free_ports([0, used, wish, 0])

    assert ports[2] == wish
    assert len({*ports, used}) == 5


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 0.25), (2, 0.5), (3, 1.0), (6, 8.0), (7, 15.0), (5000, 15.0)]
)
def test_restart_delay(failures: int, seconds: float) -> None:
    """The pause before another start doubles with each failure in a row, up to 15 seconds."""
    assert restart_delay(failures) == seconds


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended with exit code 0"),
        (3, "ended with exit code 3"),
        (127, "could not be started"),
        (137, "was ended by SIGKILL"),
        (-15, "was ended by SIGTERM"),
        (255, "ended with exit code 255"),
    ],
)
def test_describe_exit(code: int, words: str) -> None:
    """An exit code is told as a signal's name where it stands for one."""
    assert describe_exit(code) == words
