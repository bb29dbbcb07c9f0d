"""Plans of histories: which files arrive, what people ask for, and what goes wrong, by a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from shared.files.names import ExportFile, read_name
from tests.simulation.files import (
    PEOPLE,
    Said,
    bad_file,
    corrected_file,
    empty_file,
    file_name,
    good_file,
    large_file,
)
from tests.simulation.mails import MAIL_SETTINGS, MAILED
from tests.simulation.world import BEGINNING, Chances

HOUR = 3600.0
UNDOINGS, ERASURES, SETTINGS, INDEX, MAILS = 11, 17, 148, 149, 215
"""What tells the chance of some draws from that of others: numbers with which they change none of
the histories that have once gone wrong."""
CALM = Chances()
WEATHERS: Mapping[str, Chances] = {
    "calm": CALM,
    "silent": Chances(event_lost=1.0),
    "late": Chances(
        latency=1.0, event_lost=0.15, event_twice=0.2, event_late=0.3, task_lost=0.1,
        task_twice=0.3, task_late=0.2,
    ),
    "steady": Chances(latency=4.0),
    "stalling": Chances(pause=0.06, latency=1.0, event_twice=0.2, task_twice=0.4),
    "slow": Chances(
        latency=3.0, pause=0.02, event_twice=0.3, task_twice=0.4, task_late=0.1, kill=0.002
    ),
    "deadly": Chances(kill=0.02, latency=0.5, task_attempts=6, event_twice=0.1, task_twice=0.2),
    "broken": Chances(refuse=0.04, lose=0.06, status=0.15, latency=0.3, task_twice=0.2),
    "everything": Chances(
        kill=0.006, refuse=0.02, lose=0.03, status=0.1, pause=0.01, latency=0.8, event_lost=0.1,
        event_twice=0.2, event_late=0.2, task_lost=0.1, task_twice=0.3, task_late=0.2,
        task_attempts=12,
    ),
}  # fmt: skip
"""What goes wrong in a history."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way into the bucket."""

    at: float
    """Seconds from the beginning."""
    name: str
    said: Said


@dataclass(frozen=True, slots=True)
class Ask:
    """A person asks for something."""

    at: float
    command: str
    about: str
    """An import, or the person who is to be erased."""


@dataclass(frozen=True, slots=True)
class IndexLimits:
    """From which sizes an import leaves objects of the index unread, and unmerged."""

    small: int = 16_384
    growth: int = 4
    records_per_read: int = 500
    kept_bytes: int = 1024 * 1024


