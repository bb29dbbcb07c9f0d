"""The deployed functions as their framework runs them, in this process and on services of a test's.

What they take over of the process, its logging above all, is given back.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import functions_framework
import pytest
from flask.testing import FlaskClient

from shared.core.logs import follow
from shared.services import Services

ROOT = Path(__file__).resolve().parents[2]
KINDS = {"classify": "cloudevent", "load": "http", "sweep": "http", "status": "http"}
SERVERS = ("gunicorn.error", "gunicorn.access")

EVENT_HEADERS = {
    "ce-id": "1",
    "ce-specversion": "1.0",
    "ce-type": "google.cloud.storage.object.v1.finalized",
    "ce-source": "//storage.googleapis.com/projects/_/buckets/uploads",
    "Content-Type": "application/json",
}
"""What an event of the storage service is sent with."""

Call = Callable[[str], FlaskClient]


@contextmanager
def undisturbed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave logging, warnings and hooks of the process as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setenv("GRPC_VERBOSITY", "NONE")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in SERVERS:
        logging.getLogger(name).filters.clear()
    follow(None, project="")


def client(name: str, services: Services, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """Load a function as the framework does; gives what calls it, whoever asks."""
    monkeypatch.setattr("shared.wiring.services", lambda: services)
    monkeypatch.setattr("shared.web.callers.check", lambda *_, **__: None)
    source = str(ROOT / "functions" / f"{name}.py")
    framework: Any = functions_framework
    return FlaskClient(framework.create_app(name, source, KINDS[name]))


def lines(output: str) -> list[dict[str, Any]]:
    """Read what was logged: a JSON object a line, and nothing else."""
    found = [json.loads(line) for line in output.splitlines()]
    assert all(isinstance(line, dict) and line["severity"] and line["message"] for line in found)
    return found
