"""What the functions ask of Google Cloud is what deploy/ has set up for them.

One story is told to the real clients: files of every kind come, go wrong, are waited for, replayed
and forgotten. What was asked for on the way is held against the roles, the indexes and the metrics.
"""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import google.cloud.storage as storage
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore, tasks_v2

from shared import pages
from shared.errors import TryAgain
from shared.intake import take_in
from shared.loading import work
from shared.replaying import release, replay
from shared.run import Run
from tests.integration.conftest import Servers
from tests.support.cloud import ROOT
from tests.support.pipeline import BUCKET, FakeQueue, Pipeline, customers_csv, orders_csv
from tests.support.recorder import Recorder, recording

SECRET_OF_A_ROW = "12 Pier Street"

NEEDS: Mapping[str, set[str]] = {
    "storage.objects.get": {"storage.objects.get"},
    "storage.objects.list": {"storage.objects.list"},
    # To put an object where there is one is to delete that.
    "storage.objects.insert": {"storage.objects.create", "storage.objects.delete"},
    "storage.objects.delete": {"storage.objects.delete"},
    "firestore.BatchGetDocuments": {"datastore.entities.get"},
    "firestore.RunQuery": {"datastore.entities.get", "datastore.entities.list"},
    "firestore.RunAggregationQuery": {"datastore.entities.get", "datastore.entities.list"},
    "firestore.ListDocuments": {"datastore.entities.get", "datastore.entities.list"},
    "firestore.BeginTransaction": {"datastore.databases.get"},
    "firestore.Rollback": {"datastore.databases.get"},
    "firestore.Commit": {"datastore.entities.create", "datastore.entities.update"},
    "firestore.BatchWrite": {"datastore.entities.create", "datastore.entities.update"},
    # A task is signed as an account, which its creator must be allowed to act as.
    "cloudtasks.CreateTask": {"cloudtasks.tasks.create", "iam.serviceAccounts.actAs"},
}
"""Call -> the permissions that it needs, as the services document them."""

GIVES: Mapping[str, set[str]] = {
    "roles/datastore.user": {
        "datastore.databases.get",
        *(f"datastore.entities.{what}" for what in ("create", "delete", "get", "list", "update")),
    },
    "roles/datastore.viewer": {
        "datastore.databases.get",
        "datastore.entities.get",
        "datastore.entities.list",
    },
    "roles/storage.objectUser": {
        f"storage.objects.{what}" for what in ("create", "delete", "get", "list", "update")
    },
    "roles/storage.objectViewer": {"storage.objects.get", "storage.objects.list"},
    "roles/cloudtasks.enqueuer": {"cloudtasks.tasks.create"},
    "roles/iam.serviceAccountUser": {"iam.serviceAccounts.actAs"},
}
"""Role -> those of its permissions that matter here, as IAM documents them."""

METHODS: Mapping[str, tuple[str, ...]] = {
    "batch": (),
    "blob": (),
    "bucket": (),
    "collection": (),
    "collection_group": (),
    "copy_blob": ("storage.objects.get", "storage.objects.insert"),
    "create": (),
    "create_task": ("cloudtasks.CreateTask",),
    "delete": ("storage.objects.delete",),
    "document": (),
    "download_as_bytes": ("storage.objects.get",),
    "end_at": (),
    "exists": ("storage.objects.get",),
    "get_all": ("firestore.BatchGetDocuments",),
    "get_blob": ("storage.objects.get",),
    "limit": (),
    "list_blobs": ("storage.objects.list",),
    "list_documents": ("firestore.ListDocuments",),
    "open": ("storage.objects.get", "storage.objects.insert"),
    "order_by": (),
    "queue_path": (),
    "reload": ("storage.objects.get",),
    "set": ("firestore.Commit",),
    "start_after": (),
    "start_at": (),
    "stream": ("firestore.RunQuery",),
    "sum": ("firestore.RunAggregationQuery",),
    "transaction": ("firestore.BeginTransaction", "firestore.Commit"),
    "upload_from_string": ("storage.objects.insert",),
    "where": (),
}
"""Every method of a Google client whose name occurs in the functions' code -> the calls it makes.

Names that Python's own types have as well (`get`, `set`, `update`) cannot be told apart in the
text; the story below is what shows those.
"""


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
class Story:
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
        self.doing("classify", lambda: take_in(event, self.pipeline.services))

    def load(self) -> None:
        """Let load do every task that is due, those that came last first."""
        queue = self.pipeline.queue
        while due := queue.due(self.pipeline.clock()):
            for task in reversed(due):
                self.doing("load", lambda task=task: work(task, self.pipeline.services))


