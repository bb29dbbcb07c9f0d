"""The people of a connection are mailed the verdict: by a real mail server, once, in one thread."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from shared.core.errors import TryAgain
from shared.mail import delivery
from shared.mail.delivery import send_due, send_now
from shared.mail.senders import SentTo
from shared.privacy.erasing import erase
from shared.scheduling.replay import replay
from tests.integration.conftest import Make
from tests.support.imports import at
from tests.support.mail import (
    ANN,
    BO,
    NAME,
    NO_KEY,
    ONE_BAD,
    SENDER,
    MailServer,
    load,
    mails,
    notify,
    states,
)
from tests.support.pipeline import Pipeline, customers_csv, orders_csv

pytest_plugins = ["tests.support.mailed"]

# -- what is mailed -------------------------------------------------------------------------------


def test_a_rejected_file_is_mailed_at_once(mailed: Pipeline, server: MailServer) -> None:
    """The subject is the verdict, in the retailer's time; the mail says what to do."""
    mailed.upload("orders_20230501T115600Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))

    assert load(mailed, NAME, NO_KEY) == ["rejected", "blocked"]

    (message,) = server.messages
    assert (
        message["Subject"]
        == "[main] ✗ customers 1 May 21:55: nothing loaded – column PERIDX is missing"
    )
    assert (message["To"], message["From"]) == (f"{ANN}, {BO}", SENDER)
    assert message["Reply-To"] == "help@example.com"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Id"] == "Imports of main <main.imports.example.com>"
    text, html = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    for part in (text.get_content(), html.get_content()):
        assert "orders_20230501T115600Z.csv waits for this file" in " ".join(part.split())
        assert "Australia/Sydney" in part
    assert states(mailed) == ["SUCCESS"]


def test_rows_to_fix_are_mailed_without_a_cell(mailed: Pipeline, server: MailServer) -> None:
    """A mail counts the rows, says where they are, and quotes nothing of them."""
    load(mailed, NAME, ONE_BAD)

    (message,) = server.messages
    assert message["Subject"] == "[main] ! customers 1 May 21:55: 1 of 2 rows loaded, 1 to fix"
    whole = message.as_string()
    assert "secret" not in whole
    body = message.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert "– line 3" in " ".join(text.split())
    assert "upload the file as customers_20230501T115501Z.csv" in " ".join(text.split())


def test_the_recovery_is_in_the_thread_of_the_trouble(mailed: Pipeline, server: MailServer) -> None:
    """When a file loads after trouble, a mail says so, in answer to the first mail."""
    load(mailed, NAME, NO_KEY)
    mailed.clock.advance("14:00")
    load(mailed, NAME, customers_csv({"PERIDX": "1"}))
    mailed.clock.advance("15:00")
    load(mailed, "customers_20230501T145500Z", customers_csv({"PERIDX": "2"}))

    first, second = server.messages
    assert second["Subject"] == "[main] ✓ customers: loading again"
    assert second["In-Reply-To"] == second["References"] == first["Message-ID"]
    assert second["Message-ID"] != first["Message-ID"]


def test_a_misnamed_file_is_mailed_with_the_right_name(
    mailed: Pipeline, server: MailServer
) -> None:
    """Nobody has to look for the report to rename a file."""
    mailed.upload("customer_20230501T115500Z.csv", "")

    assert server.subjects == [
        f"[main] refused: customer_20230501T115500Z.csv – rename to {NAME}.csv"
    ]


def test_files_that_are_only_checked_are_not_mailed(mailed: Pipeline, server: MailServer) -> None:
    """A file in `test/` is not mailed about, not even its wrong name: its report is enough."""
    for name in (f"{NAME}.csv", "customer_20230501T115500Z.csv"):
        mailed.upload(f"test/{name}", NO_KEY)
    mailed.run_due()

    assert server.taken == []


def test_overdue_orders_are_mailed(mailed: Pipeline, server: MailServer) -> None:
    """Orders that wait too long are mailed when they become overdue."""
    mailed.upload("orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    mailed.clock.advance("18:00")
    mailed.sweep()

    assert mailed.run_due() == ["overdue"]

    (subject,) = server.subjects
    assert subject == (
        "[main] ! orders 1 May 21:55: waiting for 6 hours – no customers file has arrived"
    )


TWO_BAD = orders_csv(
    *({"ORDER_NUMBER": f"D{number}"} for number in range(8)),
    {"ORDER_NUMBER": "D8", "ORDER_DATE": "soon"},
    {"ORDER_NUMBER": "secret-7", "ORDER_DATE": "later"},
)
"""Orders of which two cannot be loaded."""
WAITING = "orders_20230501T115600Z"


def load_orders(pipeline: Pipeline) -> list[str]:
    """Load the customers that the orders wait for, then the orders."""
    done = load(pipeline, NAME, customers_csv({"PERIDX": "1"}))
    pipeline.clock.advance(timedelta(minutes=31))
    return done + pipeline.run_due()


def test_bad_rows_of_a_file_that_waits_are_mailed_at_once(
    mailed: Pipeline, server: MailServer
) -> None:
    """Announced errors are mailed once: the load, even a late one, does not mail them again."""
    mailed.upload(f"{WAITING}.csv", TWO_BAD)
    assert mailed.judge() == ["judged"]

    (message,) = server.messages
    assert message["Subject"] == "[main] ! orders 1 May 21:56: 2 of 10 rows will be rejected"
    body = message.get_body(("plain",))
    assert body is not None
    said = " ".join(body.get_content().split())
    assert "Waiting for its customers file" in said
    assert "Errors (will not be loaded): * 2 rows: ORDER_DATE:" in said
    assert "lines 10, 11" in said
    assert f"again under the same name before it is loaded: {WAITING}.csv." in said
    assert "secret" not in message.as_string()

    mailed.clock.advance(timedelta(hours=3))
    assert load_orders(mailed) == ["loaded", "loaded_with_rejects"]
    assert len(server.taken) == 1

    mailed.clock.advance(timedelta(hours=1))
    load(mailed, "customers_20230501T153000Z", customers_csv({"PERIDX": "2"}))
    mailed.upload("orders_20230501T153100Z.csv", orders_csv({"ORDER_NUMBER": "D9"}))
    mailed.clock.advance(timedelta(minutes=31))
    mailed.run_due()
    assert server.subjects[1:] == ["[main] ✓ orders: no rows to fix any more"]
    assert server.messages[1]["In-Reply-To"] == message["Message-ID"]


def test_other_errors_than_announced_are_mailed_in_the_thread(
    mailed: Pipeline, server: MailServer
) -> None:
    """Further errors that the load finds are mailed, in the thread of the announcement."""
    mailed.upload(f"{WAITING}.csv", TWO_BAD)
    mailed.judge()
    (id,) = mails(mailed)
    mailed.database.document(f"mail/{id}").update({"findings": "1 row.bad_date ORDER_DATE"})

    assert load_orders(mailed)[-1] == "loaded_with_rejects"

    first, second = server.messages
    assert second["Subject"] == "[main] ! orders 1 May 21:56: 8 of 10 rows loaded, 2 to fix"
    assert second["In-Reply-To"] == first["Message-ID"]


def test_rows_whose_announcement_was_not_mailed_are_mailed(
    mailed: Pipeline, server: MailServer
) -> None:
    """Announcements are folded like any other mail: one an hour, and who was told is known."""
    mailed.upload("orders_20230501T115500Z.csv", TWO_BAD)
    mailed.upload(f"{WAITING}.csv", TWO_BAD)
    mailed.judge()
    assert server.subjects == ["[main] ! orders 1 May 21:55: 2 of 10 rows will be rejected"]

    mailed.clock.advance(timedelta(minutes=2))
    load(mailed, NAME, customers_csv({"PERIDX": "1"}))
    mailed.clock.advance(timedelta(minutes=31))
    mailed.run_due()
    mailed.run_due()

    assert server.subjects[1:] == ["[main] ! orders 1 May 21:56: 8 of 10 rows loaded, 2 to fix"]


def test_a_corrected_file_ends_the_announced_trouble(mailed: Pipeline, server: MailServer) -> None:
    """The corrected upload loads whole, and a mail says that nothing is left to fix."""
    mailed.upload(f"{WAITING}.csv", TWO_BAD)
    mailed.judge()
    mailed.clock.advance(timedelta(minutes=5))
    mailed.upload(f"{WAITING}.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    mailed.judge()

    assert load_orders(mailed)[-1] == "loaded"

    assert server.subjects[1:] == ["[main] ✓ orders: no rows to fix any more"]


def test_a_stopped_feed_is_mailed_once(mailed: Pipeline, server: MailServer) -> None:
    """An expected file that does not come is mailed by the sweep, and its arrival ends that."""
    mailed.database.document("connections/main").set(
        {"notify": {"to": ANN}, "cadence": {"customers": "1d"}}
    )
    load(mailed, NAME, customers_csv({"PERIDX": "1"}))
    mailed.clock.advance(timedelta(hours=31))
    mailed.sweep()
    mailed.sweep()
    stopped = [one for one in server.subjects if "No customers" in one]
    load(mailed, "customers_20230502T185500Z", customers_csv({"PERIDX": "2"}))

    assert stopped == ["[main] No customers file since Mon 01 May 22:00 (expected daily)"]
    assert server.subjects[-1] == "[main] ✓ customers: loading again"


def test_successes_are_mailed_as_the_setting_says(mailed: Pipeline, server: MailServer) -> None:
    """`each` mails every file; `digest` one mail the next morning."""
    notify(mailed, to=[ANN], success="each")
    load(mailed, NAME, customers_csv({"PERIDX": "1"}))
    notify(mailed, to=[ANN], success="digest")
    load(mailed, "customers_20230501T115600Z", customers_csv({"PERIDX": "2"}))
    assert server.subjects == ["[main] ✓ customers 1 May 21:55: 1 of 1 row loaded"]

    mailed.clock.advance(timedelta(hours=8, minutes=59))  # 06:59 in Sydney
    mailed.sweep()
    assert len(server.taken) == 1
    mailed.clock.advance(timedelta(minutes=1))
    mailed.sweep()
    mailed.sweep()

    assert server.subjects[1:] == ["[main] ✓ 2 files since 1 May 07:00: all loaded"]


def test_nothing_is_read_for_a_connection_that_mails_nobody(make: Make, server: MailServer) -> None:
    """Without `notify`, a file ends with as many reads as without mail, and the outbox is empty."""
    pipeline = make(mail_url=server.url, mail_from=SENDER)

    load(pipeline, NAME, NO_KEY)
    pipeline.sweep()

    assert mails(pipeline) == {}
    assert list(pipeline.database.collection("mailboxes").stream()) == []


def test_a_night_of_bad_files(mailed: Pipeline, server: MailServer) -> None:
    """500 refused files make 20 mails, and a digest that counts all of them."""
    mailed.clock.advance("21:00")  # 07:00 in Sydney
    mailed.sweep()
    server.taken.clear()
    kinds = ("cust{}_20230501T115500Z.csv", "customers_20230501T1155{:02}.csv")
    names = [kind.format(number) for number in range(250) for kind in kinds]
    for name in names:
        mailed.clock.advance(timedelta(minutes=2))
        mailed.upload(name, "")
    by_day = len(server.taken)
    mailed.clock.advance(at("20230502T210000Z") - mailed.clock())
    mailed.sweep()

    assert by_day == 20
    assert len(server.taken) == 21
    assert server.subjects[-1] == "[main] ! 500 files since 2 May 07:00: 500 to fix"


# -- an address that is added ---------------------------------------------------------------------


@pytest.fixture
def newly(make: Make, server: MailServer) -> Pipeline:
    """Build a pipeline whose people have not been mailed yet."""
    return make(mail_url=server.url, mail_from=SENDER, mail_reply_to="help@example.com")


def test_an_address_that_is_added_is_told_once(newly: Pipeline, server: MailServer) -> None:
    """It alone gets a mail: what about, from where, and whom to ask. No id has the address."""
    notify(newly, to=[ANN], on=["rejected", "overdue"], success="never")
    assert newly.sweep()["mails"]["welcomes"] == 1
    notify(newly, to=[ANN, BO], on=["rejected", "overdue"], success="never")
    for _ in range(2):
        newly.sweep()

    assert [one.rcpt_tos for one in server.taken] == [[ANN], [BO]]
    message = server.messages[1]
    assert message["Subject"] == "[main] You get mail about the files of main from now on"
    assert (message["To"], message["From"]) == (BO, SENDER)
    body = message.get_body(("plain",))
    assert body is not None
    said = " ".join(body.get_content().split())
    assert "You get a mail when: * a file is rejected * orders wait too long" in said
    assert "Files without errors are not mailed." in said
    assert f"Mails come from: {SENDER}" in said
    assert "To stop them: write to help@example.com, or answer this mail" in said
    assert not any("ann" in id or "bo@" in id for id in mails(newly))
    assert newly.database.document("mailboxes/main").get().get("sent") == 2


def test_an_address_that_comes_back_is_not_told_again(newly: Pipeline, server: MailServer) -> None:
    """Neither the next day nor in other letters; not even when its first mail is long deleted."""
    for people in ([ANN], [], [ANN.upper()], [BO], [ANN]):
        notify(newly, to=people)
        newly.sweep()
        newly.clock.advance(timedelta(days=1))
        for id in mails(newly):
            newly.database.document(f"mail/{id}").delete()

    assert [one.rcpt_tos for one in server.taken] == [[ANN], [BO]]


def test_a_file_before_the_first_sweep(newly: Pipeline, server: MailServer) -> None:
    """An address that got a verdict before the first sweep is welcomed, too."""
    notify(newly, to=[ANN])
    load(newly, NAME, NO_KEY)
    newly.sweep()

    assert len(server.taken) == 2
    assert "from now on" in server.subjects[1]


def test_people_who_were_mailed_by_an_earlier_version(newly: Pipeline, server: MailServer) -> None:
    """Only an added address is welcomed, even if the first file comes before the first sweep."""
    notify(newly, to=[ANN])
    newly.database.document("mailboxes/main").set({"day": "2023-04-30", "sent": 3, "held": 0})
    load(newly, NAME, NO_KEY)
    newly.sweep()
    assert len(server.taken) == 1
    notify(newly, to=[ANN, BO])
    newly.sweep()

    assert [one.rcpt_tos for one in server.taken] == [[ANN], [BO]]


def test_who_is_mailed_nothing_is_not_told(newly: Pipeline, server: MailServer) -> None:
    """A mail about mails that never come would be wrong; it is sent when there is one to come."""
    notify(newly, to=[ANN], on=[], success="never")
    newly.sweep()
    assert server.taken == []

    notify(newly, to=[ANN], on=[], success="each")
    newly.sweep()
    assert len(server.taken) == 1


def test_an_address_that_is_added_on_a_full_day(newly: Pipeline, server: MailServer) -> None:
    """It counts like any mail: it comes when the next day has room."""
    newly.database.document("mailboxes/main").set(
        {"welcomes": True, "day": "2023-05-01", "sent": 19}
    )
    notify(newly, to=[ANN, BO], success="never")
    newly.sweep()
    newly.sweep()
    assert [one.rcpt_tos for one in server.taken] == [[ANN]]

    newly.clock.advance("14:00")  # midnight in Sydney
    newly.sweep()
    assert [one.rcpt_tos for one in server.taken] == [[ANN], [BO]]


def test_two_sweeps_tell_an_address_once(newly: Pipeline, server: MailServer) -> None:
    """The record is read in the transaction that writes the mail."""
    notify(newly, to=[ANN])
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: newly.sweep()["mails"]["welcomes"], range(4)))

    assert sum(counts) == len(server.taken) == 1


def test_an_erasure_tells_nobody_again(newly: Pipeline, server: MailServer) -> None:
    """The record of whom it told forgets the person; the others do not get a second mail."""
    notify(newly, to=[ANN, BO])
    newly.sweep()
    notify(newly, to=[ANN])

    assert erase("main", "1", newly.services, by="kim", emails=frozenset({BO})).proved

    kept = newly.database.document("mailboxes/main").get().to_dict()
    assert kept == {}
    newly.clock.advance(timedelta(days=1))
    newly.sweep()
    assert [one.rcpt_tos for one in server.taken] == [[ANN], [BO]]


# -- delivery -------------------------------------------------------------------------------------


def test_a_server_that_does_not_answer_is_tried_again(mailed: Pipeline, server: MailServer) -> None:
    """A mail waits 1, 5 and 30 minutes, 2 and 6 hours; after 24 hours it is an alert."""
    server.answer = "451 4.3.0 Try again"
    load(mailed, NAME, NO_KEY)
    tried = 1
    begun = mailed.clock()
    times = []
    while mailed.clock() < begun + timedelta(hours=31) and states(mailed) == ["RETRY"]:
        mailed.clock.advance(timedelta(minutes=1))
        if send_due(mailed.services) == 0:
            (mail,) = mails(mailed).values()
            if mail["delivery"]["attempts"] > tried:
                tried = mail["delivery"]["attempts"]
                times.append(mailed.clock() - begun)
    assert [round(one.total_seconds() / 60) for one in times] == [
        1,
        6,
        36,
        156,
        516,
        876,
        1236,
        1596,
    ]
    assert states(mailed) == ["ERROR"]
    alert = mailed.database.document("alerts/main~mail~mail_failed").get().to_dict()
    assert alert is not None
    assert alert["open"]
    assert ANN not in json.dumps(alert, default=str)

    server.answer = "250 Taken"
    (id,) = mails(mailed)
    mailed.database.document(f"mail/{id}").update({"delivery.state": "RETRY"})
    mailed.clock.advance(timedelta(hours=6))
    mailed.sweep()
    assert len(server.taken) == 1
    alert = mailed.database.document("alerts/main~mail~mail_failed").get().to_dict()
    assert alert is not None
    assert not alert["open"]


def test_an_address_that_does_not_exist_bounces_at_once(
    mailed: Pipeline, server: MailServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others get the mail once; the address is marked until a mail is taken for it."""
    server.refuse[BO] = f"550 5.1.1 {BO} is unknown"
    load(mailed, NAME, NO_KEY)
    mailed.clock.advance(timedelta(days=1))
    send_due(mailed.services)

    (mail,) = mails(mailed).values()
    assert mail["delivery"]["state"] == "SUCCESS"
    assert mail["delivery"]["info"]["accepted"] == [ANN]
    assert mail["delivery"]["info"]["rejected"] == [BO]
    assert [one.rcpt_tos for one in server.taken] == [[ANN]]
    (bounce,) = delivery.bouncing(mailed.services, {"main": [ANN, BO]})["main"]
    assert (bounce.address, bounce.since) == (BO, at("12:00"))
    assert "@shop.example" not in capsys.readouterr().out, "addresses are personal data"

    del server.refuse[BO]
    load(mailed, "customers_20230502T115500Z", NO_KEY)
    assert delivery.bouncing(mailed.services, {"main": [ANN, BO]}) == {}


def test_an_address_that_is_busy_gets_the_mail_later(mailed: Pipeline, server: MailServer) -> None:
    """An address that has the mail does not get it again when the others do."""
    server.refuse[BO] = "450 4.2.1 Mailbox busy"
    load(mailed, NAME, NO_KEY)
    assert states(mailed) == ["RETRY"]
    server.refuse.clear()
    mailed.clock.advance(timedelta(minutes=1))
    send_due(mailed.services)

    assert [one.rcpt_tos for one in server.taken] == [[ANN], [BO]]
    assert states(mailed) == ["SUCCESS"]


def test_a_message_that_is_refused_ends_at_once(mailed: Pipeline, server: MailServer) -> None:
    """No server is asked twice to take what it refuses for good."""
    server.answer = "554 5.7.1 Rejected"
    load(mailed, NAME, NO_KEY)

    assert states(mailed) == ["ERROR"]


def test_a_crash_between_sending_and_marking(
    mailed: Pipeline, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mail is sent again after the lease, and is the same message to the byte."""

    def crash(*_: Any, **__: Any) -> None:
        raise TryAgain("The process dies.")

    with monkeypatch.context() as patched:
        patched.setattr(delivery, "_settle", crash)
        with pytest.raises(TryAgain):
            load(mailed, NAME, NO_KEY)
    assert states(mailed) == ["PROCESSING"]
    assert send_due(mailed.services) == 0, "the lease is not over"
    mailed.clock.advance(timedelta(seconds=60))
    assert send_due(mailed.services) == 1

    first, second = (one.original_content for one in server.taken)
    assert first == second


def test_two_senders_send_one_mail(mailed: Pipeline, server: MailServer) -> None:
    """Of a worker and a sweep at the same moment, one sends."""
    notify(mailed)
    mailed.upload("ignored.csv", "")
    notify(mailed, to=[ANN])
    server.answer = "451 later"
    load(mailed, NAME, NO_KEY)
    server.answer = "250 Taken"
    mailed.clock.advance(timedelta(minutes=1))
    with ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(lambda _: send_due(mailed.services), range(8)))

    assert sum(sent) == len(server.taken) == 1


def test_a_mail_that_another_process_took_over_is_not_marked(mailed: Pipeline) -> None:
    """A sender whose lease ran out leaves the mark to the one that has it now."""
    notify(mailed)
    id = "main~x~1~rejected"
    reference = mailed.database.document(f"mail/{id}")
    reference.set(
        {
            "to": [ANN],
            "from": SENDER,
            "headers": {"Message-ID": "<1@example.com>"},
            "message": {"subject": "s", "text": "t", "html": "h"},
            "delivery": {"state": "PENDING", "startTime": at("11:00"), "attempts": 0},
        }
    )

    def slow(url: str, sender: str, to: Any, message: bytes) -> SentTo:
        mailed.clock.advance(timedelta(seconds=61))
        send_now([id], mailed.services, sender=lambda *_: SentTo(accepted=(ANN,), response="250 b"))
        return SentTo(accepted=(ANN,), response="250 a")

    assert send_now([id], mailed.services, sender=slow) == 0
    assert (reference.get().to_dict() or {})["delivery"]["info"]["response"] == "250 b"


def test_documents_are_only_written(make: Make, server: MailServer) -> None:
    """With `MAIL_MODE=documents` another sender takes the mails: they have no `delivery` yet."""
    pipeline = make(mail_mode="documents")
    notify(pipeline, to=[ANN])
    load(pipeline, NAME, NO_KEY)
    pipeline.sweep()

    written = mails(pipeline)
    assert sorted(id.rpartition("~")[2] for id in written) == ["rejected", "welcome"]
    assert all("delivery" not in mail for mail in written.values())
    assert server.taken == []


def test_a_replay_does_not_mail_again(mailed: Pipeline, server: MailServer) -> None:
    """The document that exists means that people were told."""
    load(mailed, NAME, NO_KEY)
    mailed.clock.advance(timedelta(hours=2))
    replay("main", NAME, mailed.services)
    assert mailed.run_due() == ["rejected"]

    assert len(server.taken) == 1


def test_a_wrong_address_does_not_stop_the_import(make: Make, server: MailServer) -> None:
    """Files are loaded, nobody is mailed, and the operators are told of the setting."""
    pipeline = make(mail_url=server.url, mail_from=SENDER)
    notify(pipeline, to=["ann at shop"])

    assert load(pipeline, NAME, customers_csv({"PERIDX": "1"})) == ["loaded"]
    pipeline.sweep()

    alert = pipeline.database.document("alerts/main~notify~unusable").get().to_dict()
    assert alert is not None
    assert "notify.to" in alert["what"]
    assert "ann at" not in alert["what"]


def test_an_erased_person_is_mailed_no_more(mailed: Pipeline, server: MailServer) -> None:
    """Mails to an address of the person are deleted, and the record that the address bounces."""
    server.refuse[BO] = "550 No"
    load(mailed, NAME, NO_KEY)
    notify(mailed, to=[ANN])
    load(mailed, "customers_20230501T115600Z", ONE_BAD)

    erased = erase("main", "1", mailed.services, by="kim", emails=frozenset({BO.upper()}))

    assert erased.proved
    assert [one["to"] for one in mails(mailed).values()] == [[ANN]]
    assert delivery.bouncing(mailed.services, {"main": [ANN, BO]}) == {}
