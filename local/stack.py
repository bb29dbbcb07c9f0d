"""Defines the parts of the pipeline on one machine, and connects, starts and stops them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Literal, Self
from urllib.parse import quote

import grpc
from google.api_core import exceptions
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport
from google.protobuf import duration_pb2

from local import google_emulator, identity
from local.endpoints import PROJECT, SCHEDULER_ACCOUNT, Endpoints, Sftp, write_private
from local.processes import Program, Supervisor, free_ports, wait_free
from local.scheduler import Scheduler

ROOT = Path(__file__).resolve().parents[1]
"""The project's folder, in which every part runs."""

LOCATION = "australia-southeast1"
BUCKET = "exports"
QUEUE = "imports"
USER = "apparel21"
"""SFTP user, with access to every connection."""

PORTS = (
    "firestore",
    "storage",
    "tasks",
    "certs",
    "sftp",
    "classify",
    "load",
    "sweep",
    "status",
)
"""Names of the ports, in the order of the numbers from `--port-base`."""

FUNCTIONS: Mapping[str, str] = {
    "classify": "cloudevent",
    "load": "http",
    "sweep": "http",
    "status": "http",
}
"""Function -> its signature type."""

_NOT_INHERITED = (
    "DATABASE",
    "DEBUG",
    "FUNCTION_USE_ASGI",
    "K_SERVICE",
    "CLOUD_RUN_TIMEOUT_SECONDS",
)
"""Variables that change what the functions or the functions framework do. Their names are common,
so another program may have set them."""

_LEASE = "20s"
"""Time for which a killed worker keeps its import. It is shorter than in production, because
somebody may be waiting for a killed stack to continue."""
_READY_SECONDS = 300.0
_TAKEOVER_SECONDS = 120.0
"""Seconds that the parts of a killed stack may take to notice and to end."""


class StackError(Exception):
    """A stack that cannot be started or found. The message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of a stack."""

    data: Path
    """Folder in which everything is kept that outlives a restart."""
    orders_delay: timedelta = timedelta(minutes=30)
    """Time from the upload of a customers file until its orders file may start."""
    port_base: int | None = None
    """First of the consecutive ports for `PORTS`; None takes free ones and remembers them."""
    firestore: Literal["embedded", "google"] = "embedded"
    """The embedded server, or Google's own emulator."""
    sweep_every: timedelta = timedelta(seconds=60)
    """Time from one sweep to the next."""


