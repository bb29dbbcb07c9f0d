"""What can go wrong between a client and Firestore, made to happen on purpose.

A proxy that passes every call on to a real server as bytes and spoils the calls it is told to. The
server carries out what reached it, so that after a spoiled call its state is as true as the real
one's would be.
"""

from __future__ import annotations

import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from google.cloud.firestore_v1 import types
from grpc import StatusCode

from tests.support.grpc_relay import Relay, passed_on

BATCH_WRITE = "BatchWrite"
_LONGEST = 30.0
"""Seconds after which a call that is kept waiting ends in any case."""

_RawRequest: Any = types.BatchWriteRequest.pb()
_RawResponse: Any = types.BatchWriteResponse.pb()


@dataclass(frozen=True, slots=True)
class Refuse:
    """The call fails and never reaches the server."""

    code: StatusCode
    details: str = "refused by the proxy"


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """The server does the work, and the client is told of a failure."""

    code: StatusCode


@dataclass(frozen=True, slots=True)
class BreakOff:
    """The client gets the first messages of a stream of answers, then a failure."""

    code: StatusCode
    after: int


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The server does the work, and the client hears nothing until it gives up by itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Late:
    """The call reaches the server when the test says so, long after the client has given it up."""

    release: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)
    """Set once the server has carried it out or refused it."""


@dataclass(frozen=True, slots=True)
class OneWrite:
    """What one write of a BatchWrite is said to have come to."""

    index: int
    code: StatusCode
    done: bool
    """Whether the server carries it out all the same."""


@dataclass(frozen=True, slots=True)
class SpoilWrites:
    """Some writes of a BatchWrite fail, or are said to have failed; the others go through."""

    writes: tuple[OneWrite, ...]


Fault = Refuse | LoseAnswer | BreakOff | NoAnswer | Late | SpoilWrites
Faults = Callable[[str, bytes], Fault | None]
"""Called with the method's name and the request; called on several threads at once."""


class Script:
    """Faults one after the other for the calls of each method, then none."""

    def __init__(self, **faults: Iterable[Fault | None]) -> None:
        self._faults = {method: deque(those) for method, those in faults.items()}
        self._lock = threading.Lock()

    def __call__(self, method: str, request: bytes) -> Fault | None:
        with self._lock:
            left = self._faults.get(method)
            return left.popleft() if left else None

    @property
    def used_up(self) -> bool:
        """Whether every fault has happened."""
        return not any(self._faults.values())


class Storm:
    """Faults of all kinds by chance, `rate` of the calls and `rate` of the writes within the rest.

    The same seed gives the same faults for the same calls in the same order.
    """

    PASSING: Sequence[StatusCode] = (
        StatusCode.UNAVAILABLE,
        StatusCode.ABORTED,
        StatusCode.RESOURCE_EXHAUSTED,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.INTERNAL,
        StatusCode.UNKNOWN,
        StatusCode.CANCELLED,
    )

    def __init__(self, *, seed: int, rate: float, no_answer: float = 0.0) -> None:
        self._random = random.Random(seed)
        self._rate = rate
        self._no_answer = no_answer
        self._lock = threading.Lock()
        self.happened: Counter[str] = Counter()
        """How often each kind of fault happened, by the name of its class."""

    def __call__(self, method: str, request: bytes) -> Fault | None:
        with self._lock:
            fault = self._choose(method, request)
            if fault is not None:
                self.happened[type(fault).__name__] += 1
            return fault

    def _choose(self, method: str, request: bytes) -> Fault | None:
        chance, code = self._random, self._random.choice(self.PASSING)
        if chance.random() < self._no_answer:
            return NoAnswer()
        if chance.random() < self._rate:
            return chance.choice((Refuse(code), LoseAnswer(code), BreakOff(code, after=3)))
        if method != BATCH_WRITE:
            return None
        writes = tuple(
            OneWrite(index, chance.choice(self.PASSING), done=chance.random() < 0.5)
            for index in range(len(_RawRequest.FromString(request).writes))
            if chance.random() < self._rate
        )
        return SpoilWrites(writes) if writes else None


class FaultProxy:
    """Listens on a free port of the loopback interface and passes calls on to `upstream`.

    upstream: `host:port` of the real server.
    faults: what to do to which call; None passes everything on untouched.

    Only methods with a single request are known, i.e. all but Firestore's Listen and Write.
    """

    def __init__(self, upstream: str, faults: Faults | None = None) -> None:
        self.faults = faults
        self.calls: Counter[str] = Counter()
        """How often each method was called."""
        self.metadata: dict[str, tuple[tuple[str, str | bytes], ...]] = {}
        """The metadata that each method was last called with."""
        self._relay = Relay(upstream, self._pass_on)
        self.address = self._relay.address
        """`host:port` that clients are to be given."""

    def __enter__(self) -> Self:
        self._relay.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._relay.__exit__(*raised)

    def _pass_on(self, path: str, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        method = path.rpartition("/")[2]
        self.calls[method] += 1
        self.metadata[method] = passed_on(context)
        fault = self.faults(method, request) if self.faults is not None else None
        if isinstance(fault, Refuse):
            context.abort(fault.code, fault.details)
        if isinstance(fault, Late):
            fault.release.wait(_LONGEST)
        answers = self._forward(path, request, context, fault)
        match fault:
            case Late(arrived=arrived):
                try:
                    yield from list(answers)
                finally:
                    arrived.set()
            case LoseAnswer(code):
                list(answers)
                context.abort(code, "the answer was lost by the proxy")
            case BreakOff(code, after):
                # All of it is fetched, so that the work is done whole.
                yield from list(answers)[:after]
                context.abort(code, "the answer was broken off by the proxy")
            case NoAnswer():
                list(answers)
                gone = threading.Event()
                if context.add_callback(gone.set):
                    gone.wait(_LONGEST)
            case _:
                yield from answers

    def _forward(
        self, path: str, request: bytes, context: grpc.ServicerContext, fault: Fault | None
    ) -> Iterator[bytes]:
        if isinstance(fault, SpoilWrites):
            yield self._forward_in_part(path, request, context, fault)
            return
        # The client's deadline is not passed on: what it no longer waits for happens all the same.
        call = self._relay.channel.unary_stream(
            path, request_serializer=None, response_deserializer=None
        )(request, metadata=passed_on(context), timeout=_LONGEST)
        try:
            yield from call
        except grpc.RpcError as error:
            failed: Any = error
            context.abort(failed.code(), failed.details())

    def _forward_in_part(
        self, path: str, request: bytes, context: grpc.ServicerContext, fault: SpoilWrites
    ) -> bytes:
        """Let through the writes that are to be done, and answer as the fault says."""
        told = {one.index: one.code for one in fault.writes}
        held = {one.index for one in fault.writes if not one.done}
        whole = _RawRequest.FromString(request)
        through = [index for index in range(len(whole.writes)) if index not in held]
        part = _RawRequest(
            database=whole.database, writes=[whole.writes[index] for index in through]
        )
        answered = _RawResponse()
        if through:
            (answer,) = self._forward(path, part.SerializeToString(), context, None)
            answered.MergeFromString(answer)
        places = {index: place for place, index in enumerate(through)}
        spoiled = _RawResponse()
        for index in range(len(whole.writes)):
            status, result = spoiled.status.add(), spoiled.write_results.add()
            if index in told:
                status.code, status.message = told[index].value[0], "spoiled by the proxy"
            else:
                status.CopyFrom(answered.status[places[index]])
                result.CopyFrom(answered.write_results[places[index]])
        encoded: bytes = spoiled.SerializeToString()
        return encoded
