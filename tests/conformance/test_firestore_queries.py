"""Queries and aggregations of a Firestore server.

Every check runs against the embedded server and, where one is installed, against Google's own
emulator, so that the two cannot drift apart. The few that only one of them can pass say why.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import And, FieldFilter, Or
from google.cloud.firestore_v1.vector import Vector
from grpc import StatusCode

from shared.firestore.bulk.existence import DocumentReader, KnownDocuments
from shared.firestore.bulk.transport import COUNTED, READ, CallFailed, Transport
from tests.conformance.firestore_helpers import fill, ids, where
from tests.conformance.firestore_servers import GOOGLE, connect
from tests.support.waiting import PATIENCE

pytest_plugins = ["tests.conformance.firestore_servers"]


# -- queries --------------------------------------------------------------------------------

PEOPLE: dict[str, dict[str, Any]] = {
    "ann": {"age": 31, "city": "Perth", "tags": ["vip", "new"], "at": {"lat": 3}},
    "bob": {"age": 25, "city": "Hobart", "tags": ["new"], "at": {"lat": 1}},
    "cyd": {"age": 25.0, "city": "Perth", "tags": [], "at": {"lat": 2}},
    "dee": {"age": None, "city": "Cairns", "tags": "vip"},
    "eve": {"age": math.nan, "city": "Perth"},
    "fay": {"age": "old", "city": None},
    "gus": {"city": "Darwin", "tags": [None, "vip"]},
}


def both(*filters: Any) -> Callable[[Any], Any]:
    return lambda people: people.where(filter=And([FieldFilter(*each) for each in filters]))


def either(*filters: Any) -> Callable[[Any], Any]:
    return lambda people: people.where(filter=Or([FieldFilter(*each) for each in filters]))


QUERIES: list[tuple[str, Callable[[Any], Any], str]] = [
    ("all", lambda people: people, "ann bob cyd dee eve fay gus"),
    ("==", where("age", "==", 25), "bob cyd"),
    ("== text", where("city", "==", "Perth"), "ann cyd eve"),
    ("== map", where("at", "==", {"lat": 2}), "cyd"),
    ("== array", where("tags", "==", ["new"]), "bob"),
    ("== null", where("age", "==", None), "dee"),
    ("== nan", where("age", "==", math.nan), "eve"),
    ("!=", where("age", "!=", 25), "eve ann fay"),
    ("!= null", where("age", "!=", None), "eve bob cyd ann fay"),
    ("!= nan", where("age", "!=", math.nan), "bob cyd ann fay"),
    ("<", where("age", "<", 31), "bob cyd"),
    ("<=", where("age", "<=", 31), "bob cyd ann"),
    (">", where("age", ">", 25), "ann"),
    (">= text", where("age", ">=", ""), "fay"),
    ("nested", where("at.lat", ">", 1), "cyd ann"),
    ("in", where("age", "in", [31, "old", None]), "ann fay"),
    ("not-in", where("age", "not-in", [25, "old"]), "eve ann"),
    ("not-in null", where("age", "not-in", [25, None]), ""),
    ("array-contains", where("tags", "array_contains", "new"), "ann bob"),
    ("array-contains-any", where("tags", "array_contains_any", ["vip", "x"]), "ann gus"),
    ("and", both(("city", "==", "Perth"), ("age", ">", 0)), "cyd ann"),
    ("and of ranges", both(("age", ">", 0), ("city", "<", "P")), "bob"),
    ("or", either(("age", "==", 31), ("city", "==", "Hobart")), "ann bob"),
    (
        "and of or",
        lambda people: people.where(
            filter=And(
                [
                    FieldFilter("city", "==", "Perth"),
                    Or([FieldFilter("age", "==", 31), FieldFilter("age", "==", 25)]),
                ]
            )
        ),
        "ann cyd",
    ),
    ("order", lambda people: people.order_by("age"), "dee eve bob cyd ann fay"),
    (
        "order descending",
        lambda people: people.order_by("age", direction="DESCENDING"),
        "fay ann cyd bob eve dee",
    ),
    (
        "order by two",
        lambda people: people.order_by("city", direction="DESCENDING").order_by("age"),
        "eve cyd ann bob dee fay",
    ),
    ("order nested", lambda people: people.order_by("at.lat"), "bob cyd ann"),
    (
        "range and another order",
        lambda people: where("age", ">", 0)(people).order_by("city", direction="DESCENDING"),
        "ann cyd bob",
    ),
    ("limit", lambda people: people.limit(2), "ann bob"),
    ("limit and order", lambda people: people.order_by("city").limit(2), "fay dee"),
    ("offset", lambda people: people.offset(5), "fay gus"),
    ("offset and limit", lambda people: people.order_by("age").offset(1).limit(2), "eve bob"),
    ("limit to last", lambda people: people.order_by("age").limit_to_last(2), "ann fay"),
    ("start at", lambda people: people.order_by("age").start_at({"age": 25}), "bob cyd ann fay"),
    ("start after", lambda people: people.order_by("age").start_after({"age": 25}), "ann fay"),
    (
        "end before",
        lambda people: people.order_by("age").end_before({"age": 25}),
        "dee eve",
    ),
    ("end at", lambda people: people.order_by("age").end_at({"age": 25}), "dee eve bob cyd"),
    (
        "cursors of two",
        lambda people: (
            people.order_by("city").order_by("age").start_at({"city": "Perth", "age": 25})
        ),
        "cyd ann",
    ),
    (
        "cursor descending",
        lambda people: people.order_by("age", direction="DESCENDING").start_after({"age": 31}),
        "cyd bob eve dee",
    ),
]


@pytest.fixture(scope="session")
def people_of() -> dict[str, Any]:
    """Clients with the people in them, by server: queries do not change them."""
    return {}


@pytest.fixture
def people(
    server: str, address: str, people_of: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Any:
    if server not in people_of:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", address)
        people_of[server] = fill(connect("test-queries"), "people", PEOPLE)
    return people_of[server]


@pytest.mark.parametrize(
    ("query", "expected"), [case[1:] for case in QUERIES], ids=[case[0] for case in QUERIES]
)
def test_query(people: Any, query: Callable[[Any], Any], expected: str) -> None:
    """A query finds the documents it means, in the order it means."""
    assert expected.split() == ids(query(people).get())


def test_order_of_types(db: Any) -> None:
    """Values of different types sort by type first."""
    ascending: list[Any] = [
        None,
        False,
        True,
        math.nan,
        -math.inf,
        -1,
        0.5,
        2**53,
        2**53 + 1,
        datetime(2020, 1, 1, tzinfo=UTC),
        "",
        "a",
        "\uffee",
        "😀",
        b"",
        db.document("a/b"),
        db.document("a/b/c/d"),
        firestore.GeoPoint(-1, 5),
        firestore.GeoPoint(1, 0),
        [],
        [1],
        [1, 2],
        [2],
        Vector([9.0]),
        Vector([1.0, 2.0]),
        {},
        {"a": 1},
        {"a": 1, "b": 0},
        {"a": 2},
        {"b": 0},
    ]
    shuffled = sorted(range(len(ascending)), key=lambda n: n * 7919 % 31)
    things = fill(db, "things", {f"{n:02}": {"v": ascending[n]} for n in shuffled})

    expected = [f"{n:02}" for n in range(len(ascending))]
    assert expected == ids(things.order_by("v").stream())
    assert expected[::-1] == ids(things.order_by("v", direction="DESCENDING").stream())


def test_cursor_from_snapshot(people: Any) -> None:
    """A document is a cursor, among documents of equal values as well."""
    bob = people.document("bob").get()

    assert ids(people.order_by("age").start_after(bob).stream()) == ["cyd", "ann", "fay"]
    assert ids(people.order_by("age").end_before(bob).stream()) == ["dee", "eve"]


def test_name_range(people: Any) -> None:
    """Documents can be queried by ranges of their names."""
    by_name = people.order_by("__name__")
    low, high = people.document("bob"), people.document("eve")

    found = by_name.where(filter=FieldFilter("__name__", ">", low)).where(
        filter=FieldFilter("__name__", "<=", high)
    )

    assert ids(found.stream()) == ["cyd", "dee", "eve"]
    assert ids(by_name.start_after({"__name__": "cyd"}).limit(2).stream()) == ["dee", "eve"]
    assert ids(
        people.where(
            filter=FieldFilter("__name__", "in", [people.document("gus"), people.document("ann")])
        ).stream()
    ) == ["ann", "gus"]


def test_one_of_some_names(db: Any) -> None:
    """Documents can be asked for by their names, in any order and with other conditions."""
    items = fill(db, "items", {str(n): {"n": n} for n in range(9)})
    db.document("items/3/items/1").set({"n": 7})
    wanted = [items.document(name) for name in ("7", "3", "x", "5")]
    named = items.where(filter=FieldFilter("__name__", "in", [*wanted, db.document("other/2")]))

    assert ids(named.stream()) == ["3", "5", "7"]
    assert ids(named.offset(1).limit(2).stream()) == ["5", "7"]
    assert ids(named.order_by("n", direction="DESCENDING").limit(2).stream()) == ["7", "5"]
    assert ids(named.where(filter=FieldFilter("n", "==", 5)).stream()) == ["5"]
    below = db.document("items/3/items/1")
    group = db.collection_group("items").where(
        filter=FieldFilter("__name__", "in", [below, items.document("4"), items.document("x")])
    )
    assert sorted(one.reference.path for one in group.stream()) == ["items/3/items/1", "items/4"]


def test_pages_by_name(db: Any) -> None:
    """Paging by the last name sees every document once."""
    expected = [f"{number:03}" for number in range(25)]
    items = fill(db, "items", {name: {"n": 1} for name in expected})
    page = items.order_by("__name__").limit(10)

    seen: list[str] = []
    while found := ids(page.stream()):
        seen += found
        page = page.start_after({"__name__": items.document(found[-1])})

    assert expected == seen


def test_select(people: Any) -> None:
    """A projection returns the fields it names, or the name alone."""
    ann = people.document("ann")

    some = people.select(["at.lat", "age"]).limit(1).get()[0]
    none = people.select([]).limit(1).get()[0]

    assert some.to_dict() == {"at": {"lat": 3}, "age": 31}
    assert (ann, {}) == (none.reference, none.to_dict())


def test_collection_group(db: Any) -> None:
    """A collection group query finds documents below any parent, ordered by their full names."""
    for path in ("b/1/items/1", "a/1/items/2", "a/1/items/2/items/0", "items/9", "a/1/itemsz/1"):
        db.document(path).set({"n": len(path)})

    group = db.collection_group("items")

    assert [snapshot.reference.path for snapshot in group.stream()] == [
        "a/1/items/2",
        "a/1/items/2/items/0",
        "b/1/items/1",
        "items/9",
    ]
    assert ids(group.where(filter=FieldFilter("n", ">", 11)).stream()) == ["0"]


def test_collection_sees_no_subcollections(db: Any) -> None:
    """A collection query does not see collections of the same id elsewhere."""
    db.document("items/1").set({})
    db.document("items/1/items/2").set({})

    assert ids(db.collection("items").stream()) == ["1"]
    assert ids(db.collection("items/1/items").stream()) == ["2"]


def test_partitions(server: str, db: Any) -> None:
    """The partitions of a group, run one after the other, are the whole group."""
    if server == GOOGLE:
        pytest.skip("Google's emulator does not implement PartitionQuery")
    expected = [f"{number:04}" for number in range(600)]
    fill(db, "a/1/items", {name: {} for name in expected})

    partitions = list(db.collection_group("items").get_partitions(3))

    assert len(partitions) == 4
    assert expected == [name for each in partitions for name in ids(each.query().stream())]


@pytest.mark.parametrize(
    "query",
    [
        where("age", "in", list(range(31))),
        where("age", "not-in", list(range(11))),
        where("age", "in", []),
        both(("age", "!=", 1), ("city", "!=", "x")),
        both(("age", "not-in", [1]), ("city", "in", ["x"])),
        both(("tags", "array_contains", "a"), ("tags", "array_contains", "b")),
        both(("age", "in", list(range(6))), ("city", "in", list("abcdef"))),
        lambda people: people.limit(-1),
    ],
    ids=[
        "in of 31",
        "not-in of 11",
        "in of none",
        "two negations",
        "not-in with in",
        "two array-contains",
        "36 disjunctions",
        "negative limit",
    ],
)
def test_bad_query(people: Any, query: Callable[[Any], Any]) -> None:
    """A query beyond the limits of the service is refused."""
    with pytest.raises(exceptions.InvalidArgument):
        query(people).get()


def test_descending_names(people: Any) -> None:
    """Scanning names backwards is refused, as the service does."""
    with pytest.raises(exceptions.FailedPrecondition, match="descending key scans"):
        people.order_by("__name__", direction="DESCENDING").get()


# -- aggregations ---------------------------------------------------------------------------


def aggregate(query: Any) -> dict[str, Any]:
    """The results of an aggregation by alias."""
    return {result.alias: result.value for results in query.get() for result in results}


def test_count(people: Any) -> None:
    """Counting counts what the query would find, within its limit."""
    assert aggregate(people.count(alias="n")) == {"n": 7}
    assert aggregate(people.limit(3).count(alias="n")) == {"n": 3}
    assert aggregate(people.offset(5).count(alias="n")) == {"n": 2}
    assert aggregate(where("city", "==", "Perth")(people).count(alias="n")) == {"n": 3}
    assert aggregate(people.order_by("age").count(alias="n")) == {"n": 6}


def test_count_of_named_documents(db: Any) -> None:
    """The loader counts documents by name, many groups at once, to learn which exist."""
    there = [str(number) for number in range(40)]
    fill(db, "connections/acme/customers", {key: {} for key in there})
    fill(db, "connections/other/customers", {"else": {}})
    transport = Transport(db)
    root = f"{transport.database}/documents/connections/acme/customers/"

    def count(*groups: list[str]) -> list[int]:
        return transport.count(
            [[root + key for key in group] for group in groups], timeout=PATIENCE
        )

    assert count(there[:30], there[30:], ["0", "else"], ["else"], ["-1", "39", "Ω", "a b"]) == [
        30,
        10,
        1,
        0,
        1,
    ]
    assert count() == []
    with pytest.raises(CallFailed) as failed:
        count(there[:3], [str(number) for number in range(COUNTED + 1)])
    assert failed.value.code is StatusCode.INVALID_ARGUMENT


def test_known_customers(db: Any) -> None:
    """Customers are found whether all, some or none of them exist."""
    there = [str(number) for number in range(0, 700, 7)]
    fill(db, "connections/acme/customers", {key: {} for key in there})
    known = KnownDocuments(Transport(db), "connections/acme/customers")

    asked = [*there, *(str(number) for number in range(300)), *(f"x{n}" for n in range(50))]

    assert known.look_up(dict.fromkeys(asked)) == {key: key in there for key in asked}


def test_more_documents_than_a_call_reads(db: Any) -> None:
    """They are read in several calls, and each is found, or found to be missing."""
    there = [str(number) for number in range(0, 2 * READ + 100, 2)]
    fill(db, "connections/acme/customers", {key: {"n": int(key)} for key in there})
    reader = DocumentReader(Transport(db), "connections/acme/customers", ("n",))

    asked = [str(number) for number in range(2 * READ + 100)]
    found = reader.read(asked)

    assert [stored and stored.data for stored in found] == [
        {"n": int(key)} if key in there else None for key in asked
    ]


def test_sum_and_average(db: Any) -> None:
    """Sums and averages skip what is not a number and keep integers exact."""
    sales = fill(
        db, "sales", {"a": {"n": 2}, "b": {"n": 3}, "c": {"n": "x"}, "d": {"n": None}, "e": {}}
    )

    both = sales.sum("n", alias="s").avg("n", alias="a").count(alias="c")

    assert aggregate(both) == {"s": 5, "a": 2.5, "c": 4}


def test_aggregates_of_nothing(db: Any) -> None:
    """Nothing sums to 0 and has no average, for which the API says null."""
    query = db.collection("none").sum("n", alias="s").avg("n", alias="a").count(alias="c")

    (response,) = db._firestore_api.run_aggregation_query(
        request={
            "parent": f"{db._database_string}/documents",
            "structured_aggregation_query": query._to_protobuf(),
        },
        metadata=db._rpc_metadata,
    )
    fields = response.result.aggregate_fields

    assert [(alias, fields[alias]._pb.WhichOneof("value_type")) for alias in ("s", "a", "c")] == [
        ("s", "integer_value"),
        ("a", "null_value"),
        ("c", "integer_value"),
    ]
    assert fields["s"].integer_value == fields["c"].integer_value == 0


def test_sum_overflows_to_float(db: Any) -> None:
    """A sum that no longer fits 64 bits is a float."""
    sales = fill(db, "sales", {"a": {"n": 2**63 - 1}, "b": {"n": 2**63 - 1}})

    assert {"s": float(2**64)} == aggregate(sales.sum("n", alias="s"))
