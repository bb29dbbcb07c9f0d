"""What the security rules let through, judged by Google's own evaluation of them."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from local import google_emulator
from tests.support.document_kinds import KINDS, DocumentKind
from tests.support.waiting import PATIENCE

RULES = Path(__file__).resolve().parents[2] / "firestore.rules"
PROJECT = "rules"
DATABASE = f"projects/{PROJECT}/databases/(default)/documents"
OWN, FOREIGN = "au", "nz"

pytestmark = pytest.mark.google_emulator


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a Firebase token, or without one."""

    claims: dict[str, Any] | None
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        if self.claims is not None:
            now = {"iat": 1, "exp": 4_000_000_000, "auth_time": 1}
            about = {"sub": "u1", "user_id": "u1", "aud": PROJECT, "iss": f"https://x/{PROJECT}"}
            parts = [{"alg": "none", "typ": "JWT"}, {**now, **about, **self.claims}]
            token = b".".join(map(segment, parts)).decode()
            self.session.headers["Authorization"] = f"Bearer {token}."


def segment(part: dict[str, Any]) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")


NOBODY = Caller(None)
OTHERS = {
    "signed in": Caller({}),
    "a staff claim that is a text": Caller({"staff": "true"}),
    "a connection claim of null": Caller({"connection": None}),
    "an empty connection claim": Caller({"connection": ""}),
    "a list of connections": Caller({"connection": [OWN]}),
    "a user of another connection": Caller({"connection": FOREIGN}),
    "a pattern for a connection": Caller({"connection": ".*"}),
    "a shopper without a connection": Caller({"person": "x1"}),
    "a shopper of another connection": Caller({"connection": FOREIGN, "person": "x1"}),
    "another shopper": Caller({"connection": OWN, "person": "x2"}),
    "an empty person": Caller({"connection": OWN, "person": ""}),
    "a person of null": Caller({"connection": OWN, "person": None}),
    "a list of persons": Caller({"connection": OWN, "person": ["x1"]}),
    "a pattern for a person": Caller({"connection": OWN, "person": ".*"}),
    "a person of staff": Caller({"staff": True, "person": "x2"}),
}
STAFF = Caller({"staff": True})
RETAILER = Caller({"connection": OWN})
SHOPPER = Caller({"connection": OWN, "person": "x1"})
SHOPPER_AND_STAFF = Caller({"staff": True, "connection": OWN, "person": "x1"})
WRITERS = {"nobody": NOBODY, "staff": STAFF, "retailer": RETAILER, "shopper": SHOPPER}


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    """Google's emulator with the rules, and a document of every kind in two connections."""
    found = google_emulator.find()
    if isinstance(found, google_emulator.Missing):
        pytest.skip(found.reason)
    with google_emulator.start(found, rules=RULES) as emulator:
        root = f"http://{emulator.address}/v1/"
        # "owner" is the emulator's word for what does not come through the rules.
        for kind, connection in itertools.product(KINDS, (OWN, FOREIGN)):
            answer = requests.patch(
                f"{root}{DATABASE}/{kind.at(connection)}",
                json={"fields": fields_of(kind, connection)},
                headers={"Authorization": "Bearer owner"},
                timeout=PATIENCE,
            )
            assert answer.ok, answer.text
        yield root


def fields_of(kind: DocumentKind, connection: str) -> dict[str, Any]:
    """Give what a document holds: its connection, and the person x1 where a field names one."""
    named = {kind.shopper: {"stringValue": "x1"}} if kind.shopper not in ("", "id") else {}
    return {"connection": {"stringValue": connection}, **named}


Ask = Callable[[Caller, str, str], requests.Response]
"""Asks something of a document, given by its path; the second text is the emulator's address."""


def name(path: str) -> str:
    return f"{DATABASE}/{path}"


def parts(path: str) -> tuple[str, str, str]:
    """Return the name of the document's parent, its collection and its id."""
    *parent, collection, id = path.split("/")
    return "/".join([DATABASE, *parent]), collection, id


