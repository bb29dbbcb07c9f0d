"""An event is believed for nothing but the name of the object: what lies there is looked at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.gcp.events import StorageObject
from shared.scheduling import lying_there, take_in, take_in_event
from tests.integration.conftest import Make
from tests.support.pipeline import Pipeline, customers_csv

NAME = "customers_20230501T115500Z.csv"
ID = NAME.removesuffix(".csv")
TEXT = customers_csv({"PERIDX": "1"})


@pytest.fixture
def now(pipeline: Pipeline) -> Pipeline:
    """A pipeline whose clock stands at the bucket's own time."""
    pipeline.clock.now = datetime.now(UTC)
    return pipeline


def lies(pipeline: Pipeline, name: str = NAME) -> StorageObject:
    """Return what lies in the bucket under a name."""
    found = lying_there(name, pipeline.services)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "forged",
    [
        {"generation": 2**62, "uploaded_at": datetime(2999, 1, 1, tzinfo=UTC)},
        {"generation": 1, "uploaded_at": datetime(2001, 1, 1, tzinfo=UTC)},
        {"size": 0},
        {"crc32c": "AAAAAA=="},
    ],
    ids=["later", "earlier", "empty", "checksum"],
)
def test_a_forged_event(now: Pipeline, forged: dict[str, object]) -> None:
    """Whatever an event says of an object, the upload that lies there is recorded and loaded."""
    told = now.put(NAME, TEXT)

    taken = take_in_event(replace(told, **forged), now.services)  # type: ignore[arg-type]
    assert taken is not None
    there = lies(now)
    assert (there.generation, there.size, there.crc32c, there.uploaded_at) == (
        taken.generation,
        taken.size,
        taken.crc32c,
        taken.uploaded_at,
    )
    take_in_event(told, now.services)

    assert now.run_due() == ["loaded"]


def test_an_event_about_nothing(now: Pipeline) -> None:
    """An event of an object that is not there leaves nothing in the ledger."""
    told = now.put(NAME, TEXT)
    now.services.bucket.blob(NAME).delete()

    assert take_in_event(told, now.services) is None
    assert [*now.database.collection_group("imports").stream()] == []


def test_a_stale_event(now: Pipeline) -> None:
    """The late event of an upload that was replaced takes the one in that lies there."""
    first = now.put(NAME, TEXT)
    now.put(NAME, customers_csv({"PERIDX": "2"}))

    taken = take_in_event(first, now.services)

    assert taken is not None
    assert lies(now).generation == taken.generation
    assert now.run_due() == ["loaded"]
    assert [*now.documents("customers")] == ["2"]


def test_another_upload_lies_where_one_is_gone(make: Make) -> None:
    """A record that nothing in the bucket answers to hides no upload: that is taken in at once."""
    pipeline = make()
    pipeline.clock.now = datetime.now(UTC)
    told = pipeline.put(NAME, TEXT)
    # As an earlier version, which believed its events, may have left it.
    take_in(
        replace(
            told,
            generation=told.generation + 9,
            uploaded_at=pipeline.clock() + timedelta(days=9_999),
        ),
        pipeline.services,
    )

    assert pipeline.run_due() == ["rejected", "loaded"]
    import_ = pipeline.import_(ID)
    assert (lies(pipeline, f"processed/{NAME}").size, "loaded") == (import_.size, import_.status)
    assert [*pipeline.documents("customers")] == ["1"]
