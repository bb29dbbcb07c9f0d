"""The real handlers over simulated ports, with the deliveries that events and tasks get."""

from __future__ import annotations

import itertools
import secrets
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

import shared.core.logs
import shared.index.choice
import shared.index.objects
import shared.index.reading
import shared.loading.attempt
import shared.loading.delivery
import shared.loading.shards.attempt
import shared.loading.shards.cleanup
import shared.loading.shards.joining
import shared.loading.shards.splitting
import shared.loading.whole
import shared.privacy.record
import shared.undoing.attempt
from shared.core.errors import LeaseLost, NotPossible, TryAgain
from shared.core.settings import Deployment
from shared.firestore.bulk.batch import Limits
from shared.firestore.bulk.existence import DocumentReader, KnownDocuments
from shared.firestore.bulk.writer import Writer
from shared.gcp.events import StorageObject
from shared.ledger.lease import Hold
from shared.ledger.store import LedgerStore
from shared.ledger.tasks import LoadTask
from shared.loading.worker import work
from shared.privacy.erasing import erase
from shared.scheduling.intake import take_in_event
from shared.scheduling.replay import release, replay
from shared.services import Services
from shared.sweeping.caretaker import sweep
from shared.undoing.attempt import undo
from tests.simulation.bucket import Object, SimulatedBucket
from tests.simulation.firestore import SimulatedCalls, SimulatedDatabase, Store, Watch
from tests.simulation.plans import IndexLimits
from tests.simulation.world import Ending, World

BUCKET = "uploads"
TASK_SECONDS = 1_800.0
"""Seconds after which the queue takes a worker for dead and sends its task again."""


@dataclass(slots=True)
class _Task:
    task: LoadTask
    attempts: int = 0
    done: bool = False


