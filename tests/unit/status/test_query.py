"""The query of the status page's address is read, refused with the reason, and written back."""

from __future__ import annotations

from datetime import UTC, date, datetime
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import pytest

from shared.status.query import Asked, BadQuery
from tests.support.imports import at

SYDNEY = ZoneInfo("Australia/Sydney")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"connection": "../x"}, "`connection` must be"),
        ({"connection": "pending"}, "`connection` must be"),
        ({"type": "refunds"}, "`type` must be one of customers"),
        ({"status": "lost"}, "`status` must be one of received"),
        ({"since": "yesterday"}, "`since` must be a day"),
        ({"since": "0001-01-01"}, "between 1970 and 2999"),
        ({"since": "2023-05-02", "until": "2023-05-01"}, "is after the last day"),
        ({"after": "1"}, "not a link of this page"),
        ({"after": "2023-05-01T12:00:00 main x"}, "not a link of this page"),
        ({"after": "2023-05-01T12:00:00+00:00 ../x y"}, "not a link of this page"),
        ({"after": "0001-01-01T00:00:00+10:00 main x"}, "not a link of this page"),
        ({"after": "9999-12-31T23:59:59-10:00 main x"}, "not a link of this page"),
        ({"import": "a/b", "connection": "main"}, "`import` must be"),
        ({"import": "__x__", "connection": "main"}, "`import` must be"),
        ({"import": "orders_20230501T115500Z"}, "`import` needs `connection`"),
        ({"download": "rejected"}, "`download` needs `import`"),
        ({"reveal": "yes"}, "`reveal` must be 1"),
    ],
)
def test_nonsense_is_refused(query: dict[str, str], says: str) -> None:
    """A part of the query that makes no sense is refused by name."""
    with pytest.raises(BadQuery, match=says):
        Asked.read(query)


def test_a_link_reads_back() -> None:
    """What a link asks for is what was put into it, odd characters of an id included."""
    asked = Asked(
        connection="au",
        type="orders",
        status="under_way",
        since=date(2023, 5, 1),
        until=date(2023, 5, 2),
        after=(datetime(2023, 5, 1, 12, 0, 0, 123456, tzinfo=UTC), "au", "x & y=1~<b>.csv"),
        import_id="é~#?.csv",
        reveal=True,
        still=True,
    )

    link = asked.link()

    assert asked == Asked.read(dict(parse_qsl(link.removeprefix("?"))))


def test_a_link_to_everything_leads_to_the_page_itself() -> None:
    """With nothing asked for the link is `?`, which holds wherever the page is mounted."""
    assert Asked(type="orders").link(type="") == "?"


def test_days_are_those_of_the_zone() -> None:
    """A day begins and ends at midnight where the connection is, summer time included."""
    which = Asked(since=date(2024, 10, 6), until=date(2024, 10, 6)).which(SYDNEY)

    assert which.since == at("20241005T140000Z")
    assert which.before == at("20241006T130000Z")


def test_a_group_stands_for_its_statuses() -> None:
    """A group of statuses is asked for as all of them."""
    which = Asked(status="needs_a_look").which(SYDNEY)

    assert {"overdue", "loaded_with_rejects", "rejected", "failed"} == set(which.statuses)
