"""Cells of a whole column are read at once as each is read alone by its kind."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.files.cells import KINDS, Context, Kind
from shared.files.cells.times import TIME
from shared.files.cells.vectorized import MOMENT_BYTES, NUMBER_BYTES, UNREAD, microseconds
from shared.firestore.bulk import wire
from shared.firestore.bulk.encoding import decode_content, encode_content

ZONES = [
    ZoneInfo(name)
    for name in (
        *("Australia/Sydney", "Australia/Lord_Howe", "Pacific/Auckland", "UTC"),
        *("America/Sao_Paulo", "Africa/Casablanca", "Pacific/Apia", "America/Havana"),
    )
]
CONTEXT = Context(ZONES[0], exported_on=date(2023, 4, 24))
SPAN = [datetime.fromisoformat(day) for day in ("1890-01-01", "2110-01-01")]
CERTAIN = {kind.name: kind for kind in KINDS if kind.certain is not None}
NUMBERS = {kind.name: kind for kind in KINDS if kind.numbers is not None}

CELLS = st.one_of(
    st.text(max_size=30),
    st.text("0123456789", max_size=25),
    st.text("abcZ019@.-_ ,+é", max_size=20),
    st.text("0159.,+-eE#'=", max_size=12),
    st.text("ab@.'`?", max_size=8),
    st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", fullmatch=True),
    st.dates().map(str),
    st.emails(),
    st.sampled_from(
        [
            *("1.2E+12", "__x__", ".", "..", "a/b", "2024-02-29", "1900-01-01", "2099-12-31"),
            *(
                "2023-04-24",
                "2023-04-25",
                "2022-12-31",
                "#N/A",
                "####",
                "Err:502",
                "err:50",
                "1E+5",
            ),
            *("12345.0", "1.5e9", "1,00", "+1", "+1+1", "'0", "'", '"', "a\u200bb", "-5.0", "=1"),
            *("'a@b.c", "a@b.c'", "a'@b.c", "`a@b.c", "a@b`.c", "a@b?c.d", "a:b@c.d", "x" * 99),
            *("08\x0100", "\x1b", "A\x7f", "A\t1", "A\n1", "#A1!", "#1!", "D\xa01"),
        ]
    ),
)

PLAIN = (
    *("0", "7", "12", "-9", "413.10", "-9.95", "45.9", "0.05", "-0.05", "100.00", "0012", "00.50"),
    *("-0", "-0.00", "+5", "+0.5", ".5", "-.5", "5.", "-5.", "12.3400", "1234567.8", "-12345.67"),
    *("12345678", "123456789", "1234567890123456", "-123456789012345", "1234567890123.5"),
    *(".123456789012345", "123456789012345.", "0.1", "0.2", "0.30000000000000", "1.000000000001"),
)
"""Numbers that are read with their column, by every kind that takes them."""
OTHER_NUMBERS = (
    *("", "-", "+", ".", "-.", "+.", "1e3", "1,000.00", "1,000", "- 5", "--5", "+-5", "-+5", "5-"),
    *(
        "(5)",
        "1.2.3",
        "1..2",
        "5 ",
        " 5",
        "5 %",
        "5%",
        "$5",
        "1 000",
        "٣",
        "3０",
        "1\0",
        "1\x002",
        "/",
    ),
    *("0x1", "1_0", "nan", "inf", "12:30", "0.005", "-0.005", "0.0050", "12345678901234567"),
    *("9223372036854775807", "-9223372036854775807", "9223372036854775808", "92233720368547758.07"),
    *("-9223372036854775808", "92233720368547758.08", "99999999999999999999", "0" * 16 + "7"),
    *("0.12345678901234567", "9" * 41, "#####", "1\n", "\x80", "1\xb2"),
)
"""Numbers that are strange, long or none."""
AMOUNTS = st.one_of(
    st.sampled_from((*PLAIN, *OTHER_NUMBERS)),
    st.from_regex(r"[+-]?[0-9]{0,12}(\.[0-9]{0,6})?", fullmatch=True),
    st.text("0123456789.-+", max_size=20),
    st.text("0123456789.-+, e%\0٣é", max_size=20),
    st.integers(-(2**64), 2**64).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.floats(-1e9, 1e9).map(repr),
)


def signs(cells: list[bytes], width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return cells as rows of bytes, zeros behind their ends."""
    return np.array([list(cell[:width].ljust(width, b"\0")) for cell in cells], np.uint8)


