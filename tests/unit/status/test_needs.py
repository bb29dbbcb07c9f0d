"""The list of things that need a person, and the state of each retailer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from shared.core.errors import Problem, SettingsError
from shared.ledger.imports import Import
from shared.reporting.alerts import Alert, new_alert
from shared.reporting.connections import FeedState
from shared.status.mails import Delay, MailTrouble, told
from shared.status.needs import Need, is_corrected, needs_of
from shared.status.retailers import Retailer, retailers_of, tone_of
from tests.support.imports import at, make_import

CUSTOMERS = "customers_20230501T080000Z"
MISSING = Problem(code="header.missing_column", message="The column PERIDX is missing.", line=1)


def feed(type: str = "customers", **fields: Any) -> FeedState:
    """Return the state of a feed of the main connection."""
    values = {"received_at": at("09:00"), "cadence": None, "missing": False, **fields}
    return FeedState(connection="main", type=type, **values)


def bad(import_id: str = CUSTOMERS, *, status: Any = "rejected", **fields: Any) -> Import:
    """Return an import that needs a person."""
    values = {"error": MISSING, "status_text": "Not loaded.", **fields}
    return make_import(import_id, status=status, **values)


def alert(code: str, about: str, *, import_id: str | None = None, when: str = "09:30") -> Alert:
    return new_alert(
        code,
        connection="main",
        about=about,
        import_id=import_id,
        what="It happened.",
        todo="Do it.",
        now=at(when),
    )


def needs(
    files: Iterable[Import] = (),
    alerts: Iterable[Alert] = (),
    feeds: Iterable[FeedState] = (),
    under_way: Iterable[Import] = (),
    wrong: Mapping[str, SettingsError] | None = None,
) -> tuple[Need, ...]:
    return needs_of(files, [*alerts], [*feeds], [*under_way], wrong or {})


def test_a_rejected_file_needs_a_person() -> None:
    """A rejected file is told with its reason, its fix, and the orders that wait for it."""
    orders = make_import(
        "orders_20230501T080500Z", status="blocked", blocked_by=CUSTOMERS, paired_with=CUSTOMERS
    )

    (need,) = needs([bad()], under_way=[orders])

    assert (need.kind, need.what, need.todo) == ("rejected", MISSING.message, MISSING.hint)
    assert (need.files[0].import_id, need.waiting) == (CUSTOMERS, (orders,))


def test_until_it_is_corrected() -> None:
    """A later upload of the type that was loaded corrects it; an earlier one and one of another
    type do not."""
    file = bad()
    uploaded = file.uploaded_at

    def corrected(type: str, by: timedelta) -> bool:
        state = feed(type, good_at=uploaded + by)
        return is_corrected(file, {("main", type): state})

    assert corrected("customers", timedelta(seconds=1))
    assert not corrected("customers", timedelta(seconds=-1))
    assert not corrected("orders", timedelta(hours=1))
    assert needs([file], feeds=[feed(good_at=uploaded + timedelta(hours=1))]) == ()


def test_a_name_that_tells_no_type() -> None:
    """Any later good file of the connection corrects a file of which nobody knows the type."""
    file = bad(type=None, exported_at=None)

    assert needs([file])
    assert not needs([file], feeds=[feed("orders", good_at=file.uploaded_at + timedelta(hours=1))])


def test_a_rejected_dry_run_needs_nobody() -> None:
    """Whoever puts a file into test/ asks for the verdict and reads it."""
    assert needs([bad(f"test_{CUSTOMERS}")]) == ()


def test_files_with_one_fault_are_one_thing() -> None:
    """Files of one type that are rejected for the same reason are told once, and counted."""
    files = [bad(f"customers_20230501T08{minute:02}00Z") for minute in range(59, -1, -1)]
    other = bad("orders_20230501T081000Z")

    first, second = sorted(needs([*files, other]), key=lambda need: need.times)

    assert (first.type, first.times) == ("orders", 1)
    assert (second.type, second.times, second.since) == ("customers", 60, files[-1].uploaded_at)
    assert second.what == f"60 customers files: {MISSING.message}"


def test_failed_and_overdue_files_are_one_thing_each() -> None:
    """Each failed or overdue file is one entry, because each needs an action of its own."""
    failed = bad(status="failed")
    overdue = [
        bad(f"orders_20230501T08{minute}00Z", status="overdue", error=None) for minute in (10, 20)
    ]
    alerts = [
        alert("failed", failed.import_id, import_id=failed.import_id),
        alert("overdue", overdue[0].import_id, import_id=overdue[0].import_id),
    ]

    found = needs([*overdue, failed], alerts)

    assert [need.kind for need in found] == ["failed", "overdue", "overdue"]


def test_alerts_are_told_with_the_rest() -> None:
    """An alert that is not about a listed file is an entry; a feed's rejections are one entry."""
    stopped = feed("orders", missing=True, cadence=timedelta(days=1))
    silent = feed("rewards", missing=True, cadence=timedelta(days=1))
    alerts = [
        alert("late", "all"),
        alert("feed_stopped", "orders"),
        alert("rejected", "customers"),
        alert("outdated", "customers"),
    ]

    found = needs([bad()], alerts, [stopped, silent, feed()])

    assert [(need.kind, need.type) for need in found] == [
        ("late", None),
        ("feed_stopped", "orders"),
        ("feed_stopped", "rewards"),
        ("rejected", "customers"),
        ("outdated", "customers"),
    ]


