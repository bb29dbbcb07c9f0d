"""Two weeks of two shops, told through the real handlers: what the status page has to show."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.ledger.imports import Progress, RowCounts
from shared.ledger.lease import BEAT_SECONDS, Claimed, Hold
from shared.scheduling.claims import claim
from tests.support.mail import told_before
from tests.support.pipeline import Pipeline, customers_csv, orders_csv

SAMPLES = Path(__file__).resolve().parents[2] / "samples"

NOW = datetime(2024, 11, 20, 3, 10, tzinfo=UTC)
"""The moment at which the story is looked at."""
DAYS = 13

TEN_FAULTS = "customers_20241120T030200Z"
LOADING = "customers_20241120T030900Z"
FOUR_DIGITS = "customers_20241119T173000Z"
BLOCKED = "orders_20241120T030930Z"
OVERDUE = "orders_20241119T200000Z"
REJECTED = "orders_20241120T025000Z"
MISNAMED = "nz~Customers_20241120T010000Z.csv"
HOSTILE = "<img src=x onerror=alert(1)>&\"'.csv"


ANN, BO = "imports@main.example", "it@main.example"
"""The people of the connection `main` who are mailed."""

OTHERS = (
    *("adelaide", "brisbane", "cairns", "darwin", "fremantle", "geelong", "hobart", "ipswich"),
    *("launceston", "mildura", "newcastle", "orange", "perth", "rockhampton", "sydney"),
    *("townsville", "wagga"),
)
"""Further retailers: with the three of the story they are 20."""

_NIGHTS = 6


def tell(pipeline: Pipeline, *, days: int = DAYS, others: Sequence[str] = ()) -> None:
    """Let the two weeks pass; the clock stands at `NOW` afterwards."""
    database = pipeline.database
    database.document("connections/main").set(
        {"cadence": {"customers": "1d", "orders": "1d"}, "notify": {"to": [ANN, BO]}}
    )
    told_before(pipeline, ANN, BO)
    database.document("connections/nz").set(
        {"timeZone": "Pacific/Auckland", "cadence": {"customers": "1d", "rewards": "2d"}}
    )
    database.document("connections/outlet").set({"cadence": {"customers": "1d"}})
    for back in range(days, 0, -1):
        night = (NOW - timedelta(days=back)).replace(hour=16, minute=0)
        _daily(pipeline, night, number=back)
    _tell_others(pipeline, others)
    _today(pipeline)
    _disturb_mails(pipeline)


def mailing(folder: Path) -> dict[str, str]:
    """Return the settings of a deployment that writes its mails into a folder."""
    return {"mail_url": f"file:{folder}", "mail_from": "Shop imports <imports@example.com>"}


def _disturb_mails(pipeline: Pipeline) -> None:
    """Let the newest mails have trouble: one address bounces, and one mail waits."""
    ledger = pipeline.services.ledger
    newest, second, *_ = ledger.newest_mails(connection="main", limit=2)
    reply = f"550 5.1.1 {BO} is unknown"
    bounce = {"address": BO, "since": NOW - timedelta(minutes=8), "reply": reply}
    pipeline.database.document("mailboxes/main").update({"bounces": [bounce]})
    pipeline.database.document(f"mail/{newest}").update(
        {"delivery.info.accepted": [ANN], "delivery.info.rejected": [BO]}
    )
    pipeline.database.document(f"mail/{second}").update(
        {
            "delivery.state": "RETRY",
            "delivery.attempts": 4,
            "delivery.startTime": NOW - timedelta(minutes=50),
            "delivery.error": f"451 4.7.1 {ANN}: try again later",
        }
    )


def _daily(pipeline: Pipeline, night: datetime, *, number: int) -> None:
    """Send what comes every night: customers, then their orders; New Zealand sends less."""
    people = 120 + number * 37 % 90
    bought = 60 + number * 23 % 80
    pipeline.clock.now = night
    pipeline.upload(_name("customers", night), _customers(people, bad=number % 4))
    pipeline.run_due()
    pipeline.upload(_name("orders", night), _orders(bought, people))
    if number != 1:
        pipeline.upload(_name("customers", night, "nz"), _customers(people // 3, bad=0))
    if number > 3:
        pipeline.upload(_name("customers", night, "outlet"), _customers(people // 4, bad=0))
    if number % 2:
        rewards = "PERIDX,REWARD_ACCOUNT_ID,AVAILABLE_POINTS\r\n1,9,120\r\n2,10,80\r\n"
        pipeline.upload(_name("rewards", night, "nz"), rewards)
    pipeline.clock.advance(timedelta(minutes=31))
    pipeline.run_due()


def _tell_others(pipeline: Pipeline, names: Sequence[str]) -> None:
    """Let some nights of further retailers pass, each with more than a thousand rows."""
    for back in range(_NIGHTS, 0, -1):
        pipeline.clock.now = night = (NOW - timedelta(days=back)).replace(hour=17, minute=30)
        for number, name in enumerate(names):
            bad = 31 if (name, back) == ("darwin", 1) else 0
            if name != "perth" or back > 1:
                rows = _customers(1_180 + 37 * number + back, bad=bad)
                pipeline.upload(_name("customers", night, name), rows)
        pipeline.run_due()
    if "cairns" not in names:
        return
    pipeline.clock.now = NOW - timedelta(hours=3)
    wrong = customers_csv({"PERIDX": "1"}).replace("PERIDX", "PERSON", 1)
    pipeline.upload("cairns/customers_20241120T000500Z.csv", wrong)
    pipeline.run_due()
    pipeline.upload("cairns/orders_20241120T000900Z.csv", _orders(1_204, 40))
    pipeline.clock.advance(timedelta(minutes=40))
    pipeline.run_due()
    pipeline.database.document("connections/hobart").set({"timeZone": "Mars"})


def _today(pipeline: Pipeline) -> None:
    clock = pipeline.clock
    clock.now = NOW - timedelta(hours=7, minutes=9)
    pipeline.upload(f"nz/{OVERDUE}.csv", orders_csv({"ORDER_NUMBER": "D7001"}))
    clock.now = NOW - timedelta(hours=2)
    misnamed = (SAMPLES / "faulty/wrong-name/Customers_20241120T010000Z.csv").read_bytes()
    pipeline.upload("nz/Customers_20241120T010000Z.csv", misnamed)
    pipeline.upload(f"nz/{HOSTILE}", "x")
    clock.now = NOW - timedelta(minutes=20)
    missing = (SAMPLES / "faulty/missing-column/orders_20241120T040000Z.csv").read_bytes()
    pipeline.upload(f"bulk/{REJECTED}.csv", missing)
    pipeline.run_due()
    clock.now = NOW - timedelta(minutes=8)
    ten = (SAMPLES / "faulty/ten-faults/customers_20241120T030200Z.csv").read_bytes()
    pipeline.upload(f"{TEN_FAULTS}.csv", ten)
    pipeline.upload(f"test/{TEN_FAULTS}.csv", ten)
    pipeline.run_due()
    pipeline.sweep()
    pipeline.run_due()
    clock.now = NOW - timedelta(minutes=1)
    pipeline.upload("orders_20241120T030500Z.csv", _orders(12, 40))
    pipeline.upload(f"nz/{LOADING}.csv", _customers(240, bad=3))
    _load_partly(pipeline)
    pipeline.upload(f"nz/{BLOCKED}.csv", orders_csv({"ORDER_NUMBER": "D7002"}))
    pipeline.upload("nz/rewards_20241120T030930Z.csv", "PERIDX,AVAILABLE_POINTS\r\n1,120\r\n")
    pipeline.run_due()
    clock.now = NOW


def _load_partly(pipeline: Pipeline) -> None:
    """Let a worker begin, tell of its progress once, and be at work still."""
    (task,) = pipeline.queue.due(pipeline.clock())
    begun = claim(task, pipeline.services)
    assert isinstance(begun, Claimed)
    seconds = [0.0]
    hold = Hold(
        pipeline.services.ledger,
        begun,
        now=pipeline.clock,
        lease=timedelta(minutes=5),
        monotonic=lambda: seconds[0],
    )
    hold.rows = RowCounts(read=243, loaded=104, rejected=3)
    hold.progress = Progress(bytes_read=4_400, percent=73)
    seconds[0] += BEAT_SECONDS
    hold.check()


def _name(type: str, at: datetime, connection: str = "") -> str:
    folder = f"{connection}/" if connection else ""
    return f"{folder}{type}_{at:%Y%m%dT%H%M%SZ}.csv"


def _customers(people: int, *, bad: int) -> str:
    rows = [{"PERIDX": str(key), "FIRSTNAME": f"ANA {key}"} for key in range(1, people + 1)]
    return customers_csv(*rows, *({"PERIDX": "", "FIRSTNAME": "NOBODY"} for _ in range(bad)))


def _orders(orders: int, people: int) -> str:
    return orders_csv(
        *(
            {"ORDER_NUMBER": f"D{1000 + number}", "PERIDX": str(1 + number % people)}
            for number in range(orders)
        )
    )
