"""A sample file with its description and its expected result, and how its bytes are written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from local.sample_data.people import CUSTOMER_COLUMNS, Person
from local.sample_data.purchases import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Expected content of Firestore once files are loaded, as far as it is known here."""

    customers: Mapping[str, bool | None] = field(default_factory=dict)
    """Document id -> `subscribed`, None if no file has said."""
    orders: Mapping[str, int] = field(default_factory=dict)
    """Document id -> `valueCents`."""
    rewards: Mapping[str, int] = field(default_factory=dict)
    """Document id -> number of `rewards` inside."""

    def then(self, later: Truth) -> Truth:
        """Return the expected content after a later export is loaded too.

        A blank consent leaves the stored one unchanged.
        """
        consent = {
            key: self.customers.get(key) if subscribed is None else subscribed
            for key, subscribed in later.customers.items()
        }
        return Truth(
            customers={**self.customers, **consent},
            orders={**self.orders, **later.orders},
            rewards={**self.rewards, **later.rewards},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One file below `samples/`."""

    path: str
    """Path below `samples/`, e.g. `good/nz/orders_….csv` or `faulty/bom/customers_….csv`."""
    about: str
    """Content, in one sentence."""
    happens: str
    """Effect in the pipeline, in one or two sentences."""
    status: str
    """Final status of the import."""
    codes: tuple[str, ...] = ()
    """Stable codes in the ledger entry or the report."""
    content: bytes
    rows: int = 0
    """Records below the header, good and bad."""
    rejected: int = 0
    """Rows that are not loaded although the file is."""
    truth: Truth = field(default_factory=Truth)
    """Expected content of an empty database after the file is loaded."""

    @property
    def object(self) -> str:
        """Name in the bucket, e.g. `pending/nz/orders_….csv`."""
        kind, *folders, file = self.path.split("/")
        place = "".join(f"{folder}/" for folder in folders) if kind == "good" else ""
        return f"pending/{place}{file}"

    @property
    def connection(self) -> str:
        """Connection that the file belongs to."""
        _, *folders, _ = self.object.split("/")
        return folders[0] if folders else "main"


def write_csv(
    columns: Sequence[str],
    rows: Iterable[Mapping[str, str]],
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
) -> bytes:
    """Return a CSV file with a header."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, delimiter=delimiter, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


def customers_file(people: Sequence[Person], **form: str) -> bytes:
    """Return a customers file; `form` is its delimiter and its encoding."""
    return write_csv(CUSTOMER_COLUMNS, (person.cells for person in people), **form)


def consents(people: Iterable[Person]) -> Truth:
    """Return the expected content after a customers file."""
    return Truth(customers={person.key: person.subscribed for person in people})


def totals(orders: Iterable[Order]) -> Truth:
    """Return the expected content after an orders file."""
    return Truth(orders={order.number: order.cents for order in orders})