class Stack:
    """The whole pipeline, from `start` until `stop`.

    Args:
        options: how it is to be run.
        say: called with one sentence for each event that a person should know.
    """

    def __init__(self, options: Options, *, say: Callable[[str], None]) -> None:
        self._options = options
        self._data = options.data.resolve()
        self._say = say
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def data(self) -> Path:
        """The folder that keeps the state, absolute."""
        return self._data

    @property
    def endpoints_file(self) -> Path:
        """File that holds the endpoints while the stack is up."""
        return self._data / "endpoints.json"

    def start(self) -> Endpoints:
        """Start every part and return when all of them answer.

        Raises:
            StackError: another stack runs in this folder, or what was asked for is not there.
            StartFailed: a part does not come up.
        """
        with contextlib.ExitStack() as cleanup:
            self._data.mkdir(parents=True, exist_ok=True)
            lock = cleanup.enter_context(_claim(self._data))
            self.endpoints_file.unlink(missing_ok=True)
            ports = self._choose_ports()
            password = _keep_user(self._data / "gateway")
            database = self._choose_database(ports["firestore"])
            endpoints = self._describe(ports, password, firestore=database.address)

            supervisor = Supervisor(
                logs=self._data / "logs",
                folder=ROOT,
                say=self._say,
                keep_open=(lock,),
            )
            cleanup.callback(supervisor.stop)
            layers = self._layers(ports, endpoints, database)
            supervisor.start(layers, timeout=_READY_SECONDS)
            create_queue(endpoints)
            scheduler = Scheduler(
                url=endpoints.functions["sweep"],
                job="sweep",
                key=identity.load_key(self._data / "tasks"),
                email=SCHEDULER_ACCOUNT,
                every=self._options.sweep_every,
                say=self._say,
            )
            cleanup.callback(scheduler.stop)
            scheduler.start()
            cleanup.callback(self.endpoints_file.unlink, missing_ok=True)
            endpoints.write(self.endpoints_file)
            self._cleanup = cleanup.pop_all()
        self.endpoints = endpoints
        return endpoints

    def stop(self) -> None:
        """End every part and return when none is left. Has no effect when nothing runs."""
        self._cleanup.close()

    def _choose_ports(self) -> dict[str, int]:
        """Choose a port for each part: as told, as in the last run, or any that is free."""
        base = self._options.port_base
        if base is not None:
            if not 1 <= base <= 65536 - len(PORTS):
                raise StackError(f"--port-base must leave room for {len(PORTS)} ports.")
            told = {name: base + place for place, name in enumerate(PORTS)}
            wait_free(told.values(), seconds=1)
            return told
        kept = self._data / "ports.json"
        wanted: dict[str, int] = {}
        with contextlib.suppress(FileNotFoundError, ValueError):
            wanted = json.loads(kept.read_text())
            wait_free(map(int, wanted.values()), seconds=1)
        found = free_ports([int(wanted.get(name, 0)) for name in PORTS])
        ports = dict(zip(PORTS, found, strict=True))
        kept.write_text(json.dumps(ports, indent=2) + "\n")
        return ports

    def _choose_database(self, port: int) -> _Database:
        """Choose the Firestore: the embedded one, an installed emulator, or a running one."""
        if self._options.firestore == "embedded":
            data = self._data / "firestore"
            return _Database(
                address=f"127.0.0.1:{port}",
                command=_module("local.emulators.firestore", "--port", port, "--data", data),
            )
        running = os.environ.get("FIRESTORE_EMULATOR_HOST", "")
        if running:
            if not _reachable(running):
                raise StackError(
                    f"FIRESTORE_EMULATOR_HOST is {running}, but nothing answers there. Start that "
                    "emulator, or unset the variable to have one started."
                )
            return _Database(address=running, command=None)
        found = google_emulator.find()
        if isinstance(found, google_emulator.Missing):
            raise StackError(found.explanation)
        return _Database(
            address=f"127.0.0.1:{port}", command=google_emulator.command(found, port=port)
        )

    def _describe(self, ports: Mapping[str, int], password: str, *, firestore: str) -> Endpoints:
        return Endpoints(
            project=PROJECT,
            location=LOCATION,
            bucket=BUCKET,
            queue=QUEUE,
            firestore=firestore,
            storage=f"http://127.0.0.1:{ports['storage']}",
            tasks=f"127.0.0.1:{ports['tasks']}",
            sftp=Sftp(host="127.0.0.1", port=ports["sftp"], user=USER, password=password),
            functions={name: f"http://127.0.0.1:{ports[name]}/" for name in FUNCTIONS},
            pid=os.getpid(),
        )

    def _layers(
        self, ports: Mapping[str, int], endpoints: Endpoints, database: _Database
    ) -> list[list[Program]]:
        """List the parts in layers: those that keep state first, then those that depend on them."""
        data = self._data
        inherited = loopback_environment(os.environ)
        for name in _NOT_INHERITED:
            inherited.pop(name, None)
        environment = {
            **inherited,
            **endpoints.environment(),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "LEASE": inherited.get("LEASE", _LEASE),
            "MAIL_URL": inherited.get("MAIL_URL", f"file:{quote(str(data / 'mail'))}"),
            "MAIL_FROM": inherited.get("MAIL_FROM", "Imports <imports@localhost>"),
            "ORDERS_DELAY": f"{round(self._options.orders_delay.total_seconds())}s",
            "OIDC_CERTS_URL": f"http://127.0.0.1:{ports['certs']}/certs",
        }

        def part(name: str, command: tuple[str, ...], *listens: str) -> Program:
            return Program(
                name=name,
                command=command,
                ports=tuple(ports[port] for port in listens or (name,)),
                environment=environment,
            )

        storage = _module(
            *("local.emulators.storage", "--port", ports["storage"], "--data", data / "storage"),
            *("--bucket", BUCKET, "--events", endpoints.functions["classify"]),
        )
        tasks = _module(
            *("local.emulators.tasks", "--port", ports["tasks"], "--data", data / "tasks"),
            *("--certs-port", ports["certs"]),
        )
        gateway = _module(
            *("gateway", "--host", "127.0.0.1", "--port", ports["sftp"], "--bucket", BUCKET),
            *("--users", data / "gateway" / "users.json"),
            *("--host-key", data / "gateway" / "host_key"),
            # Shorter than the supervisor's grace period.
            *("--drain", 4),
        )
        functions = {
            name: _module(
                *("functions_framework", "--host", "127.0.0.1", "--port", ports[name]),
                *("--source", f"functions/{name}.py", "--target", name),
                *("--signature-type", signature),
            )
            for name, signature in FUNCTIONS.items()
        }
        return [
            [part("firestore", database.command)] if database.command else [],
            [part("storage", storage), part("tasks", tasks, "tasks", "certs")],
            [
                part("gateway", gateway, "sftp"),
                *(part(name, command) for name, command in functions.items()),
            ],
        ]


