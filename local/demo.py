"""Shows the pipeline in half a minute: uploads the samples, and checks the result."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import paramiko
from google.cloud import firestore

from local.endpoints import Endpoints
from local.sample_data import WITHDRAWN, Sample, Truth, make_large, make_samples
from local.stack import Stack
from local.timeline import Screen, Timeline, Upload
from shared.files import ExportFile, read_name
from shared.ledger import ENDED

_PATIENCE_SECONDS = 300.0
"""Seconds that a step may take, in addition to the delay of the orders."""

CUSTOMERS = "good/customers_20241118T190000Z.csv"
ORDERS = "good/orders_20241118T190500Z.csv"
REWARDS = "good/rewards_20241118T191000Z.csv"
NEXT_CUSTOMERS = "good/customers_20241119T190000Z.csv"
OLDER_CUSTOMERS = "good/customers_20241117T190000Z.csv"
NZ_CUSTOMERS = "good/nz/customers_20241118T180000Z.csv"
NZ_ORDERS = "good/nz/orders_20241118T180500Z.csv"
NZ_REWARDS = "good/nz/rewards_20241118T181000Z.csv"
TEN_FAULTS = "faulty/ten-faults/customers_20241120T030200Z.csv"
MISNAMED = "faulty/wrong-name/Customers_20241120T010000Z.csv"
LARGE_ROWS = 25_000
"""Rows of the larger file, unless another number is given."""
STRANGERS_ORDERS = 3
"""Orders in `ORDERS` of people who are in no customers file."""


_LEGEND = (
    "Every line below begins with the seconds since the start. `SFTP put` is an upload, as the "
    "retailer's ERP makes it; what follows is read from the imports ledger: connection/import, the "
    "statuses it has had, and what the ledger says of it. A connection is one feed of one "
    "retailer; files in no folder of their own are of the connection main."
)
_NEXT = (
    "What to do next: `make up` starts the same pipeline and leaves it running, with an SFTP "
    "address to upload to and a status page to look at; README.md says what else there is to read."
)


class Uploader:
    """SFTP client of the gateway, in the place of the retailer's ERP."""

    def __init__(self, endpoints: Endpoints) -> None:
        sftp = endpoints.sftp
        self._transport = paramiko.Transport((sftp.host, sftp.port))
        self._transport.connect(username=sftp.user, password=sftp.password)
        client = paramiko.SFTPClient.from_transport(self._transport)
        if client is None:
            raise OSError("The gateway opened no SFTP session.")
        self._client = client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.close()
        self._transport.close()

    def put(self, name: str, content: bytes) -> None:
        """Upload a file. If it is refused, the OSError has the gateway's message."""
        folder, _, _ = name.rpartition("/")
        with contextlib.suppress(OSError):
            self._client.mkdir(folder)
        self._client.putfo(io.BytesIO(content), name, len(content), confirm=False)

    def get(self, name: str) -> bytes:
        """Download a file."""
        content = io.BytesIO()
        self._client.getfo(name, content)
        return content.getvalue()


def run_demo(stack: Stack, *, orders_delay: timedelta, rows: int = LARGE_ROWS) -> bool:
    """Upload the samples, report progress, and check; return True if the result is correct.

    The report is for people. The expected result comes from the generator of the samples.
    """
    os.environ.update(stack.endpoints.environment())
    database = firestore.Client(project=stack.endpoints.project)
    screen = Screen()
    large = make_large(rows)
    with Uploader(stack.endpoints) as uploader, Timeline(database, screen) as timeline:
        demo = _Demo(
            screen=screen,
            samples={sample.path: sample for sample in [*make_samples(), large]},
            large=large.path,
            uploader=uploader,
            timeline=timeline,
            database=database,
            orders_delay=orders_delay,
        )
        demo.tell()
        return demo.check()


class DemoFailed(Exception):
    """A demo that cannot continue."""