def get(caller: Caller, path: str, root: str) -> requests.Response:
    return caller.session.get(f"{root}{name(path)}", timeout=PATIENCE)


def batch_get(caller: Caller, path: str, root: str) -> requests.Response:
    body = {"documents": [name(path)]}
    return caller.session.post(f"{root}{DATABASE}:batchGet", json=body, timeout=PATIENCE)


def list_(caller: Caller, path: str, root: str) -> requests.Response:
    parent, collection, _ = parts(path)
    return caller.session.get(f"{root}{parent}/{collection}", timeout=PATIENCE)


def query(caller: Caller, path: str, root: str, *, group: bool = False) -> requests.Response:
    parent, collection, _ = parts(path)
    body = {"structuredQuery": {"from": [{"collectionId": collection, "allDescendants": group}]}}
    where = DATABASE if group else parent
    return caller.session.post(f"{root}{where}:runQuery", json=body, timeout=PATIENCE)


def group(caller: Caller, path: str, root: str) -> requests.Response:
    return query(caller, path, root, group=True)


def orders_of(
    caller: Caller, person: str, root: str, *, group: bool = False, latest: bool = False
) -> requests.Response:
    """Ask for a person's orders, as the example of docs/data-model.md does."""
    own = {"field": {"fieldPath": "personId"}, "op": "EQUAL", "value": {"stringValue": person}}
    latest_first = [{"field": {"fieldPath": "orderDate"}, "direction": "DESCENDING"}]
    body = {
        "structuredQuery": {
            "from": [{"collectionId": "orders", "allDescendants": group}],
            "where": {"fieldFilter": own},
            **({"orderBy": latest_first} if latest else {}),
        }
    }
    parent = DATABASE if group else f"{DATABASE}/connections/{OWN}"
    return caller.session.post(f"{root}{parent}:runQuery", json=body, timeout=PATIENCE)


def narrowed_group(caller: Caller, path: str, root: str) -> requests.Response:
    """Ask for the own ones of all connections' documents: rules are no filters."""
    _, collection, _ = parts(path)
    own = {"field": {"fieldPath": "connection"}, "op": "EQUAL", "value": {"stringValue": OWN}}
    body = {
        "structuredQuery": {
            "from": [{"collectionId": collection, "allDescendants": True}],
            "where": {"fieldFilter": own},
        }
    }
    return caller.session.post(f"{root}{DATABASE}:runQuery", json=body, timeout=PATIENCE)


def count(caller: Caller, path: str, root: str) -> requests.Response:
    parent, collection, _ = parts(path)
    body = {
        "structuredAggregationQuery": {
            "structuredQuery": {"from": [{"collectionId": collection}]},
            "aggregations": [{"alias": "n", "count": {}}],
        }
    }
    return caller.session.post(f"{root}{parent}:runAggregationQuery", json=body, timeout=PATIENCE)


READS: tuple[Ask, ...] = (get, batch_get, list_, query, count)
GROUPS: tuple[Ask, ...] = (group, narrowed_group)

_CONTENT = {"connection": {"stringValue": OWN}, "staff": {"booleanValue": True}}
_TRANSFORM = {"fieldPath": "n", "increment": {"integerValue": "1"}}

Write = Callable[[str], dict[str, Any]]
"""Makes a write, in Firestore's JSON, of a document given by its path."""

WRITES: dict[str, Write] = {
    "set": lambda path: {"update": {"name": name(path), "fields": _CONTENT}},
    "create": lambda path: {
        "update": {"name": name(f"{path}-new"), "fields": _CONTENT},
        "currentDocument": {"exists": False},
    },
    "update": lambda path: {
        "update": {"name": name(path), "fields": _CONTENT},
        "updateMask": {"fieldPaths": ["staff"]},
        "currentDocument": {"exists": True},
    },
    "delete": lambda path: {"delete": name(path)},
    "delete what is not there": lambda path: {"delete": name(f"{path}-new")},
    "transform": lambda path: {
        "transform": {"document": name(path), "fieldTransforms": [_TRANSFORM]}
    },
    "update and transform": lambda path: {
        "update": {"name": name(path), "fields": {}},
        "updateTransforms": [_TRANSFORM],
    },
}


