"""Generates every file below `samples/`, with its description and its expected result.

`python -m local.sample_data` writes `samples/` again. Every run generates the same files.
"""

from __future__ import annotations

import csv
import io
import random
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from local import retailer
from local.retailer import (
    AUSTRALIA,
    CUSTOMER_COLUMNS,
    ISSUED_COLUMNS,
    NEW_ZEALAND,
    ORDER_COLUMNS,
    REWARD_COLUMNS,
    Order,
    Person,
)
from shared.files import Misnamed, read_name

SAMPLES = Path(__file__).resolve().parents[1] / "samples"

_SEED = 20241118


# -- what a sample is, and what it leads to ---------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Expected content of Firestore once files are loaded, as far as it is known here."""

    customers: Mapping[str, bool | None] = field(default_factory=dict)
    """Document id -> `subscribed`, None if no file has said."""
    orders: Mapping[str, int] = field(default_factory=dict)
    """Document id -> `valueCents`."""
    rewards: Mapping[str, int] = field(default_factory=dict)
    """Document id -> number of `rewards` inside."""

    def then(self, later: Truth) -> Truth:
        """Return the expected content after a later export is loaded too.

        A blank consent leaves the stored one unchanged.
        """
        consent = {
            key: self.customers.get(key) if subscribed is None else subscribed
            for key, subscribed in later.customers.items()
        }
        return Truth(
            customers={**self.customers, **consent},
            orders={**self.orders, **later.orders},
            rewards={**self.rewards, **later.rewards},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One file below `samples/`."""

    path: str
    """Path below `samples/`, e.g. `good/nz/orders_….csv` or `faulty/bom/customers_….csv`."""
    about: str
    """Content, in one sentence."""
    happens: str
    """Effect in the pipeline, in one or two sentences."""
    status: str
    """Final status of the import."""
    codes: tuple[str, ...] = ()
    """Stable codes in the ledger entry or the report."""
    content: bytes
    rows: int = 0
    """Records below the header, good and bad."""
    rejected: int = 0
    """Rows that are not loaded although the file is."""
    truth: Truth = field(default_factory=Truth)
    """Expected content of an empty database after the file is loaded."""

    @property
    def object(self) -> str:
        """Name in the bucket, e.g. `pending/nz/orders_….csv`."""
        kind, *folders, file = self.path.split("/")
        place = "".join(f"{folder}/" for folder in folders) if kind == "good" else ""
        return f"pending/{place}{file}"

    @property
    def connection(self) -> str:
        """Connection that the file belongs to."""
        _, *folders, _ = self.object.split("/")
        return folders[0] if folders else "main"


# -- files ------------------------------------------------------------------------------------


def _write(
    columns: Sequence[str],
    rows: Iterable[Mapping[str, str]],
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, delimiter=delimiter, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


def _customers_file(people: Sequence[Person], **form: str) -> bytes:
    return _write(CUSTOMER_COLUMNS, (person.cells for person in people), **form)


def _consents(people: Iterable[Person]) -> Truth:
    return Truth(customers={person.key: person.subscribed for person in people})


def _totals(orders: Iterable[Order]) -> Truth:
    return Truth(orders={order.number: order.cents for order in orders})


def make_samples() -> list[Sample]:
    """Make every sample, good ones first. The result is always the same."""
    chance = random.Random(_SEED)
    return [*_good(chance), *_faulty(chance)]


WITHDRAWN = "100000"
"""PERIDX of the customer in `good/` who is subscribed on the 18th and withdraws by the 19th."""


def _good(chance: random.Random) -> list[Sample]:
    monday = date(2024, 11, 18)
    au = retailer.people(chance, AUSTRALIA, first=100_000, count=320, latest=monday)
    au[0] = au[0].but(PRIVACY="No")
    strangers = retailer.people(chance, AUSTRALIA, first=880_000, count=2, latest=monday)
    au_orders = retailer.orders(chance, AUSTRALIA, au, first=135, count=230, day=monday)
    au_orders += retailer.orders(chance, AUSTRALIA, strangers, first=900, count=3, day=monday)

    tuesday = list(au)
    for place in range(12):
        flipped = "No" if tuesday[place].cells["PRIVACY"] == "Yes" else "Yes"
        tuesday[place] = tuesday[place].but(PRIVACY=flipped, LAST_UPDATED="2024-11-19T10:15:00")
    for place in range(12, 16):
        tuesday[place] = tuesday[place].but(PRIVACY="", LAST_UPDATED="2024-11-19T11:00:00")
    for place in range(16, 20):
        tuesday[place] = tuesday[place].but(
            ADRS1=f"{place} NEW ST", ADRS2="", LAST_UPDATED="2024-11-19T12:30:00"
        )
    newcomers = retailer.people(
        chance, AUSTRALIA, first=110_000, count=6, latest=date(2024, 11, 19)
    )
    tuesday += newcomers
    late = [person.but(PRIVACY="No", LAST_UPDATED="2024-11-16T09:00:00") for person in au[:12]]

    nz = retailer.people(chance, NEW_ZEALAND, first=500_000, count=60, latest=monday)
    nz_orders = retailer.orders(chance, NEW_ZEALAND, nz, first=42, count=45, day=monday)

    issued, counts = [], {}
    for number, person in enumerate(au[::3]):
        account = retailer.reward_account(chance, person, day=monday)
        given = retailer.rewards_of(chance, account, first=70_000 + 10 * number, day=monday)
        issued += given
        counts[person.key] = len(given)
    accounts = [retailer.reward_account(chance, person, day=monday) for person in nz[::2]]

    return [
        Sample(
            path="good/customers_20241118T190000Z.csv",
            about="A full customers export: quoted commas, quotes and line breaks, apostrophes, "
            "postcodes that begin with 0, blank consents, two columns of the retailer's own.",
            happens="Every row is loaded. A blank PRIVACY subscribes nobody and is a warning; "
            "the retailer's own columns are kept under `extra`.",
            status="loaded",
            codes=("row.consent_unknown",),
            content=_customers_file(au),
            rows=len(au),
            truth=_consents(au),
        ),
        Sample(
            path="good/orders_20241118T190500Z.csv",
            about="Its orders: returns with a negative quantity, exchanges, discounts, lines "
            "split because one piece was reduced, and three orders of two people whom the "
            "customers file does not hold.",
            happens="Starts 30 minutes after the customers file was uploaded and once that is "
            "loaded. The three orders are loaded too, and counted as orphaned.",
            status="loaded",
            codes=("order.customer_unknown",),
            content=_write(ORDER_COLUMNS, (row for order in au_orders for row in order.rows)),
            rows=sum(len(order.rows) for order in au_orders),
            truth=_totals(au_orders),
        ),
        Sample(
            path="good/rewards_20241118T191000Z.csv",
            about="Reward accounts with one row per reward, and tier names with emoji.",
            happens="Started at once: one document per account, its rewards inside.",
            status="loaded",
            content=_write((*REWARD_COLUMNS, *ISSUED_COLUMNS), issued),
            rows=len(issued),
            truth=Truth(rewards=counts),
        ),
        Sample(
            path="good/customers_20241119T190000Z.csv",
            about="The next day's full export: twelve people changed their consent, four have "
            "a blank PRIVACY now, four moved, six are new.",
            happens="Every row is loaded; the four blanks leave the stored consent alone.",
            status="loaded",
            codes=("row.consent_unknown",),
            content=_customers_file(tuesday),
            rows=len(tuesday),
            truth=_consents(tuesday),
        ),
        Sample(
            path="good/customers_20241117T190000Z.csv",
            about="An older export that comes late; in it twelve people are subscribed still.",
            happens="It changes nothing: an older export never overwrites what a "
            "newer one has said, consent above all.",
            status="loaded",
            content=_customers_file(late),
            rows=len(late),
            truth=_consents(late),
        ),
        Sample(
            path="good/nz/customers_20241118T180000Z.csv",
            about="Another connection, `nz`: Māori names and towns with macrons.",
            happens="It goes into `connections/nz`, apart from everything above.",
            status="loaded",
            codes=("row.consent_unknown",),
            content=_customers_file(nz),
            rows=len(nz),
            truth=_consents(nz),
        ),
        Sample(
            path="good/nz/orders_20241118T180500Z.csv",
            about="Orders of `nz`. Upload them first, to see them wait.",
            happens="Waits until its customers file is loaded.",
            status="loaded",
            content=_write(ORDER_COLUMNS, (row for order in nz_orders for row in order.rows)),
            rows=sum(len(order.rows) for order in nz_orders),
            truth=_totals(nz_orders),
        ),
        Sample(
            path="good/nz/rewards_20241118T181000Z.csv",
            about="Reward accounts with one row per account.",
            happens="One document per account, without rewards inside.",
            status="loaded",
            content=_write(REWARD_COLUMNS, accounts),
            rows=len(accounts),
            truth=Truth(rewards={account["PERIDX"]: 0 for account in accounts}),
        ),
    ]


def make_large(rows: int) -> Sample:
    """Make a large customers file of the separate connection `outlet`; it is not in `samples/`."""
    chance = random.Random(_SEED)
    people = retailer.people(
        chance, AUSTRALIA, first=1_000_000, count=rows, latest=date(2024, 11, 18)
    )
    return Sample(
        path="good/outlet/customers_20241118T200000Z.csv",
        about=f"{rows:,} customers.",
        happens="Every row is loaded.",
        status="loaded",
        codes=("row.consent_unknown",),
        content=_customers_file(people),
        rows=rows,
        truth=_consents(people),
    )


# -- faults -----------------------------------------------------------------------------------


def _faulty(chance: random.Random) -> list[Sample]:
    wednesday = date(2024, 11, 20)
    people = retailer.people(chance, AUSTRALIA, first=900_000, count=40, latest=wednesday)
    orders = retailer.orders(chance, AUSTRALIA, people, first=5000, count=20, day=wednesday)
    lines = [row for order in orders for row in order.rows]
    few = people[:5]
    return [
        *_misnamed(_customers_file(few), _write(ORDER_COLUMNS, orders[0].rows)),
        *_odd_but_right(people),
        *_bad_rows(people, orders),
        *_unusable(people, lines),
    ]


_WRONG_NAME = "faulty/wrong-name/"


def _misnamed(customers: bytes, orders: bytes) -> list[Sample]:
    def sample(file: str, code: str, about: str, content: bytes = customers) -> Sample:
        return Sample(
            path=f"{_WRONG_NAME}{file}",
            about=about,
            happens="Never loaded. The gateway refuses such a file at once and says the right "
            "name; one that gets into the bucket by other means is `rejected` in the ledger.",
            status="rejected",
            codes=(code,),
            content=content,
        )

    return [
        sample("Customers_20241120T010000Z.csv", "name.wrong_case", "A capital in the type."),
        sample("customers_20241120T010100Z.CSV", "name.wrong_extension", "`.CSV` in capitals."),
        sample("customers_20241120T010200.csv", "name.not_utc", "No `Z`: is that UTC?"),
        sample(
            "customers_20241120T120300+1100.csv", "name.offset", "A local time with its offset."
        ),
        sample("customers_20241120.csv", "name.missing_time", "A day without a time."),
        sample("customers_20241131T010500Z.csv", "name.bad_date", "The 31st of November."),
        sample("customer_20241120T010600Z.csv", "name.misspelt_type", "The type in the singular."),
        sample("customers_20241120T010700Z (1).csv", "name.copy", "What a browser calls a copy."),
        sample(
            "orders-20241120T010800Z.csv",
            "name.wrong_separator",
            "A hyphen in place of the underscore.",
            orders,
        ),
        sample("stocktake_20241120T010900Z.csv", "name.unknown_type", "A type not agreed on."),
    ]


def _odd_but_right(people: Sequence[Person]) -> list[Sample]:
    accented = [
        person
        for person in people
        if any(ord(letter) > 127 for cell in person.cells.values() for letter in cell)
    ]
    plain = people[:12]

    def sample(
        name: str,
        stamp: str,
        content: bytes,
        loaded: Sequence[Person],
        about: str,
        happens: str,
        codes: tuple[str, ...] = (),
    ) -> Sample:
        blank = ("row.consent_unknown",) if any(p.subscribed is None for p in loaded) else ()
        return Sample(
            path=f"faulty/{name}/customers_{stamp}Z.csv",
            about=about,
            happens=happens,
            status="loaded",
            codes=(*codes, *blank),
            content=content,
            rows=len(loaded),
            truth=_consents(loaded),
        )

    shuffled = sorted(CUSTOMER_COLUMNS, reverse=True)
    return [
        sample(
            "bom",
            "20241120T020000",
            _customers_file(plain, encoding="utf-8-sig"),
            plain,
            "A byte order mark before the first column, as Excel writes it.",
            "The mark is not part of the column's name.",
        ),
        sample(
            "semicolons",
            "20241120T020100",
            _customers_file(plain, delimiter=";"),
            plain,
            "Semicolons between the cells.",
            "The delimiter is recognised.",
        ),
        sample(
            "windows-1252",
            "20241120T020200",
            _customers_file(accented, encoding="cp1252"),
            accented,
            "Accented letters in Windows-1252 instead of UTF-8.",
            "A warning says so; letters that Windows-1252 lacks (macrons) would be lost "
            "before the file is written, so the export should be UTF-8.",
            ("file.not_utf8",),
        ),
        sample(
            "columns-in-another-order",
            "20241120T020300",
            _write(shuffled, (person.cells for person in plain)).replace(
                b"FIRSTNAME", b" FirstName ", 1
            ),
            plain,
            "The columns in another order, one of them in mixed case with blanks around it.",
            "Columns are found by name, whatever their order, case and blanks.",
        ),
        sample(
            "header-only",
            "20241120T020400",
            _customers_file([]),
            [],
            "A header and no row: nothing has changed since the last export.",
            "Nothing to load: a quiet day is not a fault.",
        ),
        _duplicates(plain),
    ]


def _duplicates(people: Sequence[Person]) -> Sample:
    newer = people[0].but(PRIVACY="Yes", LAST_UPDATED="2024-11-20T12:00:00")
    older = people[1].but(PRIVACY="Yes", LAST_UPDATED="2001-01-01T09:00:00")
    rows = [*people, newer, older]
    return Sample(
        path="faulty/duplicate-keys/customers_20241120T020500Z.csv",
        about="Two people are in it twice: one again with a later LAST_UPDATED, one with an "
        "earlier.",
        happens="The row with the later LAST_UPDATED wins, not simply the last; a warning "
        "counts them.",
        status="loaded",
        codes=("row.duplicate_key",),
        content=_customers_file(rows),
        rows=len(rows),
        truth=_consents([newer, *people[1:]]),
    )


def _bad_rows(people: Sequence[Person], orders: Sequence[Order]) -> list[Sample]:
    def with_more(cells: Mapping[str, str]) -> str:
        return _one(CUSTOMER_COLUMNS, cells).replace("\r\n", ",surplus\r\n")

    def with_less(cells: Mapping[str, str]) -> str:
        return _one(CUSTOMER_COLUMNS[:-1], {c: cells[c] for c in CUSTOMER_COLUMNS[:-1]})

    ragged = _with_lines(people, {9: with_more, 20: with_less})
    dates = [
        person.but(DOB="24/04/1990") if place % 10 == 4 else person
        for place, person in enumerate(people)
    ]
    faults: Mapping[int, Mapping[str, str]] = {
        3: {"PERIDX": ""},
        6: {"PERIDX": "9.00003E+5"},
        9: {"PERIDX": "90O042"},
        15: {"EMAIL": "nobody at example.com"},
        18: {"DOB": "1990-02-30"},
        21: {"LAST_UPDATED": "20/11/2024 4:15 pm"},
        24: {"PRIVACY": "Maybe"},
        27: {"RETAIL_REP": "perhaps"},
        30: {"FIRSTNAME": "Bartholomew Maximilian Alexander"},
    }
    ten = [person.but(**faults.get(place, {})) for place, person in enumerate(people)]
    ten_content = _with_lines(ten, {12: with_more})
    ten_loaded = [person for place, person in enumerate(ten) if place not in {3, 6, 9, 12}]
    too_many = [
        person.but(PERIDX="9.00003E+5") if place % 3 == 0 else person
        for place, person in enumerate(people)
    ]
    spoilt, kept = orders[0], orders[1:]
    order_rows = [
        *({**row, "ORDER_DATE": "20/11/2024"} for row in spoilt.rows),
        *(row for order in kept for row in order.rows),
    ]
    unknown = ("row.consent_unknown",)
    return [
        Sample(
            path="faulty/ragged-rows/customers_20241120T030000Z.csv",
            about="One row has a cell more than the header, one a cell less.",
            happens="The two rows are rejected, because nobody can tell which cell belongs where; "
            "the others are loaded.",
            status="loaded_with_rejects",
            codes=("row.cell_count", *unknown),
            content=ragged,
            rows=len(people),
            rejected=2,
            truth=_consents(p for place, p in enumerate(people) if place not in {9, 20}),
        ),
        Sample(
            path="faulty/bad-dates/customers_20241120T030100Z.csv",
            about="Four dates of birth as `24/04/1990`.",
            happens="The rows are loaded without the date of birth; a warning names each.",
            status="loaded",
            codes=("row.bad_date", *unknown),
            content=_customers_file(dates),
            rows=len(dates),
            truth=_consents(dates),
        ),
        Sample(
            path="faulty/ten-faults/customers_20241120T030200Z.csv",
            about="Ten rows, each with a fault of its own: no key, a key that Excel has ruined, "
            "a key with a letter, a surplus cell, a bad e-mail, an impossible date, an unusable "
            "LAST_UPDATED, an unknown consent, an unknown flag, a name that is too long.",
            happens="The first four are rejected; the other six are loaded without the bad value "
            "(the long name as it is), each with a warning.",
            status="loaded_with_rejects",
            codes=(
                *("row.missing_key", "row.bad_key", "row.cell_count", "row.bad_email"),
                *("row.bad_date", "row.bad_time", "row.consent_unknown", "row.bad_flag"),
                "row.too_long",
            ),
            content=ten_content,
            rows=len(ten),
            rejected=4,
            truth=_consents(ten_loaded),
        ),
        Sample(
            path="faulty/too-many-bad-rows/customers_20241120T030300Z.csv",
            about="Every third key has become `9.00003E+5`: saved from Excel.",
            happens="Too many of the rows are bad: nothing is loaded.",
            status="rejected",
            codes=("file.too_many_bad_rows", "row.bad_key", *unknown),
            content=_customers_file(too_many),
            rows=len(too_many),
        ),
        Sample(
            path="faulty/bad-order-date/orders_20241120T030400Z.csv",
            about="One order has a date as `20/11/2024`.",
            happens="A date of an order is needed: its rows are rejected, the other orders "
            "are loaded.",
            status="loaded_with_rejects",
            codes=("row.bad_date",),
            content=_write(ORDER_COLUMNS, order_rows),
            rows=len(order_rows),
            rejected=len(spoilt.rows),
            truth=_totals(kept),
        ),
    ]


def _one(columns: Sequence[str], cells: Mapping[str, str]) -> str:
    text = io.StringIO(newline="")
    csv.DictWriter(text, columns, lineterminator="\r\n").writerow(cells)
    return text.getvalue()


def _with_lines(
    people: Sequence[Person], spoil: Mapping[int, Callable[[Mapping[str, str]], str]]
) -> bytes:
    """Write a customers file in which the functions in `spoil` write the rows at their places."""
    header = ",".join(CUSTOMER_COLUMNS) + "\r\n"
    rows = (
        spoil[place](person.cells) if place in spoil else _one(CUSTOMER_COLUMNS, person.cells)
        for place, person in enumerate(people)
    )
    return (header + "".join(rows)).encode()


def _unusable(people: Sequence[Person], lines: Sequence[Mapping[str, str]]) -> list[Sample]:
    good = _customers_file(people)
    no_key = [column for column in CUSTOMER_COLUMNS if column != "PERIDX"]
    no_number = [column for column in ORDER_COLUMNS if column != "ORDER_NUMBER"]
    half = good[: good.rindex(b",AUSTRALIA")]

    def sample(name: str, file: str, code: str, about: str, happens: str, content: bytes) -> Sample:
        return Sample(
            path=f"faulty/{name}/{file}",
            about=about,
            happens=f"{happens} Nothing is loaded.",
            status="rejected",
            codes=(code,),
            content=content,
        )

    # The orders come before the customers files below, so that they match one that was loaded.
    return [
        sample(
            "missing-column",
            "orders_20241120T040000Z.csv",
            "header.missing_column",
            "Orders without ORDER_NUMBER.",
            "The missing column is named.",
            _write(no_number, ({c: row[c] for c in no_number} for row in lines)),
        ),
        sample(
            "missing-column",
            "customers_20241120T050000Z.csv",
            "header.missing_column",
            "Customers without PERIDX.",
            "The missing column is named.",
            _write(no_key, ({c: p.cells[c] for c in no_key} for p in people)),
        ),
        sample(
            "duplicate-column",
            "customers_20241120T050100Z.csv",
            "header.duplicate_column",
            "EMAIL is in the header twice.",
            "Nobody can tell which of the two holds.",
            good.replace(b"SMS_OPT_IN", b"EMAIL", 1),
        ),
        sample(
            "no-header",
            "customers_20241120T050200Z.csv",
            "header.missing",
            "The first line is a customer already.",
            "Without a header no cell has a name.",
            good.split(b"\r\n", 1)[1],
        ),
        sample(
            "truncated",
            "customers_20241120T050300Z.csv",
            "file.truncated",
            "The upload broke off in the middle of the last row.",
            "What is missing may be more than that row.",
            half,
        ),
        sample(
            "truncated-in-quotes",
            "customers_20241120T050400Z.csv",
            "file.truncated",
            "The file ends inside a quoted cell.",
            "What is missing may be more than that row.",
            good + b'900999,LAST,"AMELIA',
        ),
        sample(
            "utf-16",
            "customers_20241120T050500Z.csv",
            "file.utf16",
            'Saved from Excel as "Unicode text".',
            "Exports are UTF-8.",
            b"\xff\xfe" + _customers_file(people[:12], encoding="utf-16-le"),
        ),
        sample(
            "spreadsheet",
            "customers_20241120T050600Z.csv",
            "file.spreadsheet",
            "A workbook that was renamed to `.csv`.",
            "A workbook does not become a CSV file by its name.",
            b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00\x21\x00"
            + b"\x00" * 12
            + b"\x13\x00\x00\x00[Content_Types].xml",
        ),
        sample(
            "empty",
            "customers_20241120T050700Z.csv",
            "file.empty",
            "No byte at all.",
            "Not at once, because some gateways write an empty file before the real one, "
            "but when it is still empty after five minutes.",
            b"",
        ),
    ]


# -- samples/README.md ------------------------------------------------------------------------


def make_readme(samples: Sequence[Sample]) -> str:
    """Return `samples/README.md`: every sample with its content and its result."""
    misnamed = [sample for sample in samples if sample.path.startswith(_WRONG_NAME)]
    faulty = [sample for sample in samples if sample.path.startswith("faulty/")]
    parts = [
        _INTRODUCTION,
        "## Good",
        _table([sample for sample in samples if sample not in faulty]),
        "## Faulty content",
        _table([sample for sample in faulty if sample not in misnamed]),
        f"## Faulty names, in `{_WRONG_NAME}`\n\n{misnamed[0].happens}",
        _table_of_names(misnamed),
    ]
    return "\n\n".join(parts) + "\n"


def _table(samples: Sequence[Sample]) -> str:
    lines = ["| file | what is in it | what happens | ends as | codes |", "|---|---|---|---|---|"]
    for sample in samples:
        codes = "<br>".join(f"`{code}`" for code in sample.codes) or "–"
        lines.append(
            f"| `{sample.path}` | {sample.about} | {sample.happens} | `{sample.status}` | {codes} |"
        )
    return "\n".join(lines)


def _table_of_names(samples: Sequence[Sample]) -> str:
    lines = ["| file | what is wrong | code | right name |", "|---|---|---|---|"]
    for sample in samples:
        file = sample.path.removeprefix(_WRONG_NAME)
        named = read_name(file)
        right = named.suggestion if isinstance(named, Misnamed) else None
        shown = f"`{right}`" if right else "nobody can guess it"
        lines.append(f"| `{file}` | {sample.about} | `{sample.codes[0]}` | {shown} |")
    return "\n".join(lines)


_INTRODUCTION = """\
# Samples

Small exports of each type, good and faulty, to look at, to try out and to test with. `make demo`
uploads some of them and shows what happens to them. To try one yourself, start the stack with
`make up` and upload the file over SFTP. In `test/` it is checked only.

Nobody in these files exists. E-mail addresses are on the domains reserved for examples; Australian
mobile numbers are the ones that the regulator keeps free for fiction; New Zealand keeps none free,
so those begin with 025, which has been out of use since 2007.

The files are generated: `python -m local.sample_data` writes them, and this page."""


# -- writing ----------------------------------------------------------------------------------

_ATTRIBUTES = """\
# Bytes are the point here: line ends and encodings are unchanged.
*.csv -text
*.CSV -text
"""


def make_files() -> dict[str, bytes]:
    """Return every file below `samples/` by its path there."""
    samples = make_samples()
    return {
        ".gitattributes": _ATTRIBUTES.encode(),
        "README.md": make_readme(samples).encode(),
        **{sample.path: sample.content for sample in samples},
    }


def write(folder: Path) -> int:
    """Write the files below a folder and remove CSV files no longer made; return the number
    written.
    """
    files = make_files()
    for old in sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".csv"):
        if old.relative_to(folder).as_posix() not in files:
            old.unlink()
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return len(files)


if __name__ == "__main__":
    print(f"{write(SAMPLES)} files written to {SAMPLES}", file=sys.stderr)
