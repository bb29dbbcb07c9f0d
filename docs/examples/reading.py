"""Reading a retailer's documents with google-cloud-firestore."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter


def customer(db: firestore.Client, connection: str, person_id: str) -> dict[str, Any] | None:
    """Return a person; None where there is no such person."""
    snapshot = db.document(f"connections/{connection}/customers/{person_id}").get()
    return snapshot.to_dict() if snapshot.exists else None


def customers_by_email(db: firestore.Client, connection: str, address: str) -> list[dict[str, Any]]:
    """Return the people with an e-mail address, however it is written. A family may share one."""
    lower = unicodedata.normalize("NFKC", address).lower().strip()
    query = db.collection(f"connections/{connection}/customers").where(
        filter=FieldFilter("emailLower", "==", lower)
    )
    return [snapshot.to_dict() for snapshot in query.stream()]


def orders_of(db: firestore.Client, connection: str, person_id: str) -> list[dict[str, Any]]:
    """Return a person's orders, the latest first."""
    query = (
        db.collection(f"connections/{connection}/orders")
        .where(filter=FieldFilter("personId", "==", person_id))
        .order_by("orderDate", direction=firestore.Query.DESCENDING)
    )
    return [snapshot.to_dict() for snapshot in query.stream()]


def orders_of_store(
    db: firestore.Client, connection: str, store_code: str, day: str
) -> list[dict[str, Any]]:
    """Return the orders of a store on a day such as `2023-04-24`."""
    query = (
        db.collection(f"connections/{connection}/orders")
        .where(filter=FieldFilter("store.code", "==", store_code))
        .where(filter=FieldFilter("orderDate", "==", day))
    )
    return [snapshot.to_dict() for snapshot in query.stream()]


def may_be_written_to(db: firestore.Client, connection: str, city: str) -> list[str]:
    """Return the e-mail addresses of the people of a city who have agreed to be written to."""
    query = (
        db.collection(f"connections/{connection}/customers")
        .where(filter=FieldFilter("subscribed", "==", True))
        .where(filter=FieldFilter("address.city", "==", city))
        .select(["email"])
    )
    found = (snapshot.get("email") for snapshot in query.stream() if "email" in snapshot.to_dict())
    return sorted(found)


def spent_cents(db: firestore.Client, connection: str, person_id: str) -> int:
    """Return what a person has spent, returns taken off, without reading the orders."""
    query = db.collection(f"connections/{connection}/orders").where(
        filter=FieldFilter("personId", "==", person_id)
    )
    return int(query.sum("valueCents").get()[0][0].value)


def when_loaded(
    db: firestore.Client, connection: str, import_id: str, then: Callable[[str], None]
) -> Any:
    """Call `then` with the status of an export file, now and whenever it changes.

    Call `unsubscribe()` on what is returned to stop.
    """
    document = db.document(f"connections/{connection}/imports/{import_id}")
    return document.on_snapshot(
        lambda snapshots, changes, time: [
            then(one.get("status")) for one in snapshots if one.exists
        ]
    )