def commit(caller: Caller, write: dict[str, Any], root: str) -> requests.Response:
    return caller.session.post(
        f"{root}{DATABASE}:commit", json={"writes": [write]}, timeout=PATIENCE
    )


def batch(caller: Caller, path: str, root: str) -> requests.Response:
    body = {"writes": [WRITES["set"](path)]}
    return caller.session.post(f"{root}{DATABASE}:batchWrite", json=body, timeout=PATIENCE)


def in_a_transaction(caller: Caller, path: str, root: str) -> requests.Response:
    begun = caller.session.post(f"{root}{DATABASE}:beginTransaction", json={}, timeout=PATIENCE)
    body = {"writes": [WRITES["delete"](path)], **begun.json()}
    return caller.session.post(f"{root}{DATABASE}:commit", json=body, timeout=PATIENCE)


def create(caller: Caller, path: str, root: str) -> requests.Response:
    parent, collection, id = parts(path)
    url = f"{root}{parent}/{collection}?documentId={id}-new"
    return caller.session.post(url, json={"fields": _CONTENT}, timeout=PATIENCE)


def patch(caller: Caller, path: str, root: str) -> requests.Response:
    return caller.session.patch(f"{root}{name(path)}", json={"fields": _CONTENT}, timeout=PATIENCE)


def delete(caller: Caller, path: str, root: str) -> requests.Response:
    return caller.session.delete(f"{root}{name(path)}", timeout=PATIENCE)


WAYS: tuple[Ask, ...] = (batch, in_a_transaction, create, patch, delete)


def refused(answer: requests.Response) -> bool:
    """Whether the rules have refused it; fails if anything else has."""
    outcome = answer.json()
    texts = outcome if isinstance(outcome, list) else [outcome]
    statuses = {one["error"]["status"] for one in texts if "error" in one}
    assert statuses <= {"PERMISSION_DENIED"}, answer.text
    return bool(statuses)


def let_through(caller: Caller, asks: tuple[Ask, ...], paths: list[str], root: str) -> set[str]:
    """Name what the rules let a caller do, of everything asked of every path."""
    return {
        f"{ask.__name__} {path}"
        for ask, path in itertools.product(asks, paths)
        if not refused(ask(caller, path, root))
    }


def everything(connection: str, kinds: tuple[DocumentKind, ...] = KINDS) -> list[str]:
    return [kind.at(connection) for kind in kinds]


def test_nobody_reads(emulator: str) -> None:
    """Without a token nothing can be read, in any way."""
    assert set() == let_through(NOBODY, (*READS, *GROUPS), everything(OWN), emulator)


@pytest.mark.parametrize("who", OTHERS)
def test_others_read_nothing(emulator: str, who: str) -> None:
    """A token without a right claim opens nothing."""
    assert set() == let_through(OTHERS[who], (get, list_, group), everything(OWN), emulator)


def test_staff_read_everything(emulator: str) -> None:
    """Staff read every kind of document of every connection, in every way."""
    asks = (*READS, *GROUPS)
    paths = everything(OWN) + everything(FOREIGN)

    assert {f"{ask.__name__} {path}" for ask in asks for path in paths} == let_through(
        STAFF, asks, paths, emulator
    )


def test_a_retailer_reads_its_own(emulator: str) -> None:
    """A connection's user reads what the data model says, in its own connection alone."""
    own = {kind.at(OWN) for kind in KINDS if kind.read_by == "connection"}

    assert {f"{ask.__name__} {path}" for ask in READS for path in own} == let_through(
        RETAILER, READS, everything(OWN), emulator
    )
    foreign = [path for path in everything(FOREIGN) if path not in everything(OWN)]
    assert set() == let_through(RETAILER, READS, foreign, emulator)
    assert set() == let_through(RETAILER, GROUPS, everything(OWN), emulator)