@pytest.fixture(scope="module")
def story(servers: Servers) -> Iterator[Story]:
    """Tell the story, once for all tests."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        recorder = recording(monkeypatch)
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", servers.firestore)
        bucket = storage.Client(
            project="contracts",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": servers.storage},
        )
        for blob in bucket.list_blobs(BUCKET):
            blob.delete()
        database = firestore.Client(project="contracts")
        pipeline = Pipeline.over(database, bucket)
        queue = NotedQueue(recorder=recorder)
        pipeline.queue = queue
        pipeline.services = replace(pipeline.services, queue=queue)
        story = Story(pipeline, recorder, [])
        tell(story, database, monkeypatch)
        yield story


def tell(story: Story, database: firestore.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything happen that a function has to deal with."""
    pipeline, clock = story.pipeline, story.pipeline.clock
    services = pipeline.services
    database.document("connections/bad").set({"timeZone": 10})
    database.document("connections/main").set({"cadence": {"rewards": "1d"}})

    story.arrives("customers_20230501T110000Z.csv", customers_csv({"PERIDX": "1"}))
    story.arrives("customers_20230501T110000Z.csv", customers_csv({"PERIDX": "2"}))
    story.arrives("Customers_20230501.csv", "PERIDX\n1\n")
    story.arrives("orders_20230430T110000Z.csv", orders_csv({}))  # no customers will come
    story.arrives("orders_20230501T110500Z.csv", orders_csv({}, {"ORDER_NUMBER": "2"}))
    story.arrives("test/customers_20230501T110100Z.csv", customers_csv({"PERIDX": "3"}))
    story.arrives("bad/customers_20230501T110200Z.csv", customers_csv({"PERIDX": "4"}))
    story.load()
    clock.advance(timedelta(minutes=45))
    story.load()
    # Orders whose time comes before their customers are loaded.
    story.arrives("late/customers_20230501T111000Z.csv", customers_csv({"PERIDX": "7"}))
    story.arrives("late/orders_20230501T111500Z.csv", orders_csv({"PERIDX": "7"}))
    clock.advance(timedelta(minutes=45))
    story.load()
    rows = [{"PERIDX": str(number)} for number in range(9)]
    story.arrives("customers_20230501T120000Z.csv", customers_csv(*rows, {"PERIDX": "no/id"}))
    pipeline.put("customers_20230501T120500Z.csv", customers_csv({"PERIDX": "5"}))  # no event
    pipeline.put("customer_20230501T120600Z.csv", "PERIDX\n1\n")  # no event
    story.load()
    with monkeypatch.context() as broken:

        def fail(self: Run) -> None:
            raise KeyError(SECRET_OF_A_ROW)

        broken.setattr(Run, "carry_out", fail)
        story.arrives("customers_20230501T121000Z.csv", customers_csv({"PERIDX": "6"}))
        for task in pipeline.queue.due(clock()):
            with pytest.raises(TryAgain):
                story.doing("load", lambda task=task: work(task, services))
    clock.advance(timedelta(hours=8))
    story.doing("sweep", pipeline.sweep)
    story.load()
    story.doing("operators", lambda: release("main", "orders_20230430T110000Z", services))
    story.load()
    story.doing("operators", lambda: replay("main", "customers_20230501T120000Z", services))
    story.load()
    for connection in ("", "main"):
        for type in ("", "customers"):
            for status in ("", "loaded"):
                look(story, {"connection": connection, "type": type, "status": status})
    one = {"connection": "main", "import": "customers_20230501T120000Z"}
    look(story, {**one, "reveal": "1"})
    look(story, {**one, "download": "rejected"})
    # The objects were made just now, by the server's own clock.
    clock.now = clock.now.replace(year=clock.now.year + 10)
    story.doing("sweep", pipeline.sweep)


def look(story: Story, query: Mapping[str, str]) -> None:
    """Let status show a page to the end."""

    def show() -> None:
        request = pages.Request(method="GET", path="/", query=query, headers={})
        page = pages.answer(request, lambda: story.pipeline.services)
        assert page.status == 200, page.body
        for _ in page.body:
            pass

    story.doing("status", show)


