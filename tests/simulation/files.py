"""Export files with random rows, and what each of them says about every document."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from shared.files.folders import Mode
from shared.files.layout import REPORT_COLUMNS

Content = Mapping[str, Any]
"""Path of a field -> its value; None for a blank cell, UNREADABLE for one that cannot be read."""

UNREADABLE = "?"

Rows = Sequence[tuple[datetime | None, Content]]
"""When each row of a key was last changed, None where that cannot be read, and what it says."""

Verdict = Literal["good", "rejected", "empty", "misnamed"]

PEOPLE = ("101", "102", "103", "104", "105")
STRANGERS = ("998", "999")
ORDERS = ("D1", "D2", "D3", "D4")
REJECT_FLOOR = 5

_ZONE = ZoneInfo("Australia/Sydney")
_CUSTOMERS = ("PERIDX", "FIRSTNAME", "CITY", "DOB", "PRIVACY", "LAST_UPDATED")
_ORDERS = (
    *("PERIDX", "ORDER_NUMBER", "ORDER_DATE", "LINE_NUMBER", "SKU", "PRODUCT_CODE"),
    *("QUANTITY", "PRICE", "VALUE"),
)
_REWARDS = ("PERIDX", "TIER_NAME", "AVAILABLE_POINTS")

_Made = tuple[Sequence[str], list[list[str]], dict[str, Rows], int, int]
"""Header, rows, what the rows of each key say, how many rows are bad, and how many good ones stand
beside these in the rejected file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a file is, as whoever wrote it knows."""

    type: str
    mode: Mode
    exported_at: datetime
    verdict: Verdict
    data: bytes
    read: int = 0
    rejected: int = 0
    beside: int = 0
    """Good rows of orders with a bad one."""
    contents: Mapping[str, Rows] = field(default_factory=dict)
    """Key -> what its rows say about the document, in file order."""
    exported: Mapping[str, datetime] = field(default_factory=dict)
    """Key -> when its rows were exported, where that is not when the file was."""
    bases: tuple[str, ...] = ()
    """Import ids of the exports that the rows of a corrected file name."""

    def exported_of(self, key: str) -> datetime:
        """Return when what the file says of a document was exported."""
        return self.exported.get(key, self.exported_at)


def names(data: bytes, person: str) -> list[bytes]:
    """Return the lines of a file that name a person."""
    return [line for line in data.splitlines() if person.encode() in line.split(b",")]


def without(said: Said, person: str) -> Said:
    """Return what is left of a file from which a person was erased."""
    theirs = names(said.data, person)
    if not theirs:
        return said
    lines = said.data.splitlines(keepends=True)
    gone = {key for key, rows in said.contents.items() if rows[-1][1]["personId"] == person}
    cut = [rows[-1][1] for key, rows in said.contents.items() if key in gone]
    return replace(
        said,
        data=b"".join(line for line in lines if not names(line, person)),
        read=said.read and said.read - len(theirs),
        rejected=said.rejected
        and said.rejected
        - sum(line.split(b",")[3] == b"9" for line in theirs if said.type == "orders"),
        beside=said.beside - sum(one["lineCount"] for one in cut if one.get("incomplete")),
        contents={key: rows for key, rows in said.contents.items() if key not in gone},
    )


def corrected_file(rng: random.Random, exported_at: datetime, bases: Sequence[Said]) -> Said:
    """Return rejected rows of some exports of a type, corrected, as one file.

    Of no person does the export of a row hold another row.
    """
    type = bases[0].type
    while True:
        header, rows, contents, bad, _ = _MAKERS[type](rng)
        key_at = header.index("ORDER_NUMBER" if type == "orders" else "PERIDX")
        whose = {
            key: [base for base in bases if key not in base.contents] for key in sorted(contents)
        }
        if not bad and all(whose.values()):
            break
    of = {key: rng.choice(fitting) for key, fitting in whose.items()}
    ids = {key: file_name(base.exported_at, type)[:-4] for key, base in of.items()}
    report = [["2", "", "row.bad_key", "wrong", ids[row[key_at]]] for row in rows]
    return Said(
        type=type,
        mode="load",
        exported_at=exported_at,
        verdict="good",
        data=_csv(
            [*header, *REPORT_COLUMNS],
            [[*row, *more] for row, more in zip(rows, report, strict=True)],
        ),
        read=len(rows),
        contents=contents,
        exported={key: base.exported_at for key, base in of.items()},
        bases=tuple(sorted({*ids.values()})),
    )


def large_file(rng: random.Random, exported_at: datetime) -> Said:
    """Return a customers file of many batches."""
    return good_file(rng, "many customers", "load", exported_at)


def good_file(rng: random.Random, type: str, mode: Mode, exported_at: datetime) -> Said:
    """Return a file that can be loaded, some of its rows perhaps not."""
    make = _MAKERS[type]
    header, rows, contents, bad, beside = make(rng)
    if len(rows) >= 5 and rng.random() < 0.3:
        bad += 1
        rows.insert(rng.randrange(len(rows) + 1), ["", *["x"] * (len(header) - 1)])
    return Said(
        type=type.removeprefix("many "),
        mode=mode,
        exported_at=exported_at,
        verdict="good",
        data=_csv(header, rows),
        read=len(rows),
        rejected=bad,
        beside=beside,
        contents=contents,
    )


def bad_file(rng: random.Random, type: str, mode: Mode, exported_at: datetime) -> Said:
    """Return a file that can only be rejected whole."""
    good = good_file(rng, type, mode, exported_at)
    lines = good.data.splitlines(keepends=True)
    read = rejected = 0
    match rng.randrange(3):
        case 0:  # cut in its last row
            data = b"".join(lines[:-1]) + b"7,"
        case 1:  # without the column of the key
            data = good.data.replace(b"PERIDX", b"NOBODY", 1)
        case _:  # more bad rows than are let pass
            empty = b"," * lines[0].count(b",") + b"x\n"
            more = len(lines) + REJECT_FLOOR
            data = good.data + empty * more
            read, rejected = good.read + more, good.rejected + more
    return Said(
        type=type,
        mode=mode,
        exported_at=exported_at,
        verdict="rejected",
        data=data,
        read=read,
        rejected=rejected,
    )


def empty_file(type: str, mode: Mode, exported_at: datetime) -> Said:
    """Return a file without a byte."""
    return Said(type=type, mode=mode, exported_at=exported_at, verdict="empty", data=b"")


def _customers(rng: random.Random, people: Sequence[str] = PEOPLE, most: int = 8) -> _Made:
    rows: list[list[str]] = []
    said: dict[str, list[tuple[datetime | None, Content]]] = {}
    # So few that no column counts as damaged.
    unreadable = {name: rng.choice((0, 0, 1, 2)) for name in ("DOB", "PRIVACY", "LAST_UPDATED")}

    def draw(name: str, *cells: str) -> str:
        if unreadable[name] and rng.random() < 0.3:
            unreadable[name] -= 1
            return UNREADABLE
        return rng.choice(cells)

    for _ in range(rng.randint(1, most)):
        key = rng.choice(people)
        name = rng.choice(("Ana", "Bo", "Cy", ""))
        city = rng.choice(("Hobart", "Perth", "Cairns", ""))
        born = draw("DOB", "1990-04-24", "1991-05-25", "")
        privacy = draw("PRIVACY", "Yes", "No", "No", "")
        days = [datetime(2023, 4, day, 10, tzinfo=_ZONE) for day in (1, 2, 3)]
        cell = draw("LAST_UPDATED", *(f"{day:%Y-%m-%dT%H:%M:%S}" for day in days))
        updated = None if cell == UNREADABLE else datetime.fromisoformat(cell).replace(tzinfo=_ZONE)
        rows.append([key, name, city, born, privacy, cell])
        consents = {"Yes": False, "No": True, "": None}
        content = {
            "personId": key,
            "firstName": name or None,
            "address.city": city or None,
            "dateOfBirth": born or None,
            "subscribed": consents.get(privacy, UNREADABLE),
            "lastUpdated": UNREADABLE if updated is None else updated.astimezone(UTC),
        }
        said.setdefault(key, []).append((updated, content))
    return _CUSTOMERS, rows, {**said}, 0, 0


def _many_customers(rng: random.Random) -> _Made:
    return _customers(rng, [*PEOPLE, *(str(number) for number in range(200, 230))], 60)


def _orders(rng: random.Random) -> _Made:
    rows: list[list[str]] = []
    contents: dict[str, Rows] = {}
    bad = beside = 0
    for order in rng.sample(ORDERS, rng.randint(1, 3)):
        person = rng.choice((*PEOPLE, *STRANGERS))
        lines = []
        for number in range(1, rng.randint(1, 2) + 1):
            sku, quantity = rng.choice(("S1", "S2")), rng.randint(1, 3)
            cents = 995 * quantity
            money = f"{cents // 100}.{cents % 100:02}"
            rows.append(
                [
                    person,
                    order,
                    "2023-05-01",
                    str(number),
                    sku,
                    "SOCK",
                    str(quantity),
                    "9.95",
                    money,
                ]
            )
            lines.append(
                {
                    "lineNumber": number,
                    "sku": sku,
                    "productCode": "SOCK",
                    "quantity": quantity,
                    "priceCents": 995,
                    "valueCents": cents,
                }
            )
        content: dict[str, Any] = {
            "orderNumber": order,
            "personId": person,
            "orderDate": "2023-05-01",
            "lines": lines,
            "lineCount": len(lines),
            "quantity": sum(line["quantity"] for line in lines),
            "valueCents": sum(line["valueCents"] for line in lines),
        }
        if contents and rng.random() < 0.3:
            spoilt = list(rows[-1])
            spoilt[3], spoilt[6] = "9", "x"
            rows.append(spoilt if rng.random() < 0.5 else spoilt[:-1])
            content["incomplete"] = True
            bad, beside = bad + 1, beside + len(lines)
        contents[order] = [(None, content)]
    rng.shuffle(rows)
    return _ORDERS, rows, contents, bad, beside


def _rewards(rng: random.Random) -> _Made:
    rows: list[list[str]] = []
    contents: dict[str, Rows] = {}
    for _ in range(rng.randint(1, 6)):
        key, tier = rng.choice(PEOPLE), rng.choice(("Gold", "Silver", ""))
        points = rng.randint(0, 3)
        rows.append([key, tier, str(points)])
        content = {
            "personId": key,
            "accountId": key,
            "tier.name": tier or None,
            "availablePoints": points,
        }
        contents[key] = [*contents.get(key, ()), (None, content)]
    return _REWARDS, rows, contents, 0, 0


_MAKERS: Mapping[str, Callable[[random.Random], _Made]] = {
    "customers": _customers,
    "many customers": _many_customers,
    "orders": _orders,
    "rewards": _rewards,
}


def _csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def file_name(exported_at: datetime, type: str, *, extended: bool = False) -> str:
    """Return the base name of an export file, in one of the two forms of its time."""
    form = "%Y-%m-%dT%H:%M:%SZ" if extended else "%Y%m%dT%H%M%SZ"
    return f"{type}_{exported_at:{form}}.csv"