def test_a_refused_name_is_told_once() -> None:
    """The alert about a name says the same as the file that has it, with or without a type."""
    alerts = [alert("refused_name", "customers"), alert("refused_name", "names")]

    assert [need.kind for need in needs(alerts=alerts)] == ["refused_name", "refused_name"]
    found = needs([bad(), bad("orders_20230501T081000Z", type=None)], alerts)
    assert [need.kind for need in found] == ["rejected", "rejected"]


def test_a_wrong_setting_is_told_once() -> None:
    """The alert of the sweep about settings that cannot be used says the same again."""
    wrong = {"main": SettingsError("timeZone", "expected a time zone")}

    (need,) = needs(alerts=[alert("unusable", "settings")], wrong=wrong)

    assert (need.kind, need.since) == ("settings", None)
    assert "timeZone: expected a time zone" in need.what


def retailers(
    names: Iterable[str], feeds: Iterable[FeedState] = (), files: Iterable[Import] = (), **more: Any
) -> tuple[Retailer, ...]:
    states = [*feeds]
    return retailers_of([*names], states, needs(files, feeds=states), more.get("under_way", []))


def good(**fields: Any) -> FeedState:
    return feed(good_at=at("09:00"), latest=CUSTOMERS, **fields)


def test_a_retailer_is_the_worst_of_its_parts() -> None:
    """Its tone is the worst of what is known of it, and the reasons come in that order."""
    (one,) = retailers(
        ["main"],
        [good(rejected=1_204)],
        [bad("orders_20230501T081000Z")],
        under_way=[make_import("orders_20230501T082000Z", status="scheduled")],
    )

    assert one.tone == "bad"
    assert one.reasons == ("1 file was rejected", "1,204 rows to fix", "1 file under way")
    assert [each.import_id for each in one.waiting] == ["orders_20230501T082000Z"]


def test_what_has_no_words_of_its_own_is_counted() -> None:
    """The list of retailers counts rare alerts, which are told in full above it."""
    told = needs(alerts=[alert("unusable", "x"), alert("other", "y"), alert("outdated", "orders")])

    (one,) = retailers_of(["main"], [], told, [])

    assert one.reasons == ("1 feed gets old data", "2 other alerts")


def test_the_worst_come_first() -> None:
    """Retailers are sorted by their tone, and by name within it, so that the page stays quiet."""
    names = ["b", "main", "a"]

    found = retailers(names, [good()], [])
    assert [(one.connection, one.tone) for one in found] == [
        ("main", "good"),
        ("a", "calm"),
        ("b", "calm"),
    ]

    found = retailers(names, [good()], [bad("orders_20230501T081000Z")])
    assert found[0].connection == "main"


def test_a_cadence_that_was_guessed_is_no_alarm() -> None:
    """A file that is later than usual needs a look; later than its setting, a person."""
    day = timedelta(days=1)

    assert tone_of(good(behind=True, cadence=day)) == "bad"
    assert tone_of(good(behind=True, cadence=day, guessed=True)) == "warn"
    assert tone_of(good(cadence=day, guessed=True)) == "good"
    assert tone_of(good(rejected=1)) == "warn"
    assert tone_of(feed()) == "calm"
    (one,) = retailers(["main"], [good(behind=True, cadence=day, guessed=True)])
    assert one.reasons[0] == "no good customers file for longer than usual"


def test_mails_with_the_same_error_are_one_thing() -> None:
    """A mail server that takes nothing is one thing to do, however many retailers have mails."""
    delay = Delay(connections=("au", "nz"), number=7, since=at("09:00"), error="535 5.7.8")
    trouble = MailTrouble(bounces={}, silent=frozenset(), delays=[delay])

    (need,) = needs_of([], [], [], [], {}, trouble)

    assert need.connection == ""
    assert (
        need.what == "7 mails to the people of 2 retailers wait: no server takes them (535 5.7.8)."
    )


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("550 5.1.1 ann@shop.example is unknown", "550 5.1.1"),
        ("451 try later, Ann", "451"),
        ("SSLCertVerificationError", "SSLCertVerificationError"),
        ("refused by ann@shop.example", ""),
        (None, ""),
    ],
)
def test_what_a_server_says_names_nobody(error: object, expected: str) -> None:
    """Only the codes of a server's answer are shown: the rest may name a person."""
    assert told(error) == expected