@dataclass(slots=True, kw_only=True)
class _Demo:
    screen: Screen
    samples: Mapping[str, Sample]
    large: str
    uploader: Uploader
    timeline: Timeline
    database: firestore.Client
    orders_delay: timedelta
    uploads: dict[str, Upload] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    began_empty: bool = True

    # -- what is told -------------------------------------------------------------------------

    def tell(self) -> None:
        """Upload the files, one scenario after the other."""
        screen = self.screen
        self.began_empty = not self.timeline.imports
        delay = f"{self.orders_delay.total_seconds():g} seconds"
        screen.line()
        screen.line(screen.wrap(_LEGEND, 0))
        if not self.began_empty:
            screen.line()
            screen.line(
                screen.wrap(
                    "This folder holds an earlier run. The same files are uploaded again, which "
                    "loads them again and must change nothing.",
                    0,
                )
            )

        screen.head(
            "1  A customers file, its orders, and rewards",
            f"The orders start {delay} after their customers file was uploaded (in production 30 "
            "minutes), and not before that has been loaded.",
        )
        self._upload(CUSTOMERS, ORDERS, REWARDS)
        self._wait([CUSTOMERS, REWARDS], *ENDED)
        self._wait([ORDERS])

        screen.head(
            "2  Orders that come before their customers",
            "Another connection, nz, sends them the wrong way round: they wait.",
        )
        self._upload(NZ_ORDERS)
        self._wait([NZ_ORDERS], *(("waiting",) if self.began_empty else ()))
        self._upload(NZ_CUSTOMERS, NZ_REWARDS)
        self._wait([NZ_CUSTOMERS, NZ_REWARDS], *ENDED)

        screen.head(
            "3  A file with a wrong name",
            "The gateway refuses it at once and says what the right name would be.",
        )
        self._upload_misnamed()

        screen.head(
            "4  A file with ten faults, each in a row of its own",
            "Four make a row unusable: it is not loaded, and the retailer finds it in rejected/, "
            "with its line, its column and the reason. Six are in cells that a row can do without: "
            "it is loaded with a warning. All other rows are loaded as they are.",
        )
        self._upload(TEN_FAULTS)
        self._wait([TEN_FAULTS], *ENDED)
        self._show_rejects()

        screen.head(
            "5  A consent that is withdrawn stays withdrawn",
            f"On the 18th customer {WITHDRAWN} is subscribed, on the 19th no longer. Then an "
            "export of the 17th comes late, with the old consent.",
        )
        self._show_consent("after the export of the 18th")
        for path, when in (
            (NEXT_CUSTOMERS, "after the export of the 19th"),
            (OLDER_CUSTOMERS, "after the late export of the 17th"),
        ):
            self._upload(path)
            self._wait([path], *ENDED)
            self._show_consent(when)

        screen.head(
            "6  A larger file",
            f"{self.samples[self.large].rows:,} customers of a third connection, outlet, to watch "
            "the progress. Meanwhile the orders of 1 and 2 come due, if they have not already.",
        )
        self._upload(self.large)
        self._wait(list(self.uploads), *ENDED)

    def _upload(self, *paths: str) -> None:
        for path in paths:
            sample = self.samples[path]
            named = read_name(sample.object)
            if not isinstance(named, ExportFile):
                raise DemoFailed(f"{sample.object} is no export file.")
            now = datetime.now(UTC)
            self.uploads[path] = Upload(
                connection=named.connection,
                import_id=named.import_id,
                # The bucket may store no more than milliseconds.
                at=now.replace(microsecond=now.microsecond // 1000 * 1000),
            )
            try:
                self.uploader.put(sample.object, sample.content)
            except OSError as error:
                raise DemoFailed(f"{sample.object} was not taken: {error}") from error
            size = len(sample.content)
            self.screen.say(f"SFTP put {sample.object} ({sample.rows:,} rows, {size:,} bytes)")

    def _wait(self, paths: Sequence[str], *statuses: str) -> None:
        patience = _PATIENCE_SECONDS + self.orders_delay.total_seconds()
        uploads = [self.uploads[path] for path in paths]
        if not self.timeline.wait(
            uploads, lambda import_: not statuses or import_.status in statuses, seconds=patience
        ):
            late = [
                f"{upload.connection}/{upload.import_id}"
                f" ({import_.status if (import_ := self.timeline.import_of(upload)) else 'unseen'})"
                for upload in uploads
            ]
            raise DemoFailed(f"Not {' or '.join(statuses)} in {patience:g} s: {', '.join(late)}.")

    def _upload_misnamed(self) -> None:
        sample = self.samples[MISNAMED]
        self.screen.say(f"SFTP put {sample.object}")
        try:
            self.uploader.put(sample.object, sample.content)
        except OSError as refusal:
            words = refusal.strerror or str(refusal)
            self.screen.say(f"refused: {words}", colours={"refused": "bad"})
        else:
            self.failures.append(f"{sample.object} was accepted in spite of its name.")

    def _show_rejects(self) -> None:
        import_ = self.timeline.import_of(self.uploads[TEN_FAULTS])
        report = import_.reports.rejected if import_ else None
        if report is None:
            self.failures.append(f"{TEN_FAULTS} has no report of its rejected rows.")
            return
        self.screen.say(f"SFTP get {report}")
        text = self.uploader.get(report).decode("utf-8-sig")
        rejects = list(csv.DictReader(io.StringIO(text, newline="")))
        for row in rejects:
            self._show_fault(row["line"], row["column"], row["code"], row["reason"])
        self.screen.say("the warnings, in the ledger and in the report:")
        for warning in import_.warnings if import_ else ():
            self._show_fault(
                *(warning["line"], warning.get("column", "")),
                *(warning["code"], warning["message"]),
            )

    def _show_fault(self, line: object, column: str, code: str, reason: str) -> None:
        self.screen.line(
            self.screen.wrap(f"line {line:>3}  {column:<12}  {code:<19}  {reason}", 9, 55)
        )

    def _show_consent(self, when: str) -> None:
        reference = self.database.document(f"connections/main/customers/{WITHDRAWN}")
        subscribed = (reference.get().to_dict() or {}).get("subscribed")
        self.screen.say(f"customer {WITHDRAWN} {when}: subscribed = {json.dumps(subscribed)}")

    # -- what is checked ----------------------------------------------------------------------

    def check(self) -> bool:
        """Compare Firestore and the ledger with the expected result; print the outcome."""
        screen = self.screen
        for path in self.uploads:
            self.failures += self._check_import(path)
        self.failures += self._check_order(CUSTOMERS, ORDERS)
        self.failures += self._check_order(NZ_CUSTOMERS, NZ_ORDERS)

        screen.line(f"\n{screen.paint('What is in Firestore', 'bold')}")
        connections = dict.fromkeys(self.samples[path].connection for path in self.uploads)
        for connection in connections:
            expected = self._expected(connection)
            found = self._found(connection)
            self._show_counts(connection, found)
            self.failures += differences(connection, expected, found)
        screen.line(f"\n{screen.paint('One document of each type', 'bold')}")
        self._show_examples()

        for failure in self.failures:
            screen.line(screen.paint(f"  WRONG: {failure}", "bad"))
        if self.failures:
            screen.line(f"\n{screen.paint('The demo has FAILED.', 'bad')}")
        else:
            screen.line(f"\n{screen.wrap(_NEXT, 0)}")
            done = (
                "Every file ended as it should, and Firestore holds what it must: the demo is OK."
            )
            screen.line(f"\n{screen.paint(done, 'good')}")
        return not self.failures

    def _check_import(self, path: str) -> Iterator[str]:
        sample = self.samples[path]
        import_ = self.timeline.import_of(self.uploads[path])
        if import_ is None:
            yield f"{path} is not in the ledger."
            return
        orphaned = STRANGERS_ORDERS if path == ORDERS else 0
        rows = import_.rows
        for what, found, wanted in (
            ("ended", import_.status, sample.status),
            ("rows read", rows.read, sample.rows),
            ("rows rejected", rows.rejected, sample.rejected),
            (
                "rows loaded, unchanged or outdated",
                rows.loaded + rows.unchanged + rows.outdated,
                rows.read - rows.rejected,
            ),
            ("orders orphaned", rows.orphaned, orphaned),
        ):
            if found != wanted:
                yield f"{path}: {what} {found}, must be {wanted}."

    def _check_order(self, customers_path: str, orders_path: str) -> Iterator[str]:
        customers = self.timeline.import_of(self.uploads[customers_path])
        orders = self.timeline.import_of(self.uploads[orders_path])
        if not customers or not orders or not orders.started_at or not customers.finished_at:
            yield f"{orders_path} or its customers file has not been loaded."
            return
        if not self.began_empty:
            # The customers file of the earlier run may have let them start.
            return
        if orders.started_at < customers.finished_at:
            yield f"{orders_path} was begun before its customers file had ended."
        if orders.started_at < customers.uploaded_at + self.orders_delay:
            yield f"{orders_path} was begun too early."

    def _expected(self, connection: str) -> Truth:
        loaded = [
            sample
            for path, sample in self.samples.items()
            if path in self.uploads and sample.connection == connection
        ]
        truth = Truth()
        # Sorted by the time in the name: the time of export counts, not the time of upload.
        for sample in sorted(loaded, key=lambda sample: sample.object.rpartition("_")[2]):
            truth = truth.then(sample.truth)
        return truth

    def _found(self, connection: str) -> Truth:
        def documents(name: str, *fields: str) -> Iterator[tuple[str, dict[str, Any]]]:
            collection = self.database.collection(f"connections/{connection}/{name}")
            for snapshot in collection.select(fields).stream():
                yield snapshot.id, snapshot.to_dict() or {}

        return Truth(
            customers={
                key: data.get("subscribed") for key, data in documents("customers", "subscribed")
            },
            orders={
                key: data.get("valueCents", 0) for key, data in documents("orders", "valueCents")
            },
            rewards={
                key: len(data.get("rewards", ())) for key, data in documents("rewards", "rewards")
            },
        )

    # -- what is shown ------------------------------------------------------------------------

    def _show_counts(self, connection: str, found: Truth) -> None:
        consents = list(found.customers.values())
        for name, documents, remark in (
            (
                "customers",
                found.customers,
                f"{consents.count(True):,} subscribed, {consents.count(False):,} not, "
                f"{consents.count(None):,} never said",
            ),
            ("orders", found.orders, f"{sum(found.orders.values()) / 100:,.2f} paid in all"),
            ("rewards", found.rewards, f"{sum(found.rewards.values()):,} rewards inside"),
        ):
            if documents:
                path = f"connections/{connection}/{name}"
                self.screen.line(f"  {path:<30} {len(documents):>6,}   {remark}")

    def _show_examples(self) -> None:
        order = min(self.samples[NZ_ORDERS].truth.orders)
        account = min(self.samples[REWARDS].truth.rewards)
        for path in (
            f"connections/main/customers/{WITHDRAWN}",
            f"connections/nz/orders/{order}",
            f"connections/main/rewards/{account}",
        ):
            document = self.database.document(path).get().to_dict()
            text = json.dumps(document, default=_as_text, ensure_ascii=False, sort_keys=True)
            self.screen.line(f"\n  {self.screen.paint(path, 'bold')}")
            self.screen.line(self.screen.wrap(text, 4, 6))


def differences(connection: str, expected: Truth, found: Truth) -> Iterator[str]:
    """Describe how a connection's documents differ from the expected ones."""
    for name in ("customers", "orders", "rewards"):
        wanted: Mapping[str, object] = getattr(expected, name)
        there: Mapping[str, object] = getattr(found, name)
        place = f"connections/{connection}/{name}"
        if missing := sorted(wanted.keys() - there.keys()):
            yield f"{place}: {len(missing)} missing, such as {missing[0]}."
        if surplus := sorted(there.keys() - wanted.keys()):
            yield f"{place}: {len(surplus)} too many, such as {surplus[0]}."
        if wrong := sorted(key for key in wanted.keys() & there if wanted[key] != there[key]):
            key = wrong[0]
            yield f"{place}: {len(wrong)} differ: {key} has {there[key]}, must be {wanted[key]}."


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