@pytest.mark.parametrize("kind", CERTAIN.values(), ids=CERTAIN)
@given(texts=st.lists(CELLS, min_size=1, max_size=8))
def test_certain_cells_are_taken_as_they_are(kind: Kind, texts: list[str]) -> None:
    """Of a cell that is certain, the kind makes the very same text."""
    assert kind.certain is not None
    trimmed = [text.strip() for text in texts]  # as `Grid.strange` makes sure
    cells = [text.encode() for text in trimmed if text and "\0" not in text] or [b"x"]
    width = max(map(len, cells))

    certain = kind.certain(signs(cells, width), np.array([len(cell) for cell in cells]), CONTEXT)

    read = kind.reader(CONTEXT)
    for cell in (cell.decode() for cell, is_so in zip(cells, certain, strict=True) if is_so):
        assert cell == read(cell)


@pytest.mark.parametrize("kind", CERTAIN.values(), ids=CERTAIN)
def test_usual_cells_are_certain(kind: Kind) -> None:
    """The examples of a kind that are what they come to are certain, or it is of no use."""
    assert kind.certain is not None
    cells = [text.encode() for text, value in kind.examples if text == value]

    width = max(map(len, cells))
    certain = kind.certain(signs(cells, width), np.array([len(cell) for cell in cells]), CONTEXT)

    assert certain.all()


def numbers(kind: Kind, texts: list[str], width: int) -> list[int | float | None]:
    """Read numbers with their column; None for those that must be read alone."""
    assert kind.numbers is not None
    cells = [text.encode() for text in texts]
    lengths = np.array([len(cell) for cell in cells])
    whole, doubles = kind.numbers(signs(cells, width), lengths)
    return [
        one if one != UNREAD else None if math.isnan(double) else double
        for one, double in zip(whole.tolist(), doubles.tolist(), strict=True)
    ]


def alone(kind: Kind, text: str) -> int | float | None:
    """Read a number alone; None for those that are refused."""
    try:
        return kind.reader(CONTEXT)(text)  # type: ignore[no-any-return]
    except ValueError:
        return None


@pytest.mark.parametrize("width", [8, NUMBER_BYTES])
@pytest.mark.parametrize("kind", NUMBERS.values(), ids=NUMBERS)
@given(texts=st.lists(AMOUNTS, min_size=1, max_size=30))
def test_numbers(kind: Kind, width: int, texts: list[str]) -> None:
    """A number that is read with its column is the number, of the type, that is read alone."""
    read = numbers(kind, texts, width)

    certain = [(text, one) for text, one in zip(texts, read, strict=True) if one is not None]
    assert [(text, repr(alone(kind, text))) for text, _ in certain] == [
        (text, repr(one)) for text, one in certain
    ]


@pytest.mark.parametrize("kind", NUMBERS.values(), ids=NUMBERS)
def test_plain_numbers(kind: Kind) -> None:
    """All numbers in plain form that a kind takes are read with their column."""
    assert numbers(kind, [*PLAIN], NUMBER_BYTES) == [alone(kind, text) for text in PLAIN]


@pytest.mark.parametrize("kind", NUMBERS.values(), ids=NUMBERS)
def test_strange_numbers(kind: Kind) -> None:
    """Whatever is no number in plain form, or too long for one, is read alone."""
    unread = [text for text in OTHER_NUMBERS if text not in ("0.005", "-0.005", "0.0050")]

    assert numbers(kind, unread, NUMBER_BYTES) == [None] * len(unread)


