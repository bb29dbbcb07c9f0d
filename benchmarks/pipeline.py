"""The code of the functions over the real clients, in this process, for loads to be measured."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore, storage

from shared.core import Deployment
from shared.firestore.bulk import Transport
from shared.firestore.database import FirestoreDatabase
from shared.gcp import StorageObject, read_event
from shared.gcp.storage import bucket_of
from shared.index import objects
from shared.index.records import IndexRecords
from shared.ledger import LedgerStore, LedgerTransaction, LoadTask
from shared.loading import work
from shared.scheduling import lying_there, take_in
from shared.services import Services

BUCKET = "uploads"

WELL = ("in shards", "shard loaded", "loaded", "loaded_with_rejects")
"""Results of tasks when nothing goes wrong."""


class Pipeline:
    """Takes files in and carries tasks out. Its clock moves in `run` only."""

    def __init__(
        self,
        *,
        project: str,
        sink: str,
        ledger: str,
        bucket: str,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Connect.

        Args:
            project: one that nothing else uses.
            sink: address of the Firestore that the documents go to.
            ledger: address of the Firestore that has the ledger.
            bucket: URL of the Cloud Storage.
            settings: those of the deployment that are not as they are by default.
        """
        os.environ["FIRESTORE_EMULATOR_HOST"] = ledger
        of_ledger = firestore.Client(project=project)
        os.environ["FIRESTORE_EMULATOR_HOST"] = sink
        client = storage.Client(
            project=project,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": bucket},
        )
        self.tasks: list[LoadTask] = []
        """Those that have been enqueued and not been carried out."""
        self._now = datetime(2024, 11, 18, 20, tzinfo=UTC)
        self._bucket = bucket_of(client, BUCKET)
        self._services = Services(
            deployment=Deployment.from_environment(
                {"GOOGLE_CLOUD_PROJECT": project, "BUCKET": BUCKET, **(settings or {})}
            ),
            ledger=LedgerStore(FirestoreDatabase(of_ledger)),
            documents=Transport(firestore.Client(project=project)),
            bucket=self._bucket,
            queue=self,
            now=lambda: self._now,
        )

    def create(self, task: LoadTask, *, at: datetime) -> None:
        """Enqueue a task, as `shared.ledger.tasks.Queue` does."""
        self.tasks.append(task)

    def upload(self, name: str, content: Path | str) -> None:
        """Put a file into the bucket and have it taken in."""
        self.take_in(self.put(name, content))

    def put(self, name: str, content: Path | str) -> StorageObject:
        """Put a file into the bucket, and return its event."""
        blob = self._bucket.blob(name)
        if isinstance(content, str):
            blob.upload_from_string(content)
        else:
            blob.chunk_size = 1024 * 1024
            blob.upload_from_filename(str(content))
        blob.reload()
        return read_event(
            {
                "bucket": BUCKET,
                "name": name,
                "generation": str(blob.generation),
                "size": str(blob.size),
                "crc32c": blob.crc32c,
                "timeCreated": self._now.isoformat(),
            }
        )

    def take_in(self, arrived: StorageObject) -> None:
        """Take in a file that is in the bucket, as the function does."""
        lying_there(arrived.name, self._services)  # only the clock of the event is not the bucket's
        take_in(arrived, self._services)

    def set_index(self, connection: str, type_: str, blocks: Iterable[IndexRecords]) -> None:
        """Put an index of these records in place of the one that the last file has left."""
        part = objects.write(self._bucket, objects.folder(connection, type_), blocks)

        def change(ledger: LedgerTransaction) -> None:
            feed = ledger.feed(connection, type_)
            assert feed.index is not None
            ledger.put_feed(replace(feed, index=replace(feed.index, parts=(part,))))

        self._services.ledger.transact(change)

    def run(self) -> None:
        """Run every task."""
        self._now += timedelta(hours=1)
        while self.tasks:
            self.carry_out(self.tasks.pop(0))

    def carry_out(self, task: LoadTask) -> str:
        """Carry a task out and return its result. Raises RuntimeError if the result is bad."""
        ended = work(task, self._services)
        if ended not in WELL:
            raise RuntimeError(f"the import came to this: {ended}")
        return ended

    def loaded(self, connection: str, type_: str) -> int:
        """Return how many rows of the measured file were written."""
        import_id = f"{type_}_20241118T191000Z"
        (import_,) = self._services.ledger.get_many({(connection, import_id)}).values()
        return import_.rows.loaded
