"""Which orders are loaded whose customer is not in Firestore, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from shared.core import Problem, phrases
from shared.firestore.bulk import LOOKED_UP, KnownCustomers
from shared.parsing import Block

SAMPLES = 10
"""Orders without a known customer that the ledger names."""

WAITING = 2_000
"""Orders that wait at most, to keep memory flat, where many are of one customer."""


class Order(NamedTuple):
    """What must be known of an order that may turn out to be an orphan."""

    place: int
    """Among the keys of the file."""
    line: int
    key: str


class Orphans:
    """Finds them among the orders that an import loads.

    Those of customers of whom nothing is known yet wait until enough have come together for a
    call.

    Attributes:
        sample: line and key of the first few found.
    """

    def __init__(self, customers: KnownCustomers, found: Callable[[Sequence[Order]], None]) -> None:
        """Begin; `found` is told of each orphan once."""
        self._customers = customers
        self._found = found
        self._waiting: dict[str, list[Order]] = {}
        """By customer."""
        self._waits = 0
        self.sample: list[tuple[int, str]] = []

    def see(self, orders: Block) -> None:
        """Take orders that are loaded.

        Raises:
            TryAgain: Firestore could not be reached.
        """
        known = self._customers.remembered(orders.refers_to)
        if all(known):
            return
        orphans = []
        for at, there in enumerate(known):
            if there:
                continue
            order = Order(orders.places[at], orders.lines[at][-1], orders.keys[at])
            if there is None:
                self._waiting.setdefault(orders.refers_to[at], []).append(order)
                self._waits += 1
            else:
                orphans.append(order)
        self._tell(orphans)
        if len(self._waiting) >= LOOKED_UP or self._waits >= WAITING:
            self.settle()

    def settle(self) -> None:
        """Look up the customers of all that wait.

        Raises:
            TryAgain: Firestore could not be reached.
        """
        waiting, self._waiting, self._waits = self._waiting, {}, 0
        found = self._customers.look_up(waiting)
        self._tell([order for person in waiting if not found[person] for order in waiting[person]])

    def _tell(self, orphans: Sequence[Order]) -> None:
        if orphans:
            self._found(orphans)
            self.sample += [(one.line, one.key) for one in orphans[: SAMPLES - len(self.sample)]]


def customers_unknown(orphaned: int, sample: Iterable[tuple[int, str]]) -> Problem:
    """Return what is to be said of so many orders whose customer is not in Firestore.

    `sample` is line and key of some; the first few are named.
    """
    named = [key for _, key in sorted(sample)[:SAMPLES]]
    return Problem(
        code="order.customer_unknown",
        message=(
            f"{phrases.count(orphaned, 'order')} loaded whose customer is not in Firestore, "
            f"among them {', '.join(named)}."
        ),
    )