@given(
    whole=st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-1000, 1000)),
    doubles=st.lists(st.floats(allow_nan=False)),
    name=st.text(min_size=1, max_size=150),
)
def test_numbers_on_the_wire(whole: list[int], doubles: list[float], name: str) -> None:
    """Many numbers are written as one of them is."""
    of = name.encode()
    made = [
        wire.integers(wire.FIELD, of, np.array(whole, np.int64)),
        wire.doubles(wire.FIELD, of, np.array(doubles, np.float64)),
    ]

    assert [encode_content({name: one}) for one in (*whole, *doubles)] == [
        entry.tobytes()[:length]
        for entries, lengths in made
        for entry, length in zip(entries, lengths.tolist(), strict=True)
    ]


@pytest.mark.parametrize("zone", ZONES, ids=str)
@given(times=st.lists(st.datetimes(*SPAN), min_size=1))
def test_times(zone: ZoneInfo, times: list[datetime]) -> None:
    """A time that is read with its column is the time that is read alone, whatever the zone."""
    assert TIME.moments is not None
    cells = [time.isoformat(timespec="seconds") for time in times]

    seconds = TIME.moments(signs([cell.encode() for cell in cells], MOMENT_BYTES), zone)

    read = TIME.reader(Context(zone))
    for cell, second in zip(cells, seconds.tolist(), strict=True):
        if second != UNREAD:
            assert second * 1_000_000 == microseconds(read(cell))


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_days_on_which_clocks_change(zone: ZoneInfo) -> None:
    """On days on which a zone changes its clocks, and those around, no time is read wrongly."""
    assert TIME.moments is not None
    days = [datetime.fromisoformat("2011-01-01") + timedelta(days=day) for day in range(366 * 2)]
    changes = [
        day for day in days if zone.utcoffset(day) != zone.utcoffset(day + timedelta(days=1))
    ]
    cells = [
        (day + timedelta(minutes=30 * half)).isoformat()
        for change in changes
        for day in (change - timedelta(days=1), change, change + timedelta(days=1))
        for half in range(48)
    ] or ["2011-01-01T00:00:00"]

    seconds = TIME.moments(signs([cell.encode() for cell in cells], MOMENT_BYTES), zone)

    read = TIME.reader(Context(zone))
    certain = [
        (cell, second)
        for cell, second in zip(cells, seconds.tolist(), strict=True)
        if second != UNREAD
    ]
    assert [second * 1_000_000 for _, second in certain] == [
        microseconds(read(cell)) for cell, _ in certain
    ]
    assert len(certain) >= len(cells) / 2


@given(seconds=st.lists(st.integers(1 << 28, (1 << 35) - 1), min_size=1))
def test_timestamps_on_the_wire(seconds: list[int]) -> None:
    """Many times are written as one of them is."""
    made, _ = wire.moments(wire.FIELD, b"at", np.array(seconds))

    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert [encode_content({"at": epoch + timedelta(seconds=one)}) for one in seconds] == [
        entry.tobytes() for entry in made
    ]


@given(
    text=st.text(max_size=300),
    inner=st.dictionaries(
        st.text(max_size=5), st.text(max_size=150) | st.integers(-(2**63), 2**63 - 1)
    ),
)
def test_heads(text: str, inner: dict[str, str | int]) -> None:
    """A head and what follows it are what the whole comes to."""
    content = text.encode()
    below = wire.fields(inner, wire.MAP_FIELD)
    item = wire.Heads.item()[len(below)] + below

    assert encode_content({"name": text}) == (
        wire.Heads.text(wire.FIELD, b"name")[len(content)] + content
    )
    assert encode_content({"name": inner}) == (
        wire.Heads.map(wire.FIELD, b"name")[len(below)] + below
    )
    assert encode_content({"name": [inner]}) == (
        wire.Heads.array(wire.FIELD, b"name")[len(item)] + item
    )
    assert {"name": inner} == decode_content(encode_content({"name": inner}))
