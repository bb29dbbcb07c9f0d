"""The ledger's entries change only as designed, and survive being stored."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from shared.core.errors import Problem
from shared.ledger.imports import (
    ENDED,
    ENDED_WELL,
    HISTORY_LIMIT,
    LOADED,
    NEXT,
    PENDING,
    IllegalTransition,
    Import,
    Judged,
    Lease,
    Progress,
    Reports,
    RowCounts,
    Status,
)
from tests.support.imports import at, make_import

STATUSES: tuple[Status, ...] = get_args(Status)


def test_statuses_are_sorted() -> None:
    """Every status is pending, loading or ended, and what ended well has ended."""
    assert set(STATUSES) == PENDING | {"loading"} | ENDED
    assert not PENDING & ENDED
    assert LOADED < ENDED_WELL < ENDED


@pytest.mark.parametrize("before", STATUSES)
@pytest.mark.parametrize("after", STATUSES)
def test_transitions(before: Status, after: Status) -> None:
    """A status is followed by those the design names, or by superseded; superseded by none."""
    import_ = make_import("orders_20230501T120000Z", status=before)
    allowed = after in NEXT[before] or (after == "superseded" != before)

    if allowed:
        changed = import_.to(after, now=at("12:30"), text="So it is.")

        assert (after, "So it is.") == (changed.status, changed.status_text)
        assert (at("12:30"), after, "So it is.") == (
            changed.history[-1].at,
            changed.history[-1].status,
            changed.history[-1].text,
        )
    else:
        with pytest.raises(IllegalTransition):
            import_.to(after, now=at("12:30"), text="So it is.")


def test_an_ended_import_moves_only_by_replay() -> None:
    """From every end the only way on is to be scheduled again, or superseded."""
    assert {status: {"scheduled"} for status in ENDED - {"superseded"}} == {
        status: NEXT[status] for status in ENDED - {"superseded"}
    }


def test_history_is_bounded() -> None:
    """The history keeps its first entry and the newest ones."""
    import_ = make_import("orders_20230501T120000Z")
    for number in range(HISTORY_LIMIT + 20):
        import_ = import_.saying(f"entry {number}", now=at("12:30"))

    assert len(import_.history) == HISTORY_LIMIT
    assert import_.history[0].text == "entry 0"
    assert f"entry {HISTORY_LIMIT + 19}" == import_.history[-1].text


def test_document_names() -> None:
    """People's fields are on top, the pipeline's own in `run`; None and False are absent."""
    fresh = make_import("orders_20230501T120000Z").to_document()
    full = _full_import().to_document()

    assert set(fresh["run"]) == {
        *("object", "bucket", "generation", "size", "crc32c", "taskNumber", "attempt")
    }
    assert set(full["run"]) == {*set(fresh["run"]), "task", "replay", "force", "released", "lease"}
    agreed = (
        "connection file type mode status statusText exportedAt uploadedAt scheduledFor pairedWith "
        "blockedBy rows progress warnings rejections error startedAt finishedAt seconds reports "
        "link history expireAt undone judged run"
    )
    assert set(full) == set(agreed.split(" "))
    rows = {"read", "loaded", "unchanged", "outdated", "rejected", "orphaned"}
    assert set(full["rows"]) == rows
    assert set(full["progress"]) == {"bytesRead", "percent"}
    assert set(full["reports"]) == {"rejected", "report"}
    assert set(full["error"]) == {"code", "severity", "message", "hint", "line", "column"}
    assert not {"lease", "error", "reports", "undone", "link"} & {*fresh, *fresh["run"]}


def test_findings_have_a_severity() -> None:
    """Reasons of rejected rows are apart from warnings, each entry with its severity."""
    document = _full_import().to_document()

    assert document["warnings"] == [
        {"severity": "warning", "code": "header.changed", "message": "Other.", "count": 1}
    ]
    assert document["rejections"] == [
        {"severity": "row", "code": "row.bad_key", "message": "No key.", "line": 4, "count": 3}
    ]


def test_a_document_of_an_earlier_version() -> None:
    """Documents written before there was `run` are read as they were meant."""
    import_ = _full_import()
    now = import_.to_document()
    run = now.pop("run")
    warnings = [dict(one) for one in (*now.pop("rejections"), *now.pop("warnings"))]
    for one in warnings:
        del one["severity"]
    earlier = {**now, **run, "warnings": warnings, "split": None, "blockedBy": None}
    del earlier["connection"]

    found = Import.from_document(connection="main", import_id=import_.import_id, data=earlier)

    assert found == replace(import_, blocked_by=None)


def _full_import() -> Import:
    """Return an import of which every field is set, except `split`."""
    return (
        replace(
            make_import("orders_20230501T120000Z"),
            scheduled_for=at("12:30"),
            paired_with="customers_20230501T115500Z",
            blocked_by="customers_20230501T115500Z",
            task="main-1",
            replay=True,
            force=True,
            released=True,
            undone=at("12:50"),
            lease=Lease(owner="a", expires_at=at("12:31")),
            reports=Reports(rejected="rejected/x.csv", report="reports/x.json"),
            error=Problem(code="settings.invalid", message="Wrong.", line=3, column="DOB"),
            started_at=at("12:30"),
            finished_at=at("12:31"),
            seconds=60.0,
            expire_at=at("12:59"),
            link="https://status.example/?connection=main",
            judged=Judged(at=at("12:05"), read=5, rejected=1, whole=True),
        )
        .saying("Here it is.", now=at("12:00"))
        .finding(
            [
                {"code": "row.bad_key", "message": "No key.", "line": 4, "count": 3},
                {"code": "header.changed", "message": "Other.", "count": 1},
            ]
        )
    )


def test_document_round_trip() -> None:
    """An import read back is the import that was stored."""
    import_ = replace(
        make_import("orders_20230501T120000Z"),
        scheduled_for=at("12:30"),
        paired_with="customers_20230501T115500Z",
        lease=Lease(owner="a", expires_at=at("12:31")),
        rows=RowCounts(read=5, loaded=3, unchanged=1, rejected=1, orphaned=2),
        progress=Progress(bytes_read=10, percent=50),
        reports=Reports(rejected="rejected/x.csv", report="reports/x.report.json"),
        warnings=({"severity": "warning", "code": "header.changed", "count": 3},),
        error=Problem(code="settings.invalid", message="Wrong.", line=3, column="DOB"),
    ).saying("Here it is.", now=at("12:00"))

    document = import_.to_document()

    assert import_ == Import.from_document(
        connection="main", import_id="orders_20230501T120000Z", data=document
    )
    assert document["error"] == {
        "code": "settings.invalid",
        "message": "Wrong.",
        "hint": "Correct the named setting, then replay the import.",
        "severity": "operator",
        "line": 3,
        "column": "DOB",
    }


def test_a_document_with_more_fields_is_read() -> None:
    """Fields that a later version or a person has added do no harm."""
    import_ = make_import("orders_20230501T120000Z")

    assert import_ == Import.from_document(
        connection="main",
        import_id=import_.import_id,
        data={**import_.to_document(), "note": "looked at", "rows": {"read": 0, "parked": 1}},
    )


def test_lease() -> None:
    """A lease is live until the very moment it expires."""
    lease = Lease(owner="a", expires_at=at("12:31"))

    assert lease.live(at("12:30"))
    assert not lease.live(at("12:31"))


def test_next_task() -> None:
    """Every task of an import has a number of its own."""
    import_ = make_import("orders_20230501T120000Z").next_task(at=at("12:30"), task_id="one")
    import_ = import_.next_task(at=at("12:40"), task_id="two")

    assert ("two", 2, at("12:40")) == (import_.task, import_.task_number, import_.scheduled_for)
