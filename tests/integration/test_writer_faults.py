"""Writing documents to a real server through a proxy that spoils calls."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from google.cloud import firestore
from grpc import StatusCode

from local import google_emulator
from local.emulators.firestore import serve
from shared.firestore.bulk.batch import Limits
from shared.firestore.bulk.operations import Leave, Left, Outcome, Put, Refused, Written
from shared.firestore.bulk.transport import Stored, Transport, encode_write
from shared.firestore.bulk.writer import Writer
from tests.support.grpc_proxy import (
    BreakOff,
    Fault,
    FaultProxy,
    Late,
    LoseAnswer,
    NoAnswer,
    OneWrite,
    Refuse,
    Script,
    SpoilWrites,
    Storm,
)
from tests.support.waiting import PATIENCE

OLDER, OURS, NEWER = 4, 5, 6


class Database:
    """A project of its own on the server under test, seen directly and through a proxy."""

    def __init__(self, upstream: str, proxy: FaultProxy, connect: Callable[[str], Any]) -> None:
        self.proxy = proxy
        self.direct = connect(upstream)
        self.client = connect(proxy.address)

    def put(self, documents: dict[str, dict[str, Any]]) -> None:
        keys = list(documents)
        for start in range(0, len(keys), 400):
            batch = self.direct.batch()
            for key in keys[start : start + 400]:
                batch.set(self.direct.collection("customers").document(key), documents[key])
            batch.commit()

    def all(self) -> dict[str, dict[str, Any]]:
        return {found.id: found.to_dict() for found in self.direct.collection("customers").stream()}


@pytest.fixture(scope="module")
def embedded() -> Iterator[str]:
    server = serve()
    yield f"127.0.0.1:{server.port}"
    server.stop()


@pytest.fixture(scope="module")
def google() -> Iterator[str]:
    found = google_emulator.find()
    if isinstance(found, google_emulator.Missing):
        pytest.skip(found.reason)
    with google_emulator.start(found) as emulator:
        yield emulator.address


@pytest.fixture(
    params=["embedded", pytest.param("google", marks=pytest.mark.google_emulator)],
)
def upstream(request: pytest.FixtureRequest) -> str:
    address: str = request.getfixturevalue(request.param)
    return address


@pytest.fixture
def database(upstream: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    project = f"writer-{random.randrange(2**40):x}"
    opened: list[Any] = []

    def connect(address: str) -> Any:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", address)
        client = firestore.Client(project=project)
        opened.append(client)
        client._firestore_api  # noqa: B018  # makes the channel while the variable is set
        return client

    with FaultProxy(upstream) as proxy:
        yield Database(upstream, proxy, connect)
        for client in opened:
            client.close()


class Import:
    """Writes documents of one age, the newest winning, and keeps every outcome."""

    def __init__(self, age: int = OURS) -> None:
        self.age = age
        self.results: list[tuple[str, Outcome]] = []

    @property
    def outcomes(self) -> dict[str, Outcome]:
        outcomes = dict(self.results)
        assert len(outcomes) == len(self.results)
        return outcomes

    def document(self, key: str) -> dict[str, Any]:
        return {"name": f"{key} of {self.age}", "source": {"age": self.age}}

    def decide(self, key: str, stored: Stored | None) -> Put | Leave:
        age = stored.data["source"]["age"] if stored is not None else 0
        if age < self.age:
            return Put(self.document(key))
        return Leave("own" if age == self.age else "newer")

    @contextmanager
    def writer(
        self, client: Any, *, batch_size: int = 50, rpc_timeout: float = 60.0, **options: Any
    ) -> Iterator[Writer[str]]:
        settings: dict[str, Any] = {
            "limits": Limits(batch_size=batch_size, in_flight=6, rpc_timeout=rpc_timeout),
            "decide": self.decide,
            "mask": ("source.age",),
            "on_result": lambda key, outcome: self.results.append((key, outcome)),
            "guard": lambda: None,
            # Pauses are for servers that need one.
            "sleep": lambda seconds: time.sleep(min(seconds, 0.002)),
            **options,
        }
        with Writer[str](Transport(client), "customers", **settings) as writer:
            yield writer

    def write(self, client: Any, keys: list[str], **options: Any) -> dict[str, Outcome]:
        with self.writer(client, **options) as writer:
            for key in keys:
                writer.add(key, key)
        assert sorted(keys) == sorted(self.outcomes)
        return self.outcomes


KEYS = [str(10_000 + number) for number in range(2_000)]


def stored_before(keys: list[str]) -> dict[str, dict[str, Any]]:
    """A third of the documents are there and older, a third are there and newer."""
    before = {}
    for number, key in enumerate(keys):
        if number % 3:
            before[key] = Import(OLDER if number % 3 == 1 else NEWER).document(key)
            before[key]["only_before"] = True
    return before


def test_storm(database: Database) -> None:
    """With 30 % faults of every kind, 2,000 documents end right and have one outcome each."""
    before = stored_before(KEYS)
    database.put(before)
    database.proxy.faults = storm = Storm(seed=1, rate=0.3, no_answer=0.01)

    outcomes = Import().write(database.client, KEYS, rpc_timeout=2)

    newer = {key for key in before if before[key]["source"]["age"] == NEWER}
    expected = {key: before[key] if key in newer else Import().document(key) for key in KEYS}
    assert database.all() == expected
    assert {key for key, outcome in outcomes.items() if outcome == Left("newer")} == newer
    assert Counter(type(outcome) for outcome in outcomes.values())[Refused] == 0
    assert {"Refuse", "LoseAnswer", "BreakOff", "SpoilWrites"} <= set(storm.happened)


def test_storm_when_only_creating(database: Database) -> None:
    """With 30 % faults, what exists is left and what does not is created, known as one's own."""
    before = stored_before(KEYS[:600])
    database.put(before)
    database.proxy.faults = Storm(seed=2, rate=0.3)

    outcomes = Import().write(database.client, KEYS[:600], create_only=True)

    assert database.all() == {key: before.get(key, Import().document(key)) for key in KEYS[:600]}
    for key, outcome in outcomes.items():
        assert (key in before) == (outcome in (Left("exists"), Left("newer")))


