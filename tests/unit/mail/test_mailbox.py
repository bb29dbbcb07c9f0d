"""Choice of the events that are mailed or only counted, and the threads of mails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.mail.mailbox import AGAIN, DAILY, FORGOTTEN, Bounce, Mailbox, Posting
from tests.support.imports import at

SYDNEY = ZoneInfo("Australia/Sydney")
NOON = at("12:00")


def report(
    box: Mailbox, mail: str, *, topic: str = "customers", code: str = "file.empty", now: datetime
) -> tuple[Posting | None, Mailbox]:
    """Report trouble."""
    return box.report(mail=mail, topic=topic, code=code, now=now, zone=SYDNEY)


def resolve(
    box: Mailbox, *, now: datetime, each: bool = False, recovery: bool = True
) -> tuple[Posting | None, Mailbox]:
    """Let a customers file load."""
    return box.resolve(topic="customers", each=each, recovery=recovery, now=now, zone=SYDNEY)


def test_the_same_trouble_is_mailed_once_an_hour() -> None:
    """Events within the hour are counted, and the next mail says how many there were."""
    first, box = report(Mailbox(), "m1", now=NOON)
    second, box = report(box, "m2", now=NOON + timedelta(minutes=1))
    third, box = report(box, "m3", now=NOON + AGAIN - timedelta(seconds=1))
    fourth, box = report(box, "m4", now=NOON + AGAIN)

    assert (first, second, third) == (Posting(), None, None)
    assert fourth == Posting(more=2, thread="m1")
    assert (box.sent, box.held) == (2, 2)


def test_other_trouble_is_mailed_at_once() -> None:
    """Another code is mailed in the thread of its topic, another topic in its own."""
    _, box = report(Mailbox(), "m1", now=NOON)
    code, box = report(box, "m2", code="file.truncated", now=NOON)
    topic, box = report(box, "m3", topic="orders", now=NOON)

    assert code == Posting(thread="m1")
    assert topic == Posting()


def test_at_most_so_many_a_day() -> None:
    """The rest of the day is counted; the day ends at midnight of the retailer's zone."""
    box, sent = Mailbox(), 0
    for number in range(DAILY + 5):
        posting, box = report(box, f"m{number}", code=f"c{number}", now=NOON)
        sent += posting is not None
    before, box = report(box, "x", code="x", now=at("13:59"))
    after, box = report(box, "y", code="y", now=at("14:00"))  # midnight in Sydney

    assert sent == DAILY
    assert before is None
    assert after == Posting(thread="m0")
    assert (box.day, box.sent, box.held) == ("2023-05-02", 1, 6)


def test_trouble_ends_when_a_file_loads() -> None:
    """People who were mailed the trouble are mailed its end, once."""
    _, box = report(Mailbox(), "m1", now=NOON)
    over, box = resolve(box, now=NOON)
    again, box = resolve(box, now=NOON)

    assert over == Posting(thread="m1", recovery=True)
    assert again is None
    assert box.troubles == ()


@pytest.mark.parametrize(
    ("settings", "posting"),
    [
        ({"recovery": False}, None),
        ({"recovery": False, "each": True}, Posting(thread="m1")),
        ({"recovery": True, "each": True}, Posting(thread="m1", recovery=True)),
    ],
)
def test_the_end_is_mailed_as_the_settings_say(
    settings: dict[str, Any], posting: Posting | None
) -> None:
    """Without `recovered`, the end of trouble is mailed only where every file is."""
    _, box = report(Mailbox(), "m1", now=NOON)

    assert resolve(box, now=NOON, **settings)[0] == posting


def test_trouble_that_was_only_counted_ends_silently() -> None:
    """Nobody is told that something is over of which nobody knew."""
    box = Mailbox(day="2023-05-01", sent=DAILY)
    _, box = report(box, "m1", now=NOON)
    over, box = resolve(box, now=at("20:00"))

    assert over is None
    assert box.troubles == ()


def test_a_file_with_rows_to_fix_ends_other_trouble() -> None:
    """After a rejected file, one of which rows are loaded leaves only these rows to fix."""
    _, box = report(Mailbox(), "m1", now=NOON)
    _, box = report(box, "m2", code="rows", now=NOON)

    left = box.without("customers", but={"rows"}).troubles

    assert [(one.code, one.mail) for one in left] == [("rows", "m1")]


