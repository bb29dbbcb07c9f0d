"""Cost of the first request of a fresh instance, and of a function that imports everything.

Only the CPU time of the function's own
process counts; the servers that it talks to run in this one.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

from benchmarks.options import Options
from benchmarks.stage import Stage
from benchmarks.tables import Plot, Table
from local.emulators.firestore import serve as serve_firestore
from local.emulators.storage import serve as serve_storage
from local.emulators.tasks import serve as serve_tasks

_ROOT = Path(__file__).resolve().parents[1]
_LOCATION, _QUEUE, _BUCKET = "australia-southeast1", "imports", "exports"

EVERYTHING = (
    "import functions_framework, pandas, pydantic\n"
    "from google.cloud import firestore, storage, tasks_v2\n"
    "import shared.loading.attempt, shared.index, shared.sweeping, shared.reporting.reports\n"
)
"""What a function would import that has one list of imports with all the others."""

_EVENT = """
event = {
    "bucket": os.environ["BUCKET"], "name": %r, "generation": "1", "size": "3",
    "crc32c": "AAAAAA==", "timeCreated": "2023-05-01T12:00:00Z",
}
attributes = {
    "ce-id": "1", "ce-specversion": "1.0", "ce-source": "//storage.googleapis.com/",
    "ce-type": "google.cloud.storage.object.v1.finalized",
}
answer = app.test_client().post("/", json=event, headers=attributes)
assert answer.status_code == 200, answer.data
"""

_TASK = """
from shared.loading.worker import work
from shared.services import services
from shared.ledger.tasks import LoadTask
work(LoadTask(connection="main", import_id=%r, generation=%d, number=1), services())
"""

_SWEEP = """
from shared.services import services
from shared.sweeping.caretaker import sweep
sweep(services())
"""

_STATUS = """
answer = app.test_client().get("/")
assert answer.status_code == 200, answer.data
"""

_SCRIPT = """
import os, sys, time
began = time.process_time()
{everything}
import functions_framework
app = functions_framework.create_app({function!r}, {source!r}, {signature!r})
imported = time.process_time()
{request}
answered = time.process_time()
print("measured", imported - began, answered - imported)
"""

_CUSTOMERS = "customers_20241118T190000Z"
_HEADER = b"PERIDX,FIRSTNAME,EMAIL,PRIVACY,LAST_UPDATED\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A function and its first request. Times are CPU milliseconds, medians."""

    function: str
    request: str
    imports: float
    """Until it could take a request."""
    answer: float
    """From there until the first one was answered, with what had still to be imported."""
    everything: float
    """Both, for a function that imports all that any of them needs."""

    @property
    def both(self) -> float:
        """Until the first answer."""
        return self.imports + self.answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    function: str
    signature: str
    about: str
    code: str


CASES = (
    _Case(
        function="classify",
        signature="cloudevent",
        about="an event of no concern, such as of a file put away",
        code=_EVENT % f"processed/{_CUSTOMERS}.csv",
    ),
    _Case(
        function="classify",
        signature="cloudevent",
        about="an export file: recorded, and its task created",
        code=_EVENT % "pending/customers_20230501T115500Z.csv",
    ),
    _Case(
        function="load",
        signature="http",
        about="a task that has nothing to do",
        code=_TASK % ("customers_20200101T000000Z", 1),
    ),
    _Case(function="load", signature="http", about="a file of 100 rows, loaded", code=""),
    _Case(function="sweep", signature="http", about="nothing to be done", code=_SWEEP),
    _Case(function="status", signature="http", about="the page", code=_STATUS),
)


def measure(cases: Sequence[_Case] = CASES, *, repeats: int = 5) -> Iterator[Start]:
    """Measure cases one after the other, every repeat in a fresh process."""
    for case in cases:
        own = [_start(case, everything="") for _ in range(repeats)]
        all_of_it = [_start(case, everything=EVERYTHING) for _ in range(repeats)]
        yield Start(
            function=case.function,
            request=case.about,
            imports=statistics.median(imports for imports, _ in own),
            answer=statistics.median(answer for _, answer in own),
            everything=statistics.median(sum(both) for both in all_of_it),
        )