def test_two_imports_at_once(database: Database) -> None:
    """Of two imports that write the same documents at once, the newer wins every one."""
    keys = KEYS[:600]
    database.proxy.faults = Storm(seed=3, rate=0.1)
    older, newer = Import(OLDER), Import(NEWER)
    failed: list[BaseException] = []

    def write_older() -> None:
        try:
            older.write(database.client, keys)
        except BaseException as error:
            failed.append(error)

    other = threading.Thread(target=write_older)
    other.start()
    newer.write(database.client, keys[::-1])
    other.join(PATIENCE)

    assert failed == []
    assert database.all() == {key: newer.document(key) for key in keys}
    assert Left("newer") not in newer.outcomes.values()
    assert len(older.outcomes) == len(newer.outcomes) == len(keys)


@pytest.mark.parametrize("code", Storm.PASSING, ids=lambda code: code.name)
def test_lost_answer(database: Database, code: StatusCode) -> None:
    """A document whose answer got lost is written once and known as one's own."""
    faults = Script(BatchWrite=[LoseAnswer(code)])
    database.proxy.faults = faults

    outcomes = Import().write(database.client, ["1", "2"])

    assert outcomes == {"1": Left("own"), "2": Left("own")}
    assert database.all() == {key: Import().document(key) for key in ("1", "2")}
    assert faults.used_up


def test_a_write_that_arrives_late(database: Database) -> None:
    """A write that the client had given up changes nothing when it arrives after all."""
    late = Late()
    database.proxy.faults = Script(BatchWrite=[late])
    assert isinstance(Import(OLDER).write(database.client, ["1"], rpc_timeout=2)["1"], Written)
    assert isinstance(Import(NEWER).write(database.client, ["1"])["1"], Written)

    late.release.set()

    assert late.arrived.wait(PATIENCE)
    assert database.all() == {"1": Import(NEWER).document("1")}


@pytest.mark.parametrize(
    ("method", "faults"),
    [
        ("BatchGetDocuments", [Refuse(StatusCode.UNAVAILABLE), Refuse(StatusCode.INTERNAL)]),
        ("BatchGetDocuments", [BreakOff(StatusCode.UNAVAILABLE, after=1)]),
        ("BatchGetDocuments", [NoAnswer()]),
        ("BatchWrite", [Refuse(StatusCode.ABORTED), Refuse(StatusCode.RESOURCE_EXHAUSTED)]),
        ("BatchWrite", [NoAnswer()]),
        ("BatchWrite", [SpoilWrites((OneWrite(1, StatusCode.ABORTED, done=False),))]),
        ("BatchWrite", [SpoilWrites((OneWrite(1, StatusCode.UNKNOWN, done=True),))]),
    ],
    ids=[
        "read refused",
        "read broken off",
        "read unanswered",
        "write refused",
        "write unanswered",
        "one write refused",
        "one write done",
    ],
)
def test_single_fault(database: Database, method: str, faults: list[Fault]) -> None:
    """After a single fault of any kind, documents new, older and newer end right."""
    before = {"2": Import(OLDER).document("2"), "3": Import(NEWER).document("3")}
    database.put(before)
    database.proxy.faults = script = Script(**{method: faults})

    outcomes = Import().write(database.client, ["1", "2", "3"], rpc_timeout=2)

    assert database.all() == {
        "1": Import().document("1"),
        "2": Import().document("2"),
        "3": before["3"],
    }
    assert outcomes["3"] == Left("newer")
    assert script.used_up


