"""Logs: one JSON object a line, whoever speaks, and no word that may quote a cell."""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from shared.core.logs import MESSAGE_LIMIT, follow, log, log_failure, take_over
from tests.support.functions import undisturbed

CELL = "ana.canary@example.com"


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave the process as it was, whatever has been taken over."""
    with undisturbed(monkeypatch):
        yield


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return what was written to both streams, a dict a line."""
    output = capsys.readouterr()
    assert output.err == ""
    return [json.loads(line) for line in output.out.splitlines()]


def test_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A line has severity, message and its fields."""
    log("WARNING", "Two\nlines.", importId="orders_x", rows=3)

    (line,) = lines(capsys)
    assert line == {
        "severity": "WARNING",
        "message": "Two\nlines.",
        "importId": "orders_x",
        "rows": 3,
    }


@pytest.mark.parametrize("name", ["\ud800.csv", "\u2028", "é😀", "\x00\x1b[31m", '"}\n{"'])
def test_any_name_can_be_logged(name: str, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """Whatever a name holds, it is one line of ASCII, from which the name can be read."""
    log("INFO", name, object=name)

    output = capsysbinary.readouterr().out
    assert output.isascii()
    assert output.count(b"\n") == 1
    assert name == json.loads(output)["object"]


def test_a_long_message(capsys: pytest.CaptureFixture[str]) -> None:
    """A message is cut before Cloud Logging would refuse the line."""
    log("INFO", "x" * 1_000_000)

    (line,) = lines(capsys)
    assert len(line["message"]) == MESSAGE_LIMIT + 1


TRACE = "105445aa7843bc8bf206b12000100000"


@pytest.mark.parametrize(
    ("header", "trace"),
    [
        (f"{TRACE}/1;o=1", f"projects/shop/traces/{TRACE}"),
        (TRACE, f"projects/shop/traces/{TRACE}"),
        (None, None),
        ("", None),
        ("/1;o=1", None),
        ("../../x/1", None),
        (f"{TRACE}0", None),
        ("x" * 100_000, None),
    ],
)
def test_trace(header: str | None, trace: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    """A line carries the trace of its request; a header that is none is left out."""
    follow(header, project="shop")

    log("INFO", "x")

    (line,) = lines(capsys)
    assert trace == line.get("logging.googleapis.com/trace")


def test_an_unforeseen_error(capsys: pytest.CaptureFixture[str]) -> None:
    """An error is logged with its kind and where it came by, and without its words."""
    try:
        int(CELL)
    except ValueError as error:
        log_failure("It failed.", error)

    (line,) = lines(capsys)
    assert (line["severity"], line["error"]) == ("ERROR", "ValueError")
    assert 'test_logs.py", line ' in line["stack_trace"]
    assert line["stack_trace"].startswith("Traceback (most recent call last):\n")
    assert line["@type"].endswith("ReportedErrorEvent")
    assert CELL not in json.dumps(line)


def test_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    """What a library logs is a line with its logger, and with that of its words that is fixed."""
    take_over()
    library = logging.getLogger("some.library")
    library.info("not heard")
    library.warning("Retrying %s", CELL)
    library.error(f"could not parse {CELL}")
    try:
        int(CELL)
    except ValueError:
        library.exception("failed with %s", CELL)

    warning, error, failure = lines(capsys)
    assert (warning["severity"], warning["message"]) == ("WARNING", "some.library: Retrying %s")
    assert (error["severity"], error["logger"]) == ("ERROR", "some.library")
    assert (failure["severity"], failure["error"]) == ("ERROR", "ValueError")
    assert CELL not in json.dumps([warning, error, failure])


def test_servers_with_handlers_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    """The server's logger writes our lines although it sets its own handler up after us."""
    take_over()
    server = logging.getLogger("gunicorn.error")
    handler = logging.StreamHandler(sys.stderr)
    server.addHandler(handler)
    try:
        server.critical("WORKER TIMEOUT (pid:%s)", 7)
    finally:
        server.removeHandler(handler)

    (line,) = lines(capsys)
    assert (
        line["severity"],
        line["message"],
    ) == ("CRITICAL", "gunicorn.error: WORKER TIMEOUT (pid:%s)")


def test_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    """A warning of Python's is a line with its kind and its place."""
    take_over()
    warnings.warn(f"mixed types in {CELL}", UserWarning, stacklevel=1)

    (line,) = lines(capsys)
    assert line["severity"] == "WARNING"
    assert line["place"].startswith("test_logs.py:")
    assert CELL not in json.dumps(line)


def test_the_end_of_a_thread(capsys: pytest.CaptureFixture[str]) -> None:
    """A thread that ends because of an error leaves a line."""
    take_over()
    thread = threading.Thread(target=int, args=(CELL,))
    thread.start()
    thread.join()

    (line,) = lines(capsys)
    assert (line["severity"], line["error"]) == ("ERROR", "ValueError")
    assert CELL not in json.dumps(line)


def test_the_end_of_the_process(capsys: pytest.CaptureFixture[str]) -> None:
    """A process that ends because of an error leaves a line."""
    take_over()
    error = ValueError(CELL)
    sys.excepthook(ValueError, error, None)

    (line,) = lines(capsys)
    assert (line["severity"], line["error"]) == ("ERROR", "ValueError")
    assert CELL not in json.dumps(line)