def _start(case: _Case, *, everything: str) -> tuple[float, float]:
    """Start a function once and have it answer; returns both times in milliseconds."""
    with _servers() as environment:
        code = case.code or _TASK % (_CUSTOMERS, _waiting_file(environment))
        script = _SCRIPT.format(
            everything=everything,
            function=case.function,
            source=str(_ROOT / "functions" / f"{case.function}.py"),
            signature=case.signature,
            request=code,
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=_ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    measured = [line for line in done.stdout.splitlines() if line.startswith("measured ")]
    if done.returncode or not measured:
        raise RuntimeError(f"{case.function} did not answer:\n{done.stdout}{done.stderr}")
    imports, answer = (1000 * float(seconds) for seconds in measured[-1].split()[1:])
    return imports, answer


def _waiting_file(environment: Mapping[str, str]) -> int:
    """Upload a file of 100 rows and let classify take it in; returns its generation."""
    rows = b"".join(b"%d,Ana,ana@example.com,No,2023-05-01 10:00:00\r\n" % n for n in range(1, 101))
    code = (
        "import os, sys\n"
        "from datetime import UTC, datetime\n"
        "from shared.gcp.events import StorageObject, read_event\n"
        "from shared.scheduling.intake import take_in\n"
        "from shared.services import services\n"
        f"blob = services().bucket.blob('pending/{_CUSTOMERS}.csv')\n"
        "blob.upload_from_string(sys.stdin.buffer.read(), content_type='text/csv')\n"
        "take_in(read_event(dict(blob._properties)), services())\n"
        "print(blob.generation)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=_ROOT,
        env=dict(environment),
        input=_HEADER + rows,
        capture_output=True,
        check=True,
    )
    return int(done.stdout.split()[-1])


@contextmanager
def _servers() -> Iterator[dict[str, str]]:
    """Run an empty database, bucket and queue; gives the environment that leads to them."""
    with tempfile.TemporaryDirectory(prefix="cold-start-") as folder:
        data = Path(folder)
        database = serve_firestore(data=data / "firestore")
        bucket = serve_storage(data=data / "storage", buckets=[_BUCKET])
        tasks = serve_tasks(data=data / "tasks")
        try:
            _make_queue(f"127.0.0.1:{tasks.port}")
            yield {
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(_ROOT),
                "NO_PROXY": "127.0.0.1",
                "GOOGLE_CLOUD_PROJECT": "local-project",
                "LOCATION": _LOCATION,
                "QUEUE": _QUEUE,
                "BUCKET": _BUCKET,
                "LOAD_URL": "http://127.0.0.1:9/",
                "TASKS_SERVICE_ACCOUNT": "pipeline@local-project.iam.gserviceaccount.com",
                "FIRESTORE_EMULATOR_HOST": f"127.0.0.1:{database.port}",
                "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{bucket.port}",
                "CLOUD_TASKS_EMULATOR_HOST": f"127.0.0.1:{tasks.port}",
            }
        finally:
            tasks.stop()
            bucket.stop()
            database.stop()


def _make_queue(address: str) -> None:
    """Make the queue, and keep its tasks from being sent anywhere."""
    parent = f"projects/local-project/locations/{_LOCATION}"
    with grpc.insecure_channel(address) as channel:
        client = tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel))
        queue = tasks_v2.Queue(name=f"{parent}/queues/{_QUEUE}")
        client.create_queue(parent=parent, queue=queue)
        client.pause_queue(name=queue.name)


def run(stage: Stage, options: Options) -> list[Table]:
    """Part `cold_start`: measure every case. The servers are this part's own."""
    return [table(list(measure(repeats=options.repeats)), repeats=options.repeats)]


def table(starts: Sequence[Start], *, repeats: int) -> Table:
    """Lay the results out."""
    return Table(
        name="cold_start",
        title="What a cold start costs",
        about=(
            "Milliseconds of processor time of a fresh process up to the answer to its first "
            f"request, medians of {repeats}; the last column is the same with everything imported."
        ),
        columns=("function", "first request", "imports", "answer", "together", "everything"),
        rows=[
            (
                start.function,
                start.request,
                *map(round, (start.imports, start.answer, start.both, start.everything)),
            )
            for start in starts
        ],
        plot=Plot(
            title="Milliseconds of processor time up to the first answer",
            labels=[f"{start.function}, {start.request}" for start in starts],
            bars={
                "as it is": [start.both for start in starts],
                "everything imported": [start.everything for start in starts],
            },
        ),
    )