class SimulatedQueue:
    """`shared.ledger.tasks.Queue`, which also carries its tasks out."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tasks: dict[str, _Task] = {}
        self.services: Services
        self._runs = 0

    def create(self, task: LoadTask, *, at: datetime) -> None:
        world = self.world

        def do() -> None:
            if task.task_id in self.tasks:
                return
            self.tasks[task.task_id] = _Task(task)
            chances, rng = world.chances, world.rng
            if chances.task_lost and rng.random() < chances.task_lost:
                world.say(lambda: "the task will vanish")
                return
            wait = max(0.0, (at - world.now()).total_seconds()) + rng.uniform(-1.5, 5.0)
            self._send(task.task_id, wait + _lateness(world, chances.task_late))
            if chances.task_twice and rng.random() < chances.task_twice:
                self._send(task.task_id, wait + rng.choice((0.0, 1.0, 100.0, 5000.0)))

        world.call(
            lambda: f"enqueues {_named(task)}/{task.number} for {at:%H:%M:%S}",
            do,
            error=lambda: TryAgain("The task could not be enqueued."),
            writes=True,
        )

    def _send(self, id: str, wait: float) -> None:
        self.world.at(self.world.clock + wait, lambda: self._dispatch(id))

    def _dispatch(self, id: str) -> None:
        known, world = self.tasks[id], self.world
        limit = world.chances.task_attempts
        if limit is not None and known.attempts >= limit:
            known.done = True
            return
        known.attempts += 1
        self._runs += 1
        begun, task = world.clock, known.task

        def ended(ending: Ending) -> None:
            if ending == "done":
                known.done = True
            elif not known.done and world.clock - begun < TASK_SECONDS:
                self._send(id, world.rng.uniform(1.0, 60.0))

        def overdue() -> None:
            if not known.done:
                self._dispatch(id)

        name = f"load {self._runs} {_named(task)}"
        world.spawn(name, lambda: work(task, self.services), ended)
        if world.chances.pause:
            world.at(begun + TASK_SECONDS, overdue)


def _named(task: LoadTask) -> str:
    shard = "" if task.split is None else f" shard {task.shard}"
    judging = " to judge" if task.judge else ""
    return f"{task.import_id}#{task.generation}{shard}{judging}"


class Pipeline:
    """Everything between an upload and the documents, for one history."""

    def __init__(
        self,
        world: World,
        *,
        watch: Watch,
        sent: Callable[[Sequence[str]], None],
        rewritten: Callable[[Object, str], None] = lambda made, person: None,
        erased: Callable[[str, int], None] = lambda person, known: None,
        **settings: Any,
    ) -> None:
        self.world = world
        self.store = Store(watch, world.now)
        self.database = SimulatedDatabase(world, self.store)
        self.documents = SimulatedCalls(world, self.store, sent)
        self.bucket = SimulatedBucket(world, self._finalized)
        self.queue = SimulatedQueue(world)
        bucket: Any = self.bucket
        self.services = Services(
            deployment=Deployment(project="simulated", bucket=BUCKET, **settings),
            ledger=LedgerStore(self.database),
            documents=self.documents,
            bucket=bucket,
            queue=self.queue,
            now=world.now,
        )
        self.queue.services = self.services
        self._rewritten = rewritten
        self._erased = erased
        self._events = 0
        self._asked = 0

    def upload(self, name: str, data: bytes) -> Object:
        """Put a file into the bucket, now."""
        made = self.bucket.put(name, data)
        self.world.say(lambda: f"{name}#{made.generation} is uploaded, {len(data)} bytes")
        return made

    def sweep(self) -> None:
        """Let the sweep run, now."""
        self._asked += 1
        self.world.spawn(f"sweep {self._asked}", lambda: sweep(self.services))

    def ask(self, command: str, about: str) -> None:
        """Let somebody ask for a `replay`, a `release` or an `undo` of an import, or to `erase` a
        person, now, and again if it did not work."""
        self._asked += 1
        if command == "undo":
            self._undo(about)
            return
        if command == "erase":
            self._erase(about)
            return

        def act() -> object:
            try:
                asked = {"replay": replay, "release": release}[command]
                return asked("main", about, self.services).status
            except NotPossible as refusal:
                return str(refusal)

        def ended(ending: Ending) -> None:
            if ending != "done":
                self.world.at(self.world.clock + 60.0, lambda: self.ask(command, about))

        self.world.spawn(f"{command} {self._asked} {about}", act, ended)

    def _undo(self, import_id: str, tries: int = 300) -> None:
        def act() -> object:
            try:
                return undo("main", import_id, self.services).restored
            except LeaseLost as lost:
                raise TryAgain(str(lost)) from lost
            except NotPossible as refusal:
                if "Try again" in str(refusal):
                    raise TryAgain(str(refusal)) from refusal
                return str(refusal)

        def ended(ending: Ending) -> None:
            if ending != "done" and tries:
                self.world.at(self.world.clock + 60.0, lambda: self._undo(import_id, tries - 1))

        self._asked += 1
        self.world.spawn(f"undo {self._asked} {import_id}", act, ended)

    def _erase(self, person: str) -> None:
        def act() -> object:
            actor = self.world.actor
            assert actor is not None
            actor.about["person"] = person
            try:
                erasure = erase("main", person, self.services, by="somebody")
            except NotPossible as refusal:
                raise TryAgain(str(refusal)) from refusal
            if not erasure.proved:
                raise TryAgain("Nothing is proved yet.")
            self._erased(person, actor.about["listed"])
            return dict(erasure.erased)

        def ended(ending: Ending) -> None:
            if ending != "done":
                self.world.at(self.world.clock + 60.0, lambda: self._erase(person))

        self._asked += 1
        self.world.spawn(f"erase {self._asked} {person}", act, ended)

    def _finalized(self, made: Object) -> None:
        if made.name.startswith(("processed/", "rejected/", "reports/", "state/")):
            return  # nothing comes of these events; a test of their own has them
        actor = self.world.actor
        if actor is not None and "person" in actor.about:
            self._rewritten(made, actor.about["person"])
        world, chances, rng = self.world, self.world.chances, self.world.rng
        if chances.event_lost and rng.random() < chances.event_lost:
            world.say(lambda: f"the event of {made.name}#{made.generation} gets lost")
            return
        self._deliver(made, rng.uniform(0.1, 5.0) + _lateness(world, chances.event_late))
        if chances.event_twice and rng.random() < chances.event_twice:
            self._deliver(made, rng.choice((0.5, 5.0, 60.0, 8000.0)))

    def _deliver(self, made: Object, wait: float) -> None:
        world = self.world
        arrived = StorageObject(
            bucket=BUCKET,
            name=made.name,
            generation=made.generation,
            size=len(made.data),
            crc32c=made.crc32c,
            uploaded_at=made.time_created,
        )

        def ended(ending: Ending) -> None:
            if ending != "done":
                self._deliver(made, world.rng.uniform(5.0, 300.0))

        def act() -> None:
            self._events += 1
            name = f"classify {self._events} {made.name.rpartition('/')[2]}#{made.generation}"
            world.spawn(name, lambda: _status(take_in_event(arrived, self.services)), ended)

        world.at(world.clock + wait, act)


def _status(import_: Any) -> object:
    return import_ and import_.status


def _lateness(world: World, chance: float) -> float:
    late = bool(chance) and world.rng.random() < chance
    return world.rng.choice((30.0, 700.0, 4000.0, 15000.0)) if late else 0.0


class InlinePool:
    """A pool that does its work at once, on the thread that asks for it."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def submit(self, act: Callable[..., object], *arguments: object) -> None:
        act(*arguments)

    def map(self, act: Callable[..., object], *lots: Iterable[object]) -> list[object]:
        return [*map(act, *lots)]

    def __enter__(self) -> InlinePool:
        return self

    def __exit__(self, *_: object) -> None: ...

    def shutdown(self, **_: object) -> None: ...