def test_server_comes_back(database: Database) -> None:
    """A server that cannot be reached is waited for."""
    database.proxy.faults = Script(BatchGetDocuments=[Refuse(StatusCode.UNAVAILABLE)] * 3)
    naps: list[float] = []

    outcomes = Import().write(database.client, ["1"], sleep=naps.append)

    assert isinstance(outcomes["1"], Written)
    assert len(naps) == 3


def test_refused_document(database: Database) -> None:
    """Of a request with a document beyond Firestore's limits, all the others are written."""
    big = "secret " * 170_000  # 1.2 MB in one field

    def decide(key: str, stored: Stored | None) -> Put:
        return Put({"address": {"line1": big if key == "7" else key}})

    outcomes = Import().write(database.client, [str(n) for n in range(16)], decide=decide)

    refused = outcomes.pop("7")
    assert isinstance(refused, Refused)
    assert refused.problem.code == "write.refused"
    assert "INVALID_ARGUMENT" in refused.problem.message
    assert "secret" not in refused.problem.message
    assert all(isinstance(outcome, Written) for outcome in outcomes.values())
    assert len(database.all()) == 15


def test_reserved_key(database: Database) -> None:
    """A key that Firestore keeps for itself refuses its own document alone."""
    outcomes = Import().write(database.client, ["1", "__2__", "3"])

    assert isinstance(outcomes["__2__"], Refused)
    assert set(database.all()) == {"1", "3"}


def test_large_documents(database: Database) -> None:
    """Documents that together go far beyond what one request may hold are all written."""
    outcomes = Import().write(
        database.client,
        [str(number) for number in range(16)],
        decide=lambda key, stored: Put({"text": key * 400_000}),
        batch_size=16,
    )

    assert all(isinstance(outcome, Written) for outcome in outcomes.values())
    assert {key: len(data["text"]) for key, data in database.all().items()} == {
        str(number): 400_000 * len(str(number)) for number in range(16)
    }


def test_only_some_fields(database: Database) -> None:
    """A partial write leaves the other fields, and removes a field that it names but lacks."""
    stored = {"a": {"b": 1, "c": 2}, "goes": True, "stays": [1]}
    database.put({"1": stored})

    Import().write(
        database.client, ["1"], decide=lambda key, _: Put({"a": {"b": 9}}, only=("a.b", "goes"))
    )

    assert database.all() == {"1": {"a": {"b": 9, "c": 2}, "stays": [1]}}


def test_running_again_changes_nothing(database: Database) -> None:
    """An import that is run twice writes nothing the second time."""
    Import().write(database.client, KEYS[:100])
    writes = database.proxy.calls["BatchWrite"]

    outcomes = Import().write(database.client, KEYS[:100])

    assert set(outcomes.values()) == {Left("own")}
    assert database.proxy.calls["BatchWrite"] == writes


def test_metadata(database: Database) -> None:
    """Calls carry the client's own headers, but for the routing, which any database takes."""
    name = database.client.document("customers/1")._document_path
    list(database.client.get_all([database.client.document("customers/1")]))
    expected = dict(database.proxy.metadata["BatchGetDocuments"])

    found = Transport(database.client).get([name], (), timeout=PATIENCE)

    actual = dict(database.proxy.metadata["BatchGetDocuments"])
    assert found == {name: None}
    assert actual["authorization"] == "Bearer owner"
    assert actual.keys() == expected.keys()
    others = {"x-goog-api-client", "x-goog-request-params"}
    assert {k: v for k, v in actual.items() if k not in others} == {
        k: v for k, v in expected.items() if k not in others
    }


def test_a_named_database(upstream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call names project and database in its routing, and works on that database alone."""
    project = f"writer-{random.randrange(2**40):x}"
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", upstream)
    with FaultProxy(upstream) as proxy:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", proxy.address)
        with closing(firestore.Client(project=project, database="shop")) as client:
            transport = Transport(client)
            name = client.document("customers/1")._document_path

            transport.write([encode_write(name, {"a": 1}, base=None)], timeout=PATIENCE)
            found = transport.get([name], ("a",), timeout=PATIENCE)[name]
            counts = transport.count([[name]], timeout=PATIENCE)
            sent = dict(proxy.metadata)
        with closing(firestore.Client(project=project)) as default:
            elsewhere = default.document("customers/1").get().exists

    calls = ("BatchWrite", "BatchGetDocuments", "RunAggregationQuery")
    routing = f"project_id={project}&database_id=shop"
    assert [routing] * 3 == [dict(sent[call])["x-goog-request-params"] for call in calls]
    assert found is not None
    assert (found.data, counts, elsewhere) == ({"a": 1}, [1], False)
