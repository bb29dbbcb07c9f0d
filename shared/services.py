"""Where the dependencies meet: clients, queue, settings and clock of a running function."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import google.cloud.storage as storage
import grpc
from google.cloud import firestore, tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

from shared.batches import Calls
from shared.database import FirestoreDatabase
from shared.ledger_store import LedgerStore
from shared.settings import Deployment
from shared.tasks import CloudQueue, Queue
from shared.transport import Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything the handlers need from outside."""

    deployment: Deployment
    ledger: LedgerStore
    documents: Calls
    """The calls that read and write the retailers' documents."""
    bucket: storage.Bucket
    """The bucket that the uploads land in."""
    queue: Queue
    now: Callable[[], datetime]


def utc_now() -> datetime:
    """Return the present time, aware, in UTC."""
    return datetime.now(UTC)


def connect(environment: Mapping[str, str]) -> Services:
    """Make the clients that the environment asks for.

    The Firestore and storage clients follow `FIRESTORE_EMULATOR_HOST` and `STORAGE_EMULATOR_HOST`
    by themselves; the tasks client knows no such variable, so its channel is made here from
    `CLOUD_TASKS_EMULATOR_HOST`.

    Raises:
        SettingsError: a variable has a value that cannot be used.
    """
    deployment = Deployment.from_environment(environment)
    project = deployment.project or None
    emulator = environment.get("CLOUD_TASKS_EMULATOR_HOST")
    if emulator:
        channel = grpc.insecure_channel(emulator)
        tasks = tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel))
    else:
        tasks = tasks_v2.CloudTasksClient()
    database = firestore.Client(project=project, database=deployment.database)
    return Services(
        deployment=deployment,
        ledger=LedgerStore(FirestoreDatabase(database)),
        documents=Transport(database),
        bucket=storage.Client(project=project or database.project).bucket(deployment.bucket),
        queue=CloudQueue(
            client=tasks,
            name=tasks_v2.CloudTasksClient.queue_path(
                project or database.project, deployment.location, deployment.queue
            ),
            url=deployment.load_url,
            service_account=deployment.tasks_service_account,
        ),
        now=utc_now,
    )


@cache
def services() -> Services:
    """Return this process's services, made on first use."""
    return connect(os.environ)