def roles_of(who: str) -> dict[str, set[str]]:
    """Read what roles.txt allows an account: role -> on what."""
    allowed: dict[str, set[str]] = {}
    for line in (ROOT / "deploy" / "roles.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, role, on, _ = (cell.strip() for cell in line.split("|"))
            if name == who and role in GIVES:
                allowed.setdefault(role, set()).add(on)
    return allowed


@pytest.mark.parametrize("who", ["classify", "load", "sweep", "status", "operators"])
def test_allowed(story: Story, who: str) -> None:
    """An account may do everything that its function asks for."""
    permissions = {one for role in roles_of(who) for one in GIVES[role]}
    refused = {
        call.method for call in story.recorder.calls[who] if not NEEDS[call.method] <= permissions
    }

    assert set() == refused


@pytest.mark.parametrize("who", ["classify", "load", "sweep", "status"])
def test_no_more(story: Story, who: str) -> None:
    """Each role of a function's account is one that the function uses."""
    needed = {one for call in story.recorder.calls[who] for one in NEEDS[call.method]}

    assert set() == {role for role in roles_of(who) if not GIVES[role] & needed}


def test_classify_keeps_to_its_folder(story: Story) -> None:
    """classify touches no object outside rejected/, which is all that it may."""
    touched = {call.name for call in story.recorder.calls["classify"] if "storage" in call.method}

    assert {"bucket/rejected"} == roles_of("classify")["roles/storage.objectUser"]
    assert touched
    assert set() == {name for name in touched if not name.startswith("rejected/")}


def test_every_method_is_known() -> None:
    """The table of methods names just those that the functions' code calls."""
    clients = (
        *(storage.Blob, storage.Bucket, storage.Client, tasks_v2.CloudTasksClient),
        *(firestore.Client, firestore.DocumentReference, firestore.CollectionReference),
        *(firestore.Query, firestore.CollectionGroup, firestore.Transaction, firestore.WriteBatch),
    )
    offered = {
        name
        for client in clients
        for name in dir(client)
        if not name.startswith("_") and callable(getattr(client, name))
    }
    common = (dict, str, list, set, bytes, io.BytesIO, io.StringIO, re.Match)
    offered -= {name for kind in common for name in dir(kind)}
    used = {
        node.attr
        for folder in ("shared", "functions")
        for file in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in offered
    }

    assert set(METHODS) == used


def test_every_call_is_known(story: Story) -> None:
    """What the methods call, the story has called, and the other way round."""
    listed = {call for calls in METHODS.values() for call in calls}
    called = {call.method for calls in story.recorder.calls.values() for call in calls}

    assert listed == called - {"firestore.BatchWrite", "firestore.Rollback"}
    assert "firestore.BatchWrite" in called  # made by shared/transport.py itself
    assert called <= set(NEEDS)


def overrides() -> dict[tuple[str, str], set[tuple[str, str]]]:
    """Read what is said of single fields: (collection, field) -> (scope, order)."""
    content = json.loads((ROOT / "firestore.indexes.json").read_text())
    return {
        (one["collectionGroup"], one["fieldPath"]): {
            (index["queryScope"], index.get("order", "CONTAINS")) for index in one["indexes"]
        }
        for one in content["fieldOverrides"]
    }


def has_index(collection: str, scope: str, path: str, order: str) -> bool:
    """Whether a field has a single-field index."""
    said = overrides()
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        if (indexes := said.get((collection, ".".join(parts[:length])))) is not None:
            return (scope, order) in indexes
    return scope == "COLLECTION"


def composites() -> set[tuple[str, str, frozenset[str], tuple[str, str]]]:
    """Read the composite indexes: collection, scope, fields that are equal, field of the order."""
    content = json.loads((ROOT / "firestore.indexes.json").read_text())
    return {
        (
            one["collectionGroup"],
            one["queryScope"],
            frozenset(field["fieldPath"] for field in one["fields"][:-1]),
            (one["fields"][-1]["fieldPath"], one["fields"][-1]["order"]),
        )
        for one in content["indexes"]
    }


def fields_of(filter: Any) -> set[str]:
    """Name the fields that a query's filter compares."""
    if filter.HasField("composite_filter"):
        return set().union(*(fields_of(part) for part in filter.composite_filter.filters))
    for kind in ("field_filter", "unary_filter"):
        if filter.HasField(kind):
            return {getattr(filter, kind).field.field_path}
    return set()


def test_every_query_has_its_index(story: Story) -> None:
    """Firestore can answer every query that the functions have asked."""
    unanswerable = set()
    assert story.recorder.queries
    for query in story.recorder.queries:
        collection = query.from_[0].collection_id
        scope = "COLLECTION_GROUP" if query.from_[0].all_descendants else "COLLECTION"
        equal = fields_of(query.where)
        orders = [
            (order.field.field_path, "DESCENDING" if order.direction == 2 else "ASCENDING")
            for order in query.order_by
            if order.field.field_path != "__name__"
        ]
        if equal and orders:
            answered = (collection, scope, frozenset(equal), orders[0]) in composites()
        else:
            wanted = orders or [(path, "ASCENDING") for path in equal]
            answered = all(has_index(collection, scope, *one) for one in wanted)
        if not answered:
            unanswerable.add((collection, scope, frozenset(equal), tuple(orders)))

    assert set() == unanswerable


SEVERITIES = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL")
_TERM = re.compile(r'(NOT )?([\w.]+(?:\."[^"]+")?)(=~|>=|=)(.+)')


def field_of(entry: Mapping[str, Any], path: str) -> Any:
    """Return a field of a log entry, None where there is none."""
    value: Any = entry
    for part in re.findall(r'"[^"]+"|\w+', path):
        value = value.get(part.strip('"')) if isinstance(value, Mapping) else None
    return value


def matches(filter: str, entry: Mapping[str, Any]) -> bool:
    """Whether a log entry passes a filter, of the part of the language that is used here."""
    for term in filter.split(" AND "):
        match = _TERM.fullmatch(term)
        assert match, f"cannot be read: {term}"
        no, path, operator, text = match.groups()
        value = field_of(entry, path)
        wanted = (
            [json.loads(one) for one in text.strip("()").split(" OR ")]
            if (path != "severity")
            else [text]
        )
        if operator == "=":
            passed = value in wanted
        elif operator == "=~":
            passed = isinstance(value, str) and re.search(wanted[0], value) is not None
        elif path == "severity":
            passed = SEVERITIES.index(str(value)) >= SEVERITIES.index(text)
        else:
            passed = value is not None and value >= wanted[0]
        if passed == bool(no):
            return False
    return True


def entries(story: Story) -> list[dict[str, Any]]:
    """Make of the lines what Cloud Logging makes of them."""
    return [
        {
            "resource": {"type": "cloud_run_revision", "labels": {"service_name": who}},
            "severity": line["severity"],
            "jsonPayload": {name: value for name, value in line.items() if name != "severity"},
        }
        for who, line in story.lines
        if who != "operators"
    ]


METRICS = {
    file.stem: json.loads(file.read_text())
    for file in sorted((ROOT / "deploy" / "monitoring" / "metrics").glob("*.json"))
}


@pytest.mark.parametrize("name", sorted(set(METRICS) - {"gateway_failures"}))
def test_metric_counts(story: Story, name: str) -> None:
    """A metric finds lines that the code writes, and in each the labels and the value it takes."""
    metric = METRICS[name]
    found = [entry for entry in entries(story) if matches(metric["filter"], entry)]

    assert found
    extractors = [*metric["labelExtractors"].values(), metric.get("valueExtractor")]
    for extractor in filter(None, extractors):
        path = re.fullmatch(r"EXTRACT\((.+)\)", extractor)
        assert path
        values = [field_of(entry, path[1]) for entry in found]
        assert None not in values, (name, extractor)


def test_imports_ended(story: Story) -> None:
    """imports_ended counts each import once, by the status that it ended with."""
    found = [
        entry for entry in entries(story) if matches(METRICS["imports_ended"]["filter"], entry)
    ]

    ended = {entry["jsonPayload"]["status"] for entry in found}
    assert {"loaded", "loaded_with_rejects", "checked", "failed"} <= ended
    assert len(found) == len({json.dumps(entry["jsonPayload"]) for entry in found})


def test_alerts(story: Story) -> None:
    """import_alerts counts each kind of alert."""
    found = [
        entry for entry in entries(story) if matches(METRICS["import_alerts"]["filter"], entry)
    ]

    assert {"overdue", "failed"} <= {entry["jsonPayload"]["code"] for entry in found}


def test_a_failure_can_be_grouped(story: Story) -> None:
    """An unforeseen error has the stack trace that Error Reporting groups by, and no cell."""
    found = [
        entry["jsonPayload"]
        for entry in entries(story)
        if matches(METRICS["import_failures"]["filter"], entry)
    ]

    trace = found[0]["stack_trace"]
    assert trace.startswith("Traceback (most recent call last):\n  File ")
    assert re.search(r'File ".*/shared/loading\.py", line \d+, in _carry_out\n', trace)
    assert trace.splitlines()[-1].startswith("KeyError: ")
    assert SECRET_OF_A_ROW not in json.dumps(story.lines)


def test_gateway_events() -> None:
    """gateway_failures counts events that the gateway logs, as errors."""
    names = re.findall(r'"(\w+)"', METRICS["gateway_failures"]["filter"].split(" AND ")[0])
    text = "".join(file.read_text() for file in sorted(Path(ROOT / "gateway").glob("*.py")))

    for name in names:
        assert f'event="{name}"' in text or f'"{name}",' in text, name
    entry = {
        "resource": {"type": "gce_instance"},
        "severity": "ERROR",
        "jsonPayload": {"event": names[0]},
    }
    assert matches(METRICS["gateway_failures"]["filter"], entry)
    assert not matches(METRICS["gateway_failures"]["filter"], {**entry, "severity": "INFO"})
