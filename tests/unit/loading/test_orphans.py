"""Orders without a customer are found with few calls, each once, wherever they stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from grpc import StatusCode

from shared.core.errors import TryAgain
from shared.files.types import file_type
from shared.firestore.bulk.existence import LOOKED_UP, KnownDocuments
from shared.firestore.bulk.transport import COUNTED, CallFailed, Stored, Transport
from shared.loading.orphans import SAMPLES, WAITING, Orphans, Referring, orphans_found
from shared.parsing.blocks import Block

ROOT = "projects/p/databases/(default)/documents/connections/acme/customers/"


class Customers:
    """Answers reads as Firestore does that has some customers; the first calls may fail."""

    database = "projects/p/databases/(default)"

    def __init__(self, there: Iterable[str], *, failures: Sequence[StatusCode] = ()) -> None:
        self.there = {ROOT + person for person in there}
        self.counted: list[Sequence[str]] = []
        self.calls: list[Sequence[str]] = []
        self._failures = list(failures)

    def get(
        self, names: Sequence[str], mask: Sequence[str] | None, *, timeout: float
    ) -> dict[str, Stored | None]:
        self.calls.append(names)
        if self._failures:
            raise CallFailed("BatchGetDocuments", self._failures.pop(0), "injected")
        found = Stored({}, datetime(2024, 1, 1, tzinfo=UTC))
        return {name: found if name in self.there else None for name in names}

    def count(self, groups: Sequence[Sequence[str]], *, timeout: float) -> list[int]:
        self.counted += groups
        if self._failures:
            raise CallFailed("RunAggregationQuery", self._failures.pop(0), "injected")
        return [len(self.there.intersection(group)) for group in groups]

    def write(self, writes: Iterable[bytes], *, timeout: float) -> bytes:
        raise NotImplementedError


def finder(customers: Customers) -> tuple[Orphans, list[Referring]]:
    found: list[Referring] = []
    known = KnownDocuments(customers, "connections/acme/customers", sleep=lambda _: None)
    return Orphans(known, found.extend), found


def orders(persons: Sequence[str], first: int = 0) -> Block:
    numbers = range(first, first + len(persons))
    return Block(
        keys=[f"o{number}" for number in numbers],
        wires=[b""] * len(persons),
        keep=[frozenset()] * len(persons),
        lines=[(number + 1, number + 2) for number in numbers],
        places=list(numbers),
        refers_to=list(persons),
    )


def test_orders_of_missing_customers_are_found() -> None:
    customers = Customers(["a", "c"])
    orphans, found = finder(customers)
    orphans.see(orders(["a", "b", "c", "b"]))
    orphans.settle()
    assert found == [Referring(1, 3, "o1"), Referring(3, 5, "o3")]
    assert orphans.sample == [(3, "o1"), (5, "o3")]


def test_every_customer_is_looked_up_once_and_many_together() -> None:
    persons = sorted(str(number) for number in range(3 * LOOKED_UP))
    customers = Customers(persons[::2])
    orphans, found = finder(customers)
    for first in range(0, len(persons), 10):
        orphans.see(orders([*persons[first : first + 10], *persons[:10]], first))
    orphans.settle()
    assert [len(names) for names in customers.calls] == [LOOKED_UP] * 3
    assert len({name for names in customers.calls for name in names}) == len(persons)
    assert len(found) == len(persons) // 2 + 5 * (len(persons) // 10)


def test_customers_are_counted_rather_than_read() -> None:
    persons = sorted(str(number) for number in range(LOOKED_UP))
    there, mixed, away = persons[:COUNTED], persons[COUNTED : 2 * COUNTED], persons[2 * COUNTED :]
    customers = Customers([*there, *mixed[1:]])
    orphans, found = finder(customers)
    orphans.see(orders(persons))
    assert [len(group) for group in customers.counted] == [COUNTED] * (LOOKED_UP // COUNTED)
    assert customers.calls == [[ROOT + person for person in mixed]]
    assert len(found) == 1 + len(away)


def test_no_call_is_larger_than_it_may_be() -> None:
    persons = sorted(str(number) for number in range(2 * LOOKED_UP + 1))
    customers = Customers(persons[::2])
    orphans, found = finder(customers)
    orphans.see(orders(persons))
    assert [len(names) for names in customers.calls] == [LOOKED_UP] * 2
    assert max(map(len, customers.counted)) == COUNTED
    assert len(found) == LOOKED_UP


def test_many_orders_of_one_customer_do_not_wait_for_ever() -> None:
    customers = Customers([])
    orphans, found = finder(customers)
    orphans.see(orders(["walk-in"] * (WAITING - 1)))
    assert not customers.counted
    orphans.see(orders(["walk-in"], WAITING))
    assert len(found) == WAITING
    orphans.see(orders(["walk-in"], WAITING + 1))
    orphans.settle()
    assert len(found) == WAITING + 1
    assert len(customers.counted) == 1


def test_nothing_is_asked_where_nothing_waits() -> None:
    customers = Customers([])
    orphans, found = finder(customers)
    orphans.settle()
    assert not customers.counted
    assert not found


def test_the_sample_stays_small() -> None:
    orphans, found = finder(Customers([]))
    orphans.see(orders(["a"] * 6))
    orphans.settle()
    orphans.see(orders(["a"] * (SAMPLES + 5), 6))
    assert len(found) == SAMPLES + 11
    assert len(orphans.sample) == SAMPLES
    assert "o0, o1" in orphans_found(file_type("orders"), len(found), orphans.sample).message


def test_what_passes_is_tried_again() -> None:
    customers = Customers(["a"], failures=[StatusCode.UNAVAILABLE, StatusCode.ABORTED])
    orphans, found = finder(customers)
    orphans.see(orders(["a", "b"]))
    orphans.settle()
    assert [order.key for order in found] == ["o1"]
    assert len(customers.counted) == 3


def test_customers_that_cannot_be_counted_are_read() -> None:
    customers = Customers(["a"], failures=[StatusCode.INVALID_ARGUMENT])
    orphans, found = finder(customers)
    orphans.see(orders(["a", "b"]))
    orphans.settle()
    assert [order.key for order in found] == ["o1"]
    assert len(customers.calls) == 1


@pytest.mark.parametrize(
    "failures", [[StatusCode.PERMISSION_DENIED] * 2, [StatusCode.UNAVAILABLE] * 20]
)
def test_what_does_not_pass_ends_the_attempt(failures: list[StatusCode]) -> None:
    orphans, found = finder(Customers(["a"], failures=failures))
    orphans.see(orders(["a", "b"]))
    with pytest.raises(TryAgain):
        orphans.settle()
    assert not found


def test_no_answer_is_not_a_count_of_none() -> None:
    """A call that ends without a count has failed, so that it is made again."""

    class NoAnswers(list[Any]):
        def cancel(self) -> None:
            """Do nothing: the call has ended."""

    transport: Any = object.__new__(Transport)
    transport._count = lambda request, *, timeout, metadata: NoAnswers()
    transport._metadata = ()

    with pytest.raises(CallFailed) as failed:
        transport.count([[f"{ROOT}1"]], timeout=1)

    assert failed.value.code is StatusCode.UNKNOWN