@dataclass(frozen=True, slots=True)
class _Database:
    """The Firestore that a stack uses."""

    address: str
    command: tuple[str, ...] | None
    """Command that runs the database; None if it runs already."""


def _module(name: str, *arguments: object) -> tuple[str, ...]:
    return (sys.executable, "-m", name, *map(str, arguments))


def _reachable(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
            return True
    except (OSError, ValueError):
        return False


def loopback_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which no proxy is used for this machine."""
    local = {"127.0.0.1", "localhost"}
    listed = (environment.get("NO_PROXY") or environment.get("no_proxy") or "").split(",")
    hosts = ",".join(sorted(local | {host.strip() for host in listed if host.strip()}))
    return {**environment, "NO_PROXY": hosts, "no_proxy": hosts}


def create_queue(endpoints: Endpoints) -> None:
    """Create the task queue as it is set up in the cloud, unless it exists."""
    channel = grpc.insecure_channel(endpoints.tasks)
    client = tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel))
    queue = tasks_v2.Queue(
        name=client.queue_path(endpoints.project, endpoints.location, endpoints.queue),
        # The ledger counts the attempts and ends them: a task must not vanish before that.
        retry_config=tasks_v2.RetryConfig(
            max_attempts=-1,
            min_backoff=duration_pb2.Duration(seconds=1),
            max_backoff=duration_pb2.Duration(seconds=60),
            max_doublings=6,
        ),
    )
    try:
        client.create_queue(
            parent=f"projects/{endpoints.project}/locations/{endpoints.location}", queue=queue
        )
    except exceptions.AlreadyExists:
        return
    finally:
        channel.close()


@contextlib.contextmanager
def _claim(data: Path) -> Any:
    """Lock a data folder for one stack; yield the lock that its parts inherit.

    The first lock belongs to this process alone. Every part inherits the second. So the second is
    free only once the last part of a killed stack has ended.
    """
    with (data / "up.lock").open("a+") as own, (data / "parts.lock").open("a") as parts:
        if not _lock(own):
            own.seek(0)
            holder = own.read().strip() or "unknown"
            raise StackError(
                f"A stack already runs in {data} (process {holder}). End it first, or give this "
                "one another folder with --data."
            )
        own.truncate(0)
        own.write(f"{os.getpid()}\n")
        own.flush()
        deadline = time.monotonic() + _TAKEOVER_SECONDS
        while not _lock(parts):
            if time.monotonic() > deadline:
                raise StackError(
                    f"Parts of an earlier stack still run in {data} and do not end. "
                    "Find them with `ps` and end them."
                )
            time.sleep(0.05)
        yield parts.fileno()


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _keep_user(folder: Path) -> str:
    """Return the password of the SFTP user, who is made at the first start.

    Later starts leave the users file unchanged, so more users can be added to it.
    """
    users, password_file = folder / "users.json", folder / "password"
    if users.exists() and password_file.exists():
        return password_file.read_text().strip()
    # Imported here because it takes a while and is needed for the first start only.
    from gateway.users import ALL, UsersError, add_user

    if not password_file.exists():
        write_private(password_file, secrets.token_urlsafe(12) + "\n")
    password = password_file.read_text().strip()
    try:
        add_user(users, name=USER, connection=ALL, password=password, keys=())
    except UsersError as error:
        raise StackError(f"The SFTP user cannot be made: {error}") from None
    return password
