"""The real handlers on real clients, with the clock and the queue in the test's hands."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import google.cloud.storage as storage
from google.cloud import firestore

from shared.core.errors import TryAgain
from shared.core.settings import Deployment
from shared.firestore.bulk.transport import Transport
from shared.firestore.database import FirestoreDatabase
from shared.gcp.events import StorageObject, read_event
from shared.ledger.imports import Import
from shared.ledger.store import LedgerStore
from shared.ledger.tasks import LoadTask
from shared.loading.worker import work
from shared.scheduling.intake import take_in
from shared.services import Services
from shared.sweeping.caretaker import sweep
from tests.support.imports import at

BUCKET = "uploads"


@dataclass(slots=True)
class Clock:
    """A clock that stands still until it is told to move."""

    now: datetime = field(default_factory=lambda: at("12:00"))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, span: timedelta | str) -> None:
        """Move on by a length of time, or to a time of day."""
        self.now = at(span) if isinstance(span, str) else self.now + span


@dataclass(slots=True)
class FakeQueue:
    """A queue that remembers: a task is taken once, and run when the test says so.

    Tasks that only judge a file are kept apart: `to_judge`.
    """

    waiting: dict[str, tuple[datetime, LoadTask]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    to_judge: dict[str, LoadTask] = field(default_factory=dict)
    judged: list[LoadTask] = field(default_factory=list)
    """Tasks that were in `to_judge`."""
    broken: bool = False

    def create(self, task: LoadTask, *, at: datetime) -> None:
        """Take a task, unless one of its name has ever been taken."""
        if self.broken:
            raise TryAgain("The queue is out of reach.")
        if task.judge:
            if task not in self.judged:
                self.to_judge[task.task_id] = task
            return
        if task.task_id not in self.seen:
            self.seen.add(task.task_id)
            self.waiting[task.task_id] = (at, task)

    def due(self, now: datetime) -> list[LoadTask]:
        """Take out the tasks whose time has come, the earliest first."""
        due = sorted((when, name) for name, (when, _) in self.waiting.items() if when <= now)
        return [self.waiting.pop(name)[1] for _, name in due]

    def judging(self) -> list[LoadTask]:
        """Take out the tasks that judge a file."""
        due, self.to_judge = [*self.to_judge.values()], {}
        self.judged += due
        return due


@dataclass(slots=True)
class Pipeline:
    """Everything between an upload and the documents."""

    services: Services
    clock: Clock
    queue: FakeQueue
    database: firestore.Client

    @classmethod
    def over(cls, database: firestore.Client, bucket: storage.Client, **settings: Any) -> Pipeline:
        """Build one over two clients, with these settings of the deployment."""
        clock, queue = Clock(), FakeQueue()
        services = Services(
            # Names are of any hour of the day that the clock stands in, unless a test is about it.
            deployment=Deployment(
                project="test",
                bucket=BUCKET,
                **{"future_tolerance": timedelta(days=1), **settings},
            ),
            ledger=LedgerStore(FirestoreDatabase(database)),
            documents=Transport(database),
            bucket=bucket.bucket(BUCKET),
            queue=queue,
            now=clock,
        )
        return cls(services, clock, queue, database)

    def put(self, name: str, content: str | bytes) -> StorageObject:
        """Put an object into the bucket and return its event, uploaded at the clock's time."""
        blob = self.services.bucket.blob(name)
        data = content.encode() if isinstance(content, str) else content
        blob.upload_from_string(data, content_type="text/csv")
        return read_event(
            {
                "bucket": BUCKET,
                "name": name,
                "generation": str(blob.generation),
                "size": str(len(data)),
                "crc32c": blob.crc32c,
                "timeCreated": self.clock().isoformat(),
            }
        )

    def upload(self, name: str, content: str | bytes) -> Import | None:
        """Put an object into the bucket and let its event arrive."""
        return take_in(self.put(name, content), self.services)

    def work(self, task: LoadTask) -> str:
        """Run one task."""
        return work(task, self.services)

    def run_due(self) -> list[str]:
        """Run every task whose time has come, and those that follow from it.

        Files that wait are judged on the way. The results are those of the other tasks.
        """
        results = []
        self.judge()
        while due := self.queue.due(self.clock()):
            results += [self.work(task) for task in due]
            self.judge()
        return results

    def judge(self) -> list[str]:
        """Judge every file that waits to be judged."""
        return [self.work(task) for task in self.queue.judging()]

    def sweep(self) -> dict[str, Any]:
        """Sweep once; gives what was done."""
        return sweep(self.services)

    def import_(self, import_id: str, connection: str = "main") -> Import:
        """Read an import."""
        path = f"connections/{connection}/imports/{import_id}"
        data = self.database.document(path).get().to_dict()
        assert data is not None, f"there is no {path}"
        return Import.from_document(connection=connection, import_id=import_id, data=data)

    def documents(self, collection: str, connection: str = "main") -> dict[str, dict[str, Any]]:
        """Read all documents of a collection of a connection."""
        path = f"connections/{connection}/{collection}"
        return {
            snapshot.id: snapshot.to_dict() or {}
            for snapshot in self.database.collection(path).stream()
        }

    def objects(self) -> set[str]:
        """Name every object in the bucket but those in `state/`."""
        names = {blob.name for blob in self.services.bucket.list_blobs()}
        return {name for name in names if not name.startswith("state/")}

    def remembered(self) -> set[str]:
        """Name the objects in `state/`."""
        return {blob.name for blob in self.services.bucket.list_blobs(prefix="state/")}

    def read(self, name: str) -> str:
        """Read an object as text."""
        content: bytes = self.services.bucket.blob(name).download_as_bytes()
        return content.decode("utf-8-sig")

    def report(self, name: str) -> dict[str, Any]:
        """Read a JSON report."""
        report: dict[str, Any] = json.loads(self.read(name))
        return report

    def rejected(self, name: str) -> list[dict[str, str]]:
        """Read a rejected file, a dict a row."""
        return list(csv.DictReader(io.StringIO(self.read(name))))


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write rows as an export file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def customers_csv(*rows: Mapping[str, object]) -> str:
    """Write a customers file; every row is a customer in Hobart unless it says otherwise."""
    header = ("PERIDX", "FIRSTNAME", "CITY", "EMAIL", "PRIVACY", "LAST_UPDATED")
    usual = {"FIRSTNAME": "Ana", "CITY": "Hobart", "EMAIL": "ana@example.com", "PRIVACY": "No"}
    names = (*header, *sorted({name for row in rows for name in row} - set(header)))
    return csv_text(names, [[{**usual, **row}.get(name, "") for name in names] for row in rows])


def orders_csv(*rows: Mapping[str, object]) -> str:
    """Write an orders file; every line is one pair of socks for customer 1 unless it says so."""
    header = (
        *("PERIDX", "ORDER_NUMBER", "ORDER_DATE", "LINE_NUMBER", "SKU", "PRODUCT_CODE"),
        *("QUANTITY", "PRICE", "VALUE"),
    )
    usual = {
        "PERIDX": "1",
        "ORDER_DATE": "2023-05-01",
        "LINE_NUMBER": "1",
        "SKU": "S1",
        "PRODUCT_CODE": "SOCK",
        "QUANTITY": "1",
        "PRICE": "9.95",
        "VALUE": "9.95",
    }
    names = (*header, *sorted({name for row in rows for name in row} - set(header)))
    return csv_text(names, [[{**usual, **row}.get(name, "") for name in names] for row in rows])
