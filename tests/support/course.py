"""Everything that can happen to files, and what was asked of Google Cloud and logged on the way.

Files of every kind come, go wrong, are waited for, replayed and forgotten.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import google.cloud.storage as storage
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from shared.core.errors import SettingsError, TryAgain
from shared.ledger.imports import Import
from shared.loading.worker import work
from shared.scheduling import lying_there, take_in, take_in_event
from shared.scheduling.replay import release, replay
from shared.status import routes
from shared.web.answers import answer
from tests.support.pipeline import BUCKET, FakeQueue, Pipeline, customers_csv, orders_csv
from tests.support.recorder import Recorder, recording

SECRET_OF_A_ROW = "12 Pier Street"


@dataclass(slots=True)
class NotedQueue(FakeQueue):
    """A queue that writes down who enqueues."""

    recorder: Recorder | None = None

    def create(self, task: Any, *, at: Any) -> None:
        """Take a task."""
        assert self.recorder is not None
        self.recorder.note("cloudtasks.CreateTask")
        FakeQueue.create(self, task, at=at)


@dataclass(slots=True)
class Course:
    """The pipeline with a recorder in it, and the lines that it logged."""

    pipeline: Pipeline
    recorder: Recorder
    lines: list[tuple[str, dict[str, Any]]]

    def doing(self, who: str, what: Any) -> Any:
        """Let a function do something, and keep what it logs."""
        output = io.StringIO()
        try:
            with self.recorder.acting(who), redirect_stdout(output):
                return what()
        finally:
            self.lines += [(who, json.loads(line)) for line in output.getvalue().splitlines()]

    def arrives(self, name: str, content: str) -> None:
        """Put a file into the bucket; classify takes it in."""
        event = self.pipeline.put(name, content)

        def classify() -> Import | None:
            # The bucket's own time is not that of the clock.
            lying_there(event.name, self.pipeline.services)
            return take_in(event, self.pipeline.services)

        self.doing("classify", classify)

    def refused(self, name: str) -> None:
        """Put the gateway's note about a refused name into the bucket; classify takes it."""
        event = self.pipeline.put("refusals/main/x.json", json.dumps({"object": name}))
        self.doing("classify", lambda: take_in_event(event, self.pipeline.services))

    def load(self) -> None:
        """Let load do every task that is due, those that came last first."""
        queue = self.pipeline.queue
        while due := queue.due(self.pipeline.clock()):
            for task in reversed(due):
                self.doing("load", lambda task=task: work(task, self.pipeline.services))


def run_course(firestore_address: str, storage_address: str) -> Course:
    """Let it happen in a database and in a bucket, which is emptied before."""
    with pytest.MonkeyPatch.context() as monkeypatch, recording() as recorder:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_address)
        bucket = storage.Client(
            project="contracts",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": storage_address},
        )
        for blob in bucket.list_blobs(BUCKET):
            blob.delete()
        database = firestore.Client(project="contracts")
        pipeline = Pipeline.over(database, bucket)
        queue = NotedQueue(recorder=recorder)
        pipeline.queue = queue
        pipeline.services = replace(pipeline.services, queue=queue)
        course = Course(pipeline, recorder, [])
        happen(course, database, monkeypatch)
    return course


def happen(course: Course, database: firestore.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything happen that a function has to deal with."""
    pipeline, clock = course.pipeline, course.pipeline.clock
    services = pipeline.services
    database.document("connections/bad").set({"timeZone": 10})
    database.document("connections/main").set({"cadence": {"rewards": "1d"}})

    course.arrives("customers_20230501T110000Z.csv", customers_csv({"PERIDX": "1"}))
    course.arrives("customers_20230501T110000Z.csv", customers_csv({"PERIDX": "2"}))
    course.arrives("Customers_20230501.csv", "PERIDX\n1\n")
    course.arrives("orders_20230430T110000Z.csv", orders_csv({}))  # no customers will come
    course.arrives("orders_20230501T110500Z.csv", orders_csv({}, {"ORDER_NUMBER": "2"}))
    course.arrives("test/customers_20230501T110100Z.csv", customers_csv({"PERIDX": "3"}))
    course.arrives("bad/customers_20230501T110200Z.csv", customers_csv({"PERIDX": "4"}))
    course.refused("pending/main/cust.csv")
    course.load()
    clock.advance(timedelta(minutes=45))
    course.load()
    # Orders whose time comes before their customers are loaded.
    course.arrives("late/customers_20230501T111000Z.csv", customers_csv({"PERIDX": "7"}))
    course.arrives("late/orders_20230501T111500Z.csv", orders_csv({"PERIDX": "7"}))
    clock.advance(timedelta(minutes=45))
    course.load()
    rows = [{"PERIDX": str(number)} for number in range(9)]
    course.arrives("customers_20230501T120000Z.csv", customers_csv(*rows, {"PERIDX": "no/id"}))
    pipeline.put("customers_20230501T120500Z.csv", customers_csv({"PERIDX": "5"}))  # no event
    pipeline.put("customer_20230501T120600Z.csv", "PERIDX\n1\n")  # no event
    course.load()
    with monkeypatch.context() as broken:

        def fail(*_: object) -> None:
            raise KeyError(SECRET_OF_A_ROW)

        broken.setattr("shared.loading.whole.load", fail)
        course.arrives("customers_20230501T121000Z.csv", customers_csv({"PERIDX": "6"}))
        for task in pipeline.queue.due(clock()):
            with pytest.raises(TryAgain):
                course.doing("load", lambda task=task: work(task, services))
    clock.advance(timedelta(hours=8))
    course.doing("sweep", pipeline.sweep)
    course.load()
    course.doing("operators", lambda: release("main", "orders_20230430T110000Z", services))
    course.load()
    course.doing("operators", lambda: replay("main", "customers_20230501T120000Z", services))
    course.load()
    for connection in ("", "main"):
        for type in ("", "customers"):
            for status in ("", "loaded"):
                look(course, {"connection": connection, "type": type, "status": status})
    one = {"connection": "main", "import": "customers_20230501T120000Z"}
    look(course, {**one, "reveal": "1"})
    look(course, {**one, "download": "rejected"})
    course.doing("load", lambda: answer(SettingsError("LEASE", "expected a length of time")))
    # The objects were made just now, by the server's own clock.
    clock.now = clock.now.replace(year=clock.now.year + 10)
    course.doing("sweep", pipeline.sweep)


def look(course: Course, query: Mapping[str, str]) -> None:
    """Let status show a page to the end."""

    def show() -> None:
        request = routes.Request(method="GET", path="/", query=query)
        page = routes.answer(request, lambda: course.pipeline.services)
        assert page.status == 200, page.body
        for _ in page.body:
            pass

    course.doing("status", show)