USUAL_INDEX = IndexLimits()
"""The limits of the product: no file of a history reaches them."""
OBJECT_PER_IMPORT = IndexLimits(small=0, growth=0, records_per_read=0, kept_bytes=0)
"""Every import adds an object to the index, and reads none if its file comes in order."""
INDEXES = (
    *(USUAL_INDEX, OBJECT_PER_IMPORT, OBJECT_PER_IMPORT),
    IndexLimits(small=2, growth=1, records_per_read=0, kept_bytes=0),
    IndexLimits(small=0, growth=1, records_per_read=1),
    IndexLimits(small=3, growth=0, records_per_read=0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that comes from outside in one history."""

    theme: str
    weather: str
    uploads: tuple[Upload, ...]
    asks: tuple[Ask, ...] = ()
    sweeps: tuple[float, ...] = ()
    mishaps: tuple[float, ...] = ()
    """When something befalls one of the objects in which the indexes are kept."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    connection: Mapping[str, Any] = field(default_factory=dict)
    """The connection's own settings."""
    batch_size: int = 2
    index: IndexLimits = USUAL_INDEX
    replays_at_rest: bool = False
    """Whether everything is replayed once more in the end, which must change nothing."""


def plan(seed: int) -> Plan:
    """Draw a history."""
    rng = random.Random(seed * 7919 + 1)
    theme = rng.choice(("mixed",) * 7 + ("corrections", "meetings", "batches"))
    weather = rng.choice([name for name in WEATHERS if name != "silent"])
    match theme:
        case "corrections":
            uploads = _corrections(rng)
            weather = rng.choice((weather, "stalling"))
        case "meetings":
            uploads = _meetings(rng)
            weather = rng.choice((weather, "steady"))
        case "batches":
            uploads = _batches(rng)
            weather = rng.choice((weather, "broken"))
        case _:
            uploads = _mixed(rng)
    mailed = random.Random(seed * 7919 + MAILS).random() < 0.4
    end = max(upload.at for upload in uploads)
    asks = []
    for _ in range(rng.choice((0, 0, 1, 2))):
        upload = rng.choice(uploads)
        named = read_name(upload.name)
        if isinstance(named, ExportFile):
            command = "release" if named.type == "orders" and rng.random() < 0.4 else "replay"
            asks.append(Ask(upload.at + rng.uniform(0, 4 * HOUR), command, named.import_id))
    more = random.Random(seed * 7919 + 3)
    asks += _undoings(more, uploads)
    if not WEATHERS[weather].pause:  # a write that is late by hours is not what erasing is about
        asks += _erasures(random.Random(seed * 7919 + ERASURES), uploads)
    asks += _undone_after_each_other(random.Random(seed * 7919 + UNDOINGS), uploads)
    uploads = [*uploads, *_corrected(more, uploads)]
    sweeps, at = [], rng.uniform(0, 2 * HOUR)
    while at < end + 2 * HOUR:
        sweeps.append(at)
        at += rng.uniform(0.05, 4.0) * HOUR
    return Plan(
        theme=theme,
        weather=weather,
        uploads=tuple(sorted(uploads, key=lambda upload: upload.at)),
        asks=tuple(asks),
        sweeps=tuple(sweeps),
        mishaps=(rng.uniform(HOUR, end + HOUR),) if rng.random() < 0.1 else (),
        settings={
            **_shards(random.Random(seed * 7919 + 2)),
            "task_deadline": timedelta(seconds=rng.choice((1500, 1500, 100))),
            "orders_deadline": timedelta(hours=3),
            "max_attempts": rng.choice((3, 8, 8)),
            "blank_means": rng.choice(("clear", "clear", "keep")),
            "orders_without_customers": rng.choice(("hold", "hold", "hold", "load")),
            **(MAIL_SETTINGS if mailed else {}),
        },
        connection={
            **_own_settings(random.Random(seed * 7919 + SETTINGS)),
            **(MAILED if mailed else {}),
        },
        batch_size=rng.choice((1, 2, 4)),
        index=random.Random(seed * 7919 + INDEX).choice(INDEXES),
        replays_at_rest=rng.random() < 0.3,
    )


def _own_settings(rng: random.Random) -> dict[str, Any]:
    """Draw what the connection decides about blank cells, whatever the deployment says."""
    return {"blankMeans": rng.choice(("clear", "keep"))} if rng.random() < 0.3 else {}


def _undoings(rng: random.Random, uploads: Sequence[Upload]) -> list[Ask]:
    """Draw which imports are undone, and when."""
    asks = []
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        upload = rng.choice(uploads)
        named = read_name(upload.name)
        if isinstance(named, ExportFile):
            asks.append(Ask(upload.at + rng.uniform(0, 8 * HOUR), "undo", named.import_id))
    return asks


def _erasures(rng: random.Random, uploads: Sequence[Upload]) -> list[Ask]:
    """Draw who is erased, and what is replayed or undone at that moment."""
    if rng.random() < 0.7:
        return []
    upload = rng.choice(uploads)
    at, named = upload.at + rng.choice((0.05, 1, 8)) * HOUR * rng.random(), read_name(upload.name)
    asks = [Ask(at, "erase", rng.choice(PEOPLE))]
    if isinstance(named, ExportFile):
        command = rng.choice(("replay", "replay", "undo"))
        asks.append(Ask(at + rng.uniform(-5, 20), command, named.import_id))
    return asks


def _undone_after_each_other(rng: random.Random, uploads: Sequence[Upload]) -> list[Ask]:
    """Draw two imports of customers that are undone one after the other, late and in any order."""
    names = sorted(
        {
            named.import_id
            for one in uploads
            if isinstance(named := read_name(one.name), ExportFile)
            and (named.type, named.mode) == ("customers", "load")
        }
    )
    if len(names) < 2 or rng.random() < 0.7:
        return []
    at = max(one.at for one in uploads) + rng.uniform(0, 2) * HOUR
    return [Ask(at + rng.uniform(0, HOUR), "undo", name) for name in rng.sample(names, 2)]


def _corrected(rng: random.Random, uploads: Sequence[Upload]) -> list[Upload]:
    """Draw a file with corrected rows of one export or two."""
    once = [
        one
        for one in uploads
        if (one.said.verdict, one.said.mode) == ("good", "load")
        and len(one.said.contents) < len(PEOPLE)
        and [two.said.exported_at for two in uploads if two.said.type == one.said.type].count(
            one.said.exported_at
        )
        == 1
    ]
    if not once or rng.random() < 0.7:
        return []
    first = rng.choice(once)
    bases = [one for one in once if one.said.type == first.said.type]
    bases = rng.sample(bases, min(len(bases), rng.choice((1, 2))))
    at = max(one.at for one in bases) + rng.uniform(0.1, 8) * HOUR
    latest = max(one.said.exported_at for one in bases)
    exported_at = rng.choice(
        (latest + timedelta(seconds=1), BEGINNING + timedelta(seconds=int(at)))
    )
    said = corrected_file(rng, exported_at, [one.said for one in bases])
    return [Upload(at, file_name(exported_at, said.type), said)]


def _shards(rng: random.Random) -> dict[str, Any]:
    """Draw whether files are split, and into how many shards."""
    if rng.random() < 0.5:
        return {}
    return {
        "shard_bytes": rng.choice((60, 150, 400)),
        "shards_at_once": rng.choice((1, 2, 8)),
    }


def _mixed(rng: random.Random) -> list[Upload]:
    """Draw a day's files of all kinds."""
    uploads: list[Upload] = []
    taken: set[tuple[str, str, int]] = set()
    for _ in range(rng.randint(2, 6)):
        type = rng.choice(("customers", "customers", "orders", "orders", "rewards"))
        mode = rng.choice(("load",) * 8 + ("bulk", "test"))
        slot = rng.randint(0, 15)
        if (type, mode, slot) not in taken:
            taken.add((type, mode, slot))
            uploads += _file(rng, type, mode, slot, uploads)
    return uploads


def _corrections(rng: random.Random) -> list[Upload]:
    """Draw files that are corrected again and again while they are being loaded."""
    uploads = []
    type = rng.choice(("customers", "rewards"))
    for slot in rng.sample(range(4), rng.randint(1, 2)):
        exported_at = BEGINNING + timedelta(hours=slot, minutes=5)
        at = slot * HOUR + 600
        for _ in range(rng.randint(2, 5)):
            make = bad_file if rng.random() < 0.15 else good_file
            name = rng.choice(("", "", "pending/")) + file_name(exported_at, type)
            uploads.append(Upload(at, name, make(rng, type, "load", exported_at)))
            at += rng.choice((5.0, 30.0, 100.0, 400.0, 2500.0)) * rng.random()
    return uploads


def _batches(rng: random.Random) -> list[Upload]:
    """Draw files that take many writes."""
    uploads = []
    for slot in range(rng.randint(1, 3)):
        exported_at = BEGINNING + timedelta(hours=slot, minutes=5)
        name, at = file_name(exported_at, "customers"), rng.uniform(slot, 4) * HOUR
        uploads.append(Upload(at, name, large_file(rng, exported_at)))
    return uploads


def _meetings(rng: random.Random) -> list[Upload]:
    """Draw customers and orders that arrive at one moment."""
    uploads = []
    for slot in range(0, 3 * rng.randint(1, 3), 3):
        at = slot * HOUR + 600
        for type in ("customers", "orders"):
            for minute in range(5, 5 + rng.randint(1, 2)):
                exported_at = BEGINNING + timedelta(hours=slot, minutes=minute)
                name = file_name(exported_at, type)
                said = good_file(rng, type, "load", exported_at)
                uploads.append(Upload(at + 3 * rng.random(), name, said))
    return uploads


def _file(
    rng: random.Random, type: str, mode: Any, slot: int, before: list[Upload]
) -> Iterator[Upload]:
    """Give the uploads of one import: the file and perhaps its correction."""
    exported_at = BEGINNING + timedelta(hours=slot, minutes=5)
    at = slot * HOUR + 300 + rng.choice((60, 60, 600, HOUR, 6 * HOUR)) * rng.random()
    folder = {"load": rng.choice(("", "pending/")), "bulk": "bulk/", "test": "test/"}[mode]
    name = folder + file_name(exported_at, type, extended=rng.random() < 0.1)
    chance = rng.random()
    if chance < 0.04:
        misnamed = Said(
            type=type, mode=mode, exported_at=exported_at, verdict="misnamed", data=b"a,b\n1,2\n"
        )
        yield Upload(at, name.replace("Z.csv", ".csv"), misnamed)
        return
    if rng.random() < 0.03:
        ahead = exported_at + timedelta(hours=rng.choice((10, 24 * 365)), minutes=7)
        said = good_file(rng, type, mode, ahead)
        said = replace(said, verdict="misnamed", read=0, rejected=0, contents={})
        yield Upload(at, folder + file_name(ahead, type), said)
        return
    if chance < 0.14:
        yield Upload(at, name, empty_file(type, mode, exported_at))
        if chance < 0.07:
            return
        at += rng.choice((0.5, 20.0, 200.0, 1000.0))
    said = (bad_file if rng.random() < 0.12 else good_file)(rng, type, mode, exported_at)
    same = [one.said for one in before if (one.said.type, one.said.verdict) == (type, "good")]
    if same and rng.random() < 0.15:
        other = rng.choice(same)
        said = Said(
            type=type,
            mode=mode,
            exported_at=exported_at,
            verdict="good",
            data=other.data,
            read=other.read,
            rejected=other.rejected,
            beside=other.beside,
            contents=other.contents,
        )
    yield Upload(at, name, said)
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
        at += rng.choice((1.0, 5.0, 60.0, HOUR, 4 * HOUR)) * rng.random()
        if mode == "load" and rng.random() < 0.2:
            folder = rng.choice(("", "pending/"))
            name = folder + file_name(exported_at, type, extended=rng.random() < 0.2)
        if rng.random() < 0.2:
            yield Upload(at, name, empty_file(type, mode, exported_at))
            at += rng.choice((0.5, 20.0, 200.0))
        make = bad_file if rng.random() < 0.15 else good_file
        yield Upload(at, name, make(rng, type, mode, exported_at))