def test_trouble_that_never_ends_is_forgotten() -> None:
    """A misnamed file of last month begins no thread of today."""
    _, box = report(Mailbox(), "m1", topic="names", now=NOON)
    posting, box = report(box, "m2", topic="names", now=NOON + FORGOTTEN)

    assert posting == Posting()
    assert len(box.troubles) == 1


def test_the_digest_is_due_once_a_morning() -> None:
    """It covers the time since the one before, a week at most."""
    box = Mailbox()
    seven = datetime(2023, 5, 2, 7, tzinfo=SYDNEY)

    assert box.digest_due(seven - timedelta(seconds=1), SYDNEY) is None
    due = box.digest_due(seven, SYDNEY)
    assert due == (seven - timedelta(days=1), seven)
    box = box.digested(seven)
    assert box.digest_due(seven + timedelta(hours=23), SYDNEY) is None
    assert box.digest_due(seven + timedelta(days=3), SYDNEY) == (seven, seven + timedelta(days=3))
    late = seven + timedelta(days=30)
    assert box.digest_due(late, SYDNEY) == (late - timedelta(days=7), late)


def test_the_digest_keeps_to_the_clock_on_the_wall() -> None:
    """On the day after the change to summer time it is still sent at 07:00."""
    due = Mailbox().digest_due(datetime(2023, 10, 1, 12, tzinfo=SYDNEY), SYDNEY)

    assert due is not None
    begin, end = (one.astimezone(UTC) for one in due)
    assert (begin.hour, end.hour) == (21, 20)


def test_an_address_bounces_until_it_takes_a_mail() -> None:
    """It is marked since its first refusal, with the last answer."""
    box = Mailbox().delivered(accepted=("a@x.example",), refused={"b@x.example": "550 a"}, now=NOON)
    box = box.delivered(accepted=(), refused={"b@x.example": "550 b"}, now=at("13:00"))

    assert box.bounces == (Bounce(address="b@x.example", since=NOON, reply="550 b"),)
    assert box.delivered(accepted=("b@x.example",), refused={}, now=NOON).bounces == ()


def test_a_record_is_stored() -> None:
    """The record that is read is the one that was written."""
    _, box = report(Mailbox(), "m1", now=NOON)
    box = box.delivered(accepted=(), refused={"b@x.example": "550"}, now=NOON).digested(NOON)

    assert Mailbox.from_document(box.to_document()) == box


@pytest.mark.parametrize(
    "data", [{}, {"sent": "many"}, {"troubles": [{"topic": "x"}]}, {"digestUntil": "today"}]
)
def test_a_record_that_cannot_be_used_is_an_empty_one(data: dict[str, Any] | None) -> None:
    """It only limits mails, so it must not stop an import."""
    assert Mailbox.from_document(data) == Mailbox()


def test_an_address_is_told_once() -> None:
    """As many as the day allows, in the order of the setting, whatever the letters."""
    box = Mailbox.from_document(None)
    both, box = box.welcome(["ann@a.example", "bo@a.example"], now=NOON, zone=SYDNEY)
    again, same = box.welcome(["BO@a.example", "ann@a.example"], now=NOON, zone=SYDNEY)

    assert both == ("ann@a.example", "bo@a.example")
    assert (again, same) == ((), box)
    assert box.sent == 2
    assert "@" not in str(box.to_document())
    assert Mailbox.from_document(box.to_document()) == box


def test_the_day_has_no_room_for_an_address() -> None:
    """The address is welcomed when the next day begins; until then nothing changes."""
    full = Mailbox(welcomes=True, day="2023-05-01", sent=DAILY - 1)
    first, box = full.welcome(["ann@a.example", "bo@a.example"], now=NOON, zone=SYDNEY)
    none, same = box.welcome(["ann@a.example", "bo@a.example"], now=NOON, zone=SYDNEY)
    second, _ = box.welcome(["ann@a.example", "bo@a.example"], now=at("14:00"), zone=SYDNEY)

    assert (first, none, second) == (("ann@a.example",), (), ("bo@a.example",))
    assert same == box


def test_people_of_an_earlier_version_know_it() -> None:
    """A record without a word about welcomes is of people who have had mails."""
    none, box = Mailbox.from_document({"sent": 3}).welcome(["ann@a.example"], now=NOON, zone=SYDNEY)
    told, _ = box.welcome(["ann@a.example", "bo@a.example"], now=NOON, zone=SYDNEY)

    assert (none, box.sent) == ((), 3)
    assert told == ("bo@a.example",)