@contextmanager
def installed(world: World, *, batch_size: int, index: IndexLimits) -> Iterator[None]:
    """Give the pipeline's modules the world's time, one thread, small batches and quiet logs."""
    numbers = itertools.count(1)

    def failed(message: str, error: BaseException, **fields: Any) -> None:
        world.fail(f"{message} {type(error).__name__}: {error} {fields}")

    instead: dict[Any, Any] = {
        shared.core.logs.log: lambda severity, message, **fields: None,
        shared.core.logs.log_failure: failed,
        ThreadPoolExecutor: InlinePool,
        uuid: SimpleNamespace(uuid4=lambda: SimpleNamespace(hex=f"{next(numbers):032}")),
        secrets: SimpleNamespace(token_hex=lambda _: f"{next(numbers):020}", token_bytes=bytes),
    }
    patched: list[tuple[Any, str, Any]] = []
    for name, module in list(sys.modules.items()):
        if name.startswith("shared."):
            for attribute, value in list(vars(module).items()):
                if isinstance(value, type | FunctionType | ModuleType) and value in instead:
                    patched.append((module, attribute, value))
                    setattr(module, attribute, instead[value])
    for place, attribute, value in (
        (shared.loading.delivery, "LOT", batch_size),
        (shared.privacy.record, "_COST", (2, 1, 1)),
        (shared.index.choice, "SMALL", index.small),
        (shared.index.choice, "GROWTH", index.growth),
        (shared.index.choice, "RECORDS_PER_READ", index.records_per_read),
        (shared.index.reading, "KEPT_BYTES", index.kept_bytes),
        (shared.index.objects, "SEARCHED_BYTES", 0),
    ):
        patched.append((place, attribute, getattr(place, attribute)))
        setattr(place, attribute, value)
    clocks = {"sleep": world.sleep, "clock": world.monotonic, "monotonic": world.monotonic}
    defaults: list[tuple[Any, Any]] = []
    for class_ in (Writer, Hold, KnownDocuments, DocumentReader):
        function: Any = class_.__init__
        before = function.__kwdefaults__
        assert class_ is not Writer or "limits" in before, "batches would not be small"
        defaults.append((function, before))
        wanted = clocks | {"limits": Limits(batch_size=batch_size)}
        function.__kwdefaults__ = before | {k: v for k, v in wanted.items() if k in before}
    try:
        yield
    finally:
        for module, attribute, value in patched:
            setattr(module, attribute, value)
        for function, before in defaults:
            function.__kwdefaults__ = before
