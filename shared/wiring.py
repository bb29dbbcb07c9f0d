"""Composition root: makes clients, queue, settings and clock of a running function."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from shared.core import Deployment

if TYPE_CHECKING:
    import google.cloud.storage as storage
    from google.cloud import firestore

    from shared.firestore.bulk import Lookups
    from shared.ledger import LedgerStore, Queue
from shared.services import Services

_T = TypeVar("_T")


def utc_now() -> datetime:
    """Return the present time, aware, in UTC."""
    return datetime.now(UTC)


def connect(environment: Mapping[str, str]) -> Services:
    """Return the services that the environment describes; each client is made on first use.

    The Firestore and storage clients read `FIRESTORE_EMULATOR_HOST` and `STORAGE_EMULATOR_HOST`.
    The tasks client has no such variable, so its channel is made here from
    `CLOUD_TASKS_EMULATOR_HOST`.

    Raises:
        SettingsError: a variable has a value that cannot be used.
    """
    deployment = Deployment.from_environment(environment)

    @cache
    def database() -> firestore.Client:
        from google.cloud import firestore

        return firestore.Client(project=deployment.project or None, database=deployment.database)

    def ledger() -> LedgerStore:
        from shared.firestore.database import FirestoreDatabase
        from shared.ledger import LedgerStore

        return LedgerStore(FirestoreDatabase(database()))

    def documents() -> Lookups:
        from shared.firestore.bulk import Transport

        return Transport(database())

    def bucket() -> storage.Bucket:
        import google.cloud.storage as storage

        from shared.gcp.storage import bucket_of

        project = deployment.project or database().project
        return bucket_of(storage.Client(project=project), deployment.bucket)

    def queue() -> Queue:
        import grpc
        from google.cloud import tasks_v2
        from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

        from shared.gcp import CloudQueue

        emulator = environment.get("CLOUD_TASKS_EMULATOR_HOST")
        if emulator:
            channel = grpc.insecure_channel(emulator)
            client = tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel))
        else:
            client = tasks_v2.CloudTasksClient()
        return CloudQueue(
            client=client,
            name=tasks_v2.CloudTasksClient.queue_path(
                deployment.project or database().project, deployment.location, deployment.queue
            ),
            url=deployment.load_url,
            service_account=deployment.tasks_service_account,
        )

    return Services(
        deployment=deployment,
        ledger=_later(ledger),
        documents=_later(documents),
        bucket=_later(bucket),
        queue=_later(queue),
        now=utc_now,
        paced=not environment.get("FIRESTORE_EMULATOR_HOST"),
    )


@cache
def services() -> Services:
    """Return this process's services, made on first use."""
    return connect(os.environ)


def _later(make: Callable[[], _T]) -> _T:
    return cast(_T, _Later(make))


class _Later:
    """A proxy of the object that `make` returns; `make` is called at the first use."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._lock = threading.RLock()
        self._made: Any = None

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make()
        return getattr(self._made, name)
