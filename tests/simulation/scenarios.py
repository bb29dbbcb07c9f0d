"""Small histories in which nothing goes wrong by itself, to be disturbed between two effects."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from shared.files.folders import Mode
from tests.simulation.files import (
    Said,
    bad_file,
    corrected_file,
    empty_file,
    file_name,
    good_file,
    large_file,
    without,
)
from tests.simulation.history import History
from tests.simulation.mails import MAIL_SETTINGS, MAILED
from tests.simulation.oracle import in_file
from tests.simulation.plans import HOUR, OBJECT_PER_IMPORT, Ask, Plan, Upload
from tests.simulation.world import BEGINNING, Actor

EXPORTED = BEGINNING + timedelta(minutes=5)


def _said(seed: int, type: str, mode: Mode = "load", *, rejects: bool = False) -> Said:
    """Draw a good file, with or without rows to be rejected."""
    rng = random.Random(seed)
    while True:
        said = good_file(rng, type, mode, EXPORTED)
        if bool(said.rejected) == rejects and len(said.contents) >= 2:
            return said


def _correction(of: Said, seed: int = 16) -> Said:
    """Draw a file that leaves nothing as the other one has it, loaded or not."""
    rng = random.Random(seed)
    while True:
        said = good_file(rng, of.type, of.mode, EXPORTED)
        if not said.rejected and all(
            key in said.contents
            and {"dateOfBirth", "subscribed", "lastUpdated"}
            <= in_file(said, key, keep=False).keys()
            for key in of.contents
        ):
            return said


def _plan(*uploads: Upload, weather: str = "calm", **fields: Any) -> Plan:
    settings = {"orders_deadline": timedelta(hours=3)} | fields.pop("settings", {})
    return Plan(
        theme="scenario",
        weather=weather,
        uploads=uploads,
        sweeps=(HOUR,),
        settings=settings,
        batch_size=1,
        **fields,
    )


_CUSTOMERS = file_name(EXPORTED, "customers")
_ORDERS = file_name(EXPORTED, "orders")
_REWARDS = file_name(EXPORTED, "rewards")

_FIRST = _said(2, "customers", rejects=True)
_SECOND = _correction(_FIRST)


def _again(said: Said, *, at: float, hours: int) -> Upload:
    """Return the upload of a file with the content of another one, exported so much later."""
    exported_at = EXPORTED + timedelta(hours=hours)
    return Upload(at, file_name(exported_at, said.type), replace(said, exported_at=exported_at))


_CHANGED = _again(_correction(_SECOND, 17), at=2 * HOUR, hours=2)
_TAKEN_BACK = _again(_SECOND, at=2 * HOUR, hours=2)

_AHEAD = replace(_said(5, "customers"), verdict="misnamed", read=0, rejected=0, contents={})


def _withdrawal() -> Upload:
    """Return a file that withdraws consent that the first one gives."""
    given = [key for key in _SECOND.contents if in_file(_SECOND, key, keep=False)["subscribed"]]
    for seed in range(1_000):
        said = _correction(_SECOND, seed)
        if any(not in_file(said, key, keep=False)["subscribed"] for key in given):
            return _again(said, at=2 * HOUR, hours=2)
    raise AssertionError("no file withdraws consent")


def _given_again() -> Upload:
    """Return a file that gives all the consent that the withdrawal has taken."""
    taken = _withdrawal().said
    keys = [key for key in taken.contents if not in_file(taken, key, keep=False)["subscribed"]]
    for seed in range(1_000):
        said = _correction(_SECOND, seed)
        if all(in_file(said, key, keep=False)["subscribed"] for key in keys):
            return _again(said, at=4 * HOUR, hours=4)
    raise AssertionError("no file gives all consent")


def _left_open() -> tuple[Upload, Upload]:
    """Return a file without somebody whom the first one subscribes, and one that leaves that
    consent open."""
    for seed in range(1_000):
        said = good_file(random.Random(seed), "customers", "load", EXPORTED)
        for key in sorted(said.contents.keys() & _SECOND.contents.keys()):
            given = in_file(_SECOND, key, keep=False)["subscribed"]
            open_ = "subscribed" not in in_file(said, key, keep=False)
            if given and open_ and not said.rejected:
                return (
                    _again(without(_SECOND, key), at=2 * HOUR, hours=2),
                    _again(said, at=4 * HOUR, hours=4),
                )
    raise AssertionError("no file leaves consent open")


def _late_correction() -> tuple[Upload, Upload]:
    """Return a newer file, and rows of the first one that are corrected after it, about somebody
    of whom the newer one says something else."""
    exported_at = EXPORTED + timedelta(hours=4)
    for seed in range(1_000):
        rng = random.Random(seed)
        newer = good_file(rng, "customers", "load", EXPORTED)
        said = corrected_file(rng, exported_at, [_FIRST])
        for key in said.contents.keys() & newer.contents.keys():
            words = [in_file(one, key, keep=False) for one in (newer, said)]
            if not newer.rejected and words[0] != words[1]:
                late = Upload(4 * HOUR, file_name(exported_at, "customers"), said)
                return _again(newer, at=2 * HOUR, hours=2), late
    raise AssertionError("no file has a key of the newer one")


def _incomplete() -> tuple[Upload, Upload]:
    """Return orders, and a newer file with a bad line of one that the first has complete."""
    first = _said(3, "orders")
    for seed in range(1_000):
        said = _said(seed, "orders", rejects=True)
        shared = first.contents.keys() & said.contents.keys()
        if any(in_file(said, key, keep=False).get("incomplete") for key in shared):
            return Upload(500, _ORDERS, first), _again(said, at=2 * HOUR, hours=2)
    raise AssertionError("no file has a bad line of the same order")


_COMPLETE, _INCOMPLETE = _incomplete()


def _other_complete() -> Said:
    """Return a correction of the complete orders, none of which is as it was."""
    for seed in range(1_000):
        said = _said(seed, "orders")
        if all(
            said.contents.get(key, rows) != rows for key, rows in _COMPLETE.said.contents.items()
        ):
            return said
    raise AssertionError("no file has other orders")


SHARDS: Mapping[str, Any] = {"shard_bytes": 150, "shards_at_once": 2}
"""Settings under which the small files of these scenarios are split."""

SCENARIOS: dict[str, Plan] = {
    "customers": _plan(Upload(400, _CUSTOMERS, _said(1, "customers"))),
    "rejects": _plan(Upload(400, f"pending/{_CUSTOMERS}", _said(2, "customers", rejects=True))),
    "correction": _plan(
        Upload(400, _CUSTOMERS, _FIRST),
        Upload(900, _CUSTOMERS, _SECOND),
    ),
    "emptied and filled again": _plan(
        Upload(400, _CUSTOMERS, _FIRST),
        Upload(402, _CUSTOMERS, empty_file("customers", "load", EXPORTED)),
        Upload(600, _CUSTOMERS, _SECOND),
    ),
    "confirmed rows": _plan(
        Upload(400, _CUSTOMERS, _SECOND),
        _again(_SECOND, at=2 * HOUR, hours=2),
        _again(_FIRST, at=3 * HOUR, hours=1),
    ),
    "late file": _plan(_again(_FIRST, at=2 * HOUR, hours=1), Upload(3 * HOUR, _CUSTOMERS, _SECOND)),
    "changed rows": _plan(Upload(400, _CUSTOMERS, _SECOND), _CHANGED),
    "changed rows, and the old ones again": _plan(
        Upload(400, _CUSTOMERS, _SECOND),
        _CHANGED,
        _again(_SECOND, at=3 * HOUR, hours=3),
        index=OBJECT_PER_IMPORT,
    ),
    "confirmed rows of an unread object": _plan(
        Upload(400, _CUSTOMERS, _SECOND),
        _again(_SECOND, at=2 * HOUR, hours=2),
        _again(_FIRST, at=3 * HOUR, hours=1),
        index=OBJECT_PER_IMPORT,
    ),
    "objects of an index in shards": _plan(
        Upload(400, _CUSTOMERS, _FIRST),
        _again(_SECOND, at=2 * HOUR, hours=2),
        _again(_FIRST, at=3 * HOUR, hours=3),
        settings=SHARDS,
        index=OBJECT_PER_IMPORT,
    ),
    "undo": _plan(
        Upload(400, _CUSTOMERS, _SECOND),
        _withdrawal(),
        asks=(Ask(3 * HOUR, "undo", _withdrawal().name[:-4]),),
    ),
    "undo of confirmed rows": _plan(
        Upload(400, _CUSTOMERS, _SECOND),
        _again(_SECOND, at=2 * HOUR, hours=2),
        _again(_FIRST, at=3 * HOUR, hours=1),
        asks=(Ask(4 * HOUR, "undo", _CHANGED.name[:-4]),),
    ),
    "undo beside another file": _plan(
        Upload(400, _CUSTOMERS, _SECOND),
        _withdrawal(),
        _again(_FIRST, at=3 * HOUR + 30, hours=3),
        asks=(Ask(3 * HOUR, "undo", _withdrawal().name[:-4]),),
    ),
    "undo of two imports": _plan(
        Upload(400, _CUSTOMERS, _SECOND),
        _withdrawal(),
        _given_again(),
        asks=(
            Ask(5 * HOUR, "undo", _withdrawal().name[:-4]),
            Ask(6 * HOUR, "undo", _given_again().name[:-4]),
        ),
    ),
    "corrected rows": _plan(Upload(400, _CUSTOMERS, _FIRST), *_late_correction()),
    "orders after customers": _plan(
        Upload(400, _ORDERS, _said(3, "orders", rejects=True)),
        Upload(500, _CUSTOMERS, _said(4, "customers")),
    ),
    "orders of customers that are corrected under a new time": _plan(
        Upload(400, _CUSTOMERS, bad_file(random.Random(9), "customers", "load", EXPORTED)),
        Upload(500, _ORDERS, _said(3, "orders", rejects=True)),
        _again(_said(4, "customers"), at=HOUR, hours=1),
    ),
    "unusable orders that wait": _plan(
        Upload(400, _ORDERS, bad_file(random.Random(9), "orders", "load", EXPORTED)),
        Upload(2 * HOUR, _CUSTOMERS, _said(4, "customers")),
    ),
    "unusable orders that are corrected": _plan(
        Upload(400, _ORDERS, bad_file(random.Random(9), "orders", "load", EXPORTED)),
        Upload(402, _ORDERS, _said(3, "orders", rejects=True)),
        Upload(403, _CUSTOMERS, _said(4, "customers")),
    ),
    "customers named in local time": _plan(
        Upload(400, file_name(EXPORTED + timedelta(hours=10), "customers"), _AHEAD),
        Upload(500, _CUSTOMERS, _said(4, "customers")),
    ),
    "rewards while customers are loaded": _plan(
        Upload(400, _CUSTOMERS, _said(5, "customers")),
        Upload(400.1, _REWARDS, _said(6, "rewards")),
    ),
    "first load": _plan(Upload(400, f"bulk/{_CUSTOMERS}", _said(7, "customers", "bulk"))),
    "check": _plan(Upload(400, f"test/{_ORDERS}", _said(8, "orders", "test", rejects=True))),
    "unusable file": _plan(
        Upload(400, _CUSTOMERS, bad_file(random.Random(9), "customers", "load", EXPORTED))
    ),
    "misnamed file": _plan(
        Upload(
            400,
            _CUSTOMERS.replace("Z", ""),
            Said(
                type="customers", mode="load", exported_at=EXPORTED, verdict="misnamed", data=b"x\n"
            ),
        )
    ),
    "mails": _plan(
        Upload(400, _ORDERS, _said(3, "orders", rejects=True)),
        Upload(500, _CUSTOMERS, bad_file(random.Random(9), "customers", "load", EXPORTED)),
        Upload(2 * HOUR, _CUSTOMERS, _said(4, "customers")),
        settings={"orders_deadline": timedelta(hours=12), **MAIL_SETTINGS},
        connection=MAILED,
    ),
    "mails of two files at one moment": _plan(
        Upload(400, _ORDERS, bad_file(random.Random(9), "orders", "load", EXPORTED)),
        Upload(400, _CUSTOMERS, bad_file(random.Random(9), "customers", "load", EXPORTED)),
        Upload(2 * HOUR, _CUSTOMERS, _said(4, "customers")),
        Upload(2 * HOUR, _ORDERS, _said(3, "orders")),
        weather="steady",
        settings={"orders_deadline": timedelta(hours=12), **MAIL_SETTINGS},
        connection=MAILED,
    ),
    "mail about a rejected file that is replayed": _plan(
        Upload(400, _CUSTOMERS, bad_file(random.Random(9), "customers", "load", EXPORTED)),
        asks=(Ask(2 * HOUR, "replay", _CUSTOMERS[:-4]),),
        settings=MAIL_SETTINGS,
        connection=MAILED,
    ),
    "empty file": _plan(Upload(400, _REWARDS, empty_file("rewards", "load", EXPORTED))),
    "empty file that fills up": _plan(
        Upload(400, _REWARDS, empty_file("rewards", "load", EXPORTED)),
        Upload(460, _REWARDS, _said(10, "rewards")),
    ),
    "overdue orders that are released": _plan(
        Upload(400, _ORDERS, _said(11, "orders")), asks=(Ask(4 * HOUR, "release", _ORDERS[:-4]),)
    ),
    "replay": _plan(
        Upload(400, _CUSTOMERS, _said(12, "customers")), asks=(Ask(900, "replay", _CUSTOMERS[:-4]),)
    ),
    "lost events": _plan(
        Upload(400, _ORDERS, _said(13, "orders")),
        Upload(500, _CUSTOMERS, _said(14, "customers")),
        weather="silent",
    ),
    "last attempt": _plan(
        Upload(400, _CUSTOMERS, _said(15, "customers", rejects=True)),
        settings={"max_attempts": 1},
    ),
    "customers in shards": _plan(
        Upload(400, _CUSTOMERS, _said(2, "customers", rejects=True)), settings=SHARDS
    ),
    "orders in shards": _plan(
        Upload(400, _ORDERS, _said(3, "orders", rejects=True)),
        Upload(500, _CUSTOMERS, _said(4, "customers")),
        settings=SHARDS,
    ),
    "changed rows in shards": _plan(Upload(400, _CUSTOMERS, _SECOND), _CHANGED, settings=SHARDS),
    "replay in shards": _plan(
        Upload(400, _CUSTOMERS, _said(12, "customers")),
        asks=(Ask(900, "replay", _CUSTOMERS[:-4]),),
        settings=SHARDS,
    ),
    "correction in shards": _plan(
        Upload(400, _CUSTOMERS, _FIRST), Upload(900, _CUSTOMERS, _SECOND), settings=SHARDS
    ),
}
"""Scenarios by name."""

CORRECTION = Upload(0, _CUSTOMERS, _correction(SCENARIOS["customers"].uploads[0].said))
"""Another content of the customers file, which may come at any moment."""


_CORRECTED_ORDERS = SCENARIOS["unusable orders that are corrected"].uploads[1]

STALL = 3 * HOUR
"""Seconds that a stalled process says nothing: enough for the sweep to have another take over."""


def die(history: History) -> None:
    """Let the process that is about to have an effect die instead."""
    history.world.die()


def stall(history: History) -> None:
    """Let the process that is about to have an effect have it hours later."""
    history.world.stall(STALL)


def correct(history: History) -> None:
    """Let the customers file be corrected."""
    history.upload(CORRECTION)


def correct_orders(history: History) -> None:
    """Let the orders file be corrected, and the process that is about to have an effect have it
    after that."""
    history.upload(_CORRECTED_ORDERS)
    history.world.stall(60.0)


def take_back(history: History) -> None:
    """Let a process die that loads the second file, and a correction take back what it may have
    half written."""
    if history.world.clock > 2 * HOUR:
        history.upload(_TAKEN_BACK)
        history.world.die()


def correct_complete_orders(history: History) -> None:
    """Let a process die that loads the older orders, and these be corrected."""
    if history.world.clock > 3 * HOUR:
        history.upload(Upload(0, _ORDERS, _other_complete()))
        history.world.die()


def fall_silent(history: History) -> None:
    """Let a process stall that loads the second file, and a correction be loaded that lacks a row
    and takes back the others."""
    if history.world.clock > 2 * HOUR:
        history.upload(_again(without(_SECOND, min(_SECOND.contents)), at=0, hours=2))
        history.world.stall(STALL)


ERASURES: dict[str, Plan] = {
    "erasure beside a replay": _plan(
        Upload(400, _CUSTOMERS, large_file(random.Random(7), EXPORTED)),
        asks=(Ask(HOUR, "erase", "101"), Ask(HOUR + 2, "replay", _CUSTOMERS[:-4])),
    ),
    "late file after an erasure": _plan(
        _again(_FIRST, at=2 * HOUR, hours=1),
        Upload(3 * HOUR, _CUSTOMERS, _SECOND),
        asks=(Ask(2.5 * HOUR, "erase", min(_FIRST.contents)),),
    ),
    "objects of an index joined by an erasure": _plan(
        Upload(400, _CUSTOMERS, _SECOND),
        _again(_SECOND, at=2 * HOUR, hours=2),
        _again(_FIRST, at=4 * HOUR, hours=1),
        asks=(Ask(3 * HOUR, "erase", max(_SECOND.contents)),),
        index=OBJECT_PER_IMPORT,
    ),
}
"""Scenarios in which somebody is erased: what is counted of a file goes by when that is."""


OVERTAKEN: dict[str, Plan] = {
    "undo of the only file": _plan(
        Upload(400, _CUSTOMERS, _SECOND), asks=(Ask(2 * HOUR, "undo", _CUSTOMERS[:-4]),)
    ),
    "undo of the only file, which was loaded in shards": _plan(
        Upload(400, _CUSTOMERS, _SECOND),
        asks=(Ask(2 * HOUR, "undo", _CUSTOMERS[:-4]),),
        settings=SHARDS,
    ),
    "erasure from the only file": _plan(
        Upload(400, _CUSTOMERS, _SECOND), asks=(Ask(2 * HOUR, "erase", max(_SECOND.contents)),)
    ),
}
"""Scenarios in which documents are removed that a worker may be about to create."""


FOR_GUARDS: dict[str, Plan] = {
    "undo after the index was lost": _plan(
        Upload(400, _CUSTOMERS, _SECOND),
        *_left_open(),
        asks=(Ask(5 * HOUR, "undo", _CUSTOMERS[:-4]),),
        mishaps=(3 * HOUR,),
    ),
    "bad lines of complete orders": _plan(
        Upload(400, _CUSTOMERS, _said(4, "customers")), _COMPLETE, _INCOMPLETE
    ),
    "complete orders after ones with a bad line": _plan(
        Upload(400, _CUSTOMERS, _said(4, "customers")),
        _INCOMPLETE,
        replace(_COMPLETE, at=3 * HOUR),
    ),
    "lost event before a whole sweep": _plan(
        Upload(HOUR - 300, _CUSTOMERS, _said(14, "customers")), weather="silent"
    ),
}
"""Scenarios that need a guard which few histories need."""


def overtaken(begun: int, effect: int, seed: int = 1) -> History:
    """Return an erasure that a replay overtakes, whatever the seed.

    The erasure has looked everywhere and is about to remove something when the replay begins. The
    worker of the replay waits before its effect `begun`. When the erasure is about to have its own
    effect `effect`, the worker continues to its end, and the erasure after it.
    """
    history = undisturbed("erasure beside a replay", seed)
    world = history.world
    effects: Counter[Actor] = Counter()
    workers: set[Actor] = set()
    released: set[Actor] = set()

    def until(happened: Callable[[], bool]) -> None:
        for _ in range(300):  # in vain if a guard keeps it from happening
            if happened():
                break
            world.stall(0.1)

    def steer() -> None:
        world.between[world.effects + 1] = steer
        actor = world.actor
        if actor is None or world.clock < HOUR:
            return
        effects[actor] += 1
        if "person" in actor.about:
            if effects[actor] == 2:  # the first one is the record of the erasure
                until(lambda: bool(workers))
            if effects[actor] == effect:
                released.update(workers)
                until(lambda: all(worker.greenlet.dead for worker in released))
        elif actor.name.startswith("load") and effects[actor] == begun:
            workers.add(actor)
            until(lambda: actor in released)

    world.between[1] = steer
    return history


def undisturbed(name: str, seed: int = 1) -> History:
    """Return a scenario that is to run to its end; the seed draws how long each call takes."""
    return History(seed, (SCENARIOS | ERASURES | OVERTAKEN | FOR_GUARDS)[name])


def disturbed(name: str, effect: int, act: Callable[[History], None]) -> History:
    """Return a scenario in which something is to happen right before one of its effects."""
    history = undisturbed(name)
    history.world.between[effect] = lambda: act(history)
    return history


def late_answer(name: str, effect: int) -> History:
    """Return a scenario in which a process stalls right after one of its effects."""
    history = undisturbed(name)
    history.world.after[effect] = lambda: stall(history)
    return history


def state(history: History) -> dict[str, Any]:
    """Return everything that must be the same however a scenario was disturbed.

    Rows may be unchanged in one and loaded in another: after an import that did not end well, the
    next one writes everything.
    """
    imports = {
        id: (
            import_.status,
            import_.rows.read,
            import_.rows.rejected,
            import_.error,
            import_.reports,
        )
        for id, import_ in history.imports().items()
    }
    objects = {
        name: found.data
        for name, found in history.pipeline.bucket.objects.items()
        if not name.endswith((".report.json", ".summary.txt", ".index"))
    }
    told = history.checks.mails.told.values()
    mails = sorted((one.kind, one.import_.import_id) for one in told)
    return {
        "imports": imports,
        "documents": history.documents(),
        "objects": objects,
        "mails": mails,
    }