@pytest.mark.parametrize("caller", [SHOPPER, SHOPPER_AND_STAFF], ids=["shopper", "and staff"])
def test_a_shopper_reads_their_own(emulator: str, caller: Caller) -> None:
    """Whatever else the token holds, it opens the person's documents, one by one, and no lists."""
    own = {kind.at(OWN) for kind in KINDS if kind.shopper}

    assert {f"connections/{OWN}/{name}/x1" for name in ("customers", "orders", "rewards")} == own
    assert {f"{ask.__name__} {path}" for ask in (get, batch_get) for path in own} == let_through(
        caller, (*READS, *GROUPS), everything(OWN), emulator
    )
    foreign = [path for path in everything(FOREIGN) if path not in everything(OWN)]
    assert set() == let_through(caller, READS, foreign, emulator)


def test_a_shopper_reads_nothing_of_others(emulator: str) -> None:
    """Another person's documents are closed, and so is the question whether there are any."""
    others = Caller({"connection": OWN, "person": "x2"})
    own = [kind.at(OWN) for kind in KINDS if kind.shopper]
    missing = [kind.at(OWN, "x9") for kind in KINDS if kind.shopper]

    assert set() == let_through(others, READS, own, emulator)
    assert set() == let_through(SHOPPER, READS, missing, emulator)


def test_a_shopper_lists_their_orders(emulator: str) -> None:
    """Orders are listed where the query names the person of the token, and only then."""
    assert not refused(orders_of(SHOPPER, "x1", emulator))
    assert not refused(orders_of(SHOPPER, "x1", emulator, latest=True))
    assert refused(orders_of(SHOPPER, "x2", emulator))
    assert refused(orders_of(SHOPPER, "x1", emulator, group=True))
    assert refused(orders_of(OTHERS["a shopper of another connection"], "x1", emulator))
    assert not refused(orders_of(RETAILER, "x2", emulator))


def test_what_the_data_model_does_not_know(emulator: str) -> None:
    """A path that nobody has thought of is closed to all but staff."""
    paths = [
        f"connections/{OWN}/secrets/x1",
        f"connections/{OWN}/customers/x1/notes/n1",
        f"others/{OWN}",
        f"others/{OWN}/customers/x1",
    ]

    assert set() == let_through(RETAILER, (get, list_, query), paths, emulator)


@pytest.mark.parametrize("caller", WRITERS.values(), ids=WRITERS)
def test_nobody_writes(emulator: str, caller: Caller) -> None:
    """No client makes any kind of write to any kind of document, own ones and staff included."""
    for what, path in itertools.product(WRITES, everything(OWN)):
        assert refused(commit(caller, WRITES[what](path), emulator)), (what, path)


@pytest.mark.parametrize("who", OTHERS)
def test_others_write_nothing(emulator: str, who: str) -> None:
    """A token without a right claim writes nothing either."""
    for path in everything(OWN):
        assert refused(commit(OTHERS[who], WRITES["set"](path), emulator)), path


@pytest.mark.parametrize("caller", WRITERS.values(), ids=WRITERS)
def test_nobody_writes_in_another_way(emulator: str, caller: Caller) -> None:
    """Whichever call a client uses, it writes nothing."""
    assert set() == let_through(caller, WAYS, everything(OWN), emulator)


def test_nothing_was_written(emulator: str) -> None:
    """After all these tries every document is as it was, and there is none besides."""
    for path in everything(OWN):
        parent, collection, _ = parts(path)
        answer = STAFF.session.get(f"{emulator}{parent}/{collection}", timeout=PATIENCE).json()
        assert all(
            set(document.get("fields", {})) <= {"connection", "personId"}
            and not document["name"].endswith("-new")
            for document in answer["documents"]
        )
