"""Guesses for a wrong name: the name that was probably meant, and the problems of the given one.

No file is loaded because of a guess. A guess only lets the answer suggest the right name.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.core import Problem


@dataclass(slots=True)
class Guess:
    """Type and time that a base name was probably meant to have, and its problems."""

    type: str | None = None
    exported_at: datetime | None = None
    """Aware, in UTC; None if no guess is safe."""
    extended: bool = False
    """True if the time is in extended form."""
    problems: tuple[Problem, ...] = ()
    """Problems of the name, the most important first. Blanks alone are no problem here."""


def read_with_goodwill(file: str, types: Sequence[str]) -> Guess:
    """Read a base name, up to a few hundred characters; `types` are the types that it may have."""
    guess = Guess()
    guess.problems = tuple(_doubts(file, types, guess))
    return guess


def instant(*parts: int) -> datetime | None:
    """Return year, month, day[, hour, minute, second] as a time in UTC; None if there is none."""
    year, month, day, hour, minute, second = (*parts, 0, 0, 0)[:6]
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


def plain(text: str) -> str:
    """Return the text in everyday characters.

    Look-alikes are resolved; invisible characters and blanks at the ends are removed.
    """
    normal = unicodedata.normalize("NFKC", text)
    return "".join(
        str(unicodedata.decimal(c)) if c.isdecimal() else c
        for c in normal
        if unicodedata.category(c)[0] != "C"
    ).strip()


def shown(text: str) -> str:
    """Return a part of a name as it can be written in a sentence and in a log."""
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return printable if len(printable) <= 40 else f"{printable[:39]}…"


_EXTENSION = re.compile(
    r"\.(csv|txt|tsv|tab|dat|psv|json|xml|xlsx?|xlsm|ods|zip|gz|bz2|7z|pgp|gpg|asc|bak|old|done|ok|"
    r"rejected|[0-9]{1,3})?",
    re.IGNORECASE,
)
_NOT_TEXT = ("xls", "xlsx", "xlsm", "ods", "zip", "gz", "bz2", "7z", "pgp", "gpg")
_COPY = re.compile(r"[\s_-]*(?:\([0-9]{1,4}\)|\[[0-9]{1,4}\]|(?<![a-z])copy)", re.IGNORECASE)
_COPY_OF = re.compile(r"(?:copy(?: \([0-9]{1,4}\))? of |copy[_ -])", re.IGNORECASE)
_TYPE_THEN_TIME = re.compile(r"([^0-9]*?)([\s_.-]*)([0-9].*)", re.DOTALL)
_TIME_THEN_TYPE = re.compile(r"([0-9][0-9\sTtZz:+.,_-]*)[\s_.-]+([A-Za-z][A-Za-z _-]*)")
_WORDS = re.compile(r"[^a-z]+")
_OTHER_TYPES = ("giftcard", "giftcards", "refund", "refunds")
"""Files that the vendor mentions without a convention for their names."""


def _doubts(file: str, types: Sequence[str], guess: Guess) -> Iterator[Problem]:
    """Yield all problems of a base name, and fill in the guess."""
    text = plain(file)
    if text != file:
        yield _bad_characters(
            "The name holds characters that do not belong in it: blanks at its ends, "
            "control characters, or look-alikes of letters and digits."
        )

    endings, copies = [], False
    while True:  # `x.csv (1)`, `x (1).csv` and `x.csv.csv` all occur, in any mixture
        if match := _ending(_COPY, text):
            copies = True
        elif match := _ending(_EXTENSION, text):
            endings.append(match[1] or "")
        else:
            break
        text = text[: match.start()]
    if match := _COPY_OF.match(text):
        copies = True
        text = text[match.end() :]
    text = text.strip()
    endings.reverse()

    kind = [*_read_type(text, types, guess)]
    if not guess.type and guess.exported_at is None and kind[0].code != "name.unknown_type":
        yield from kind
        return
    if copies:
        yield Problem(code="name.copy", message="The name is marked as a copy of another file.")
    if "rejected" in (ending.lower() for ending in endings):
        yield Problem(
            code="name.rejects_report",
            message="The name is that of a report of refused rows, not of an export file.",
        )
    elif endings != ["csv"]:
        yield _bad_extension(endings)
    yield from kind


def _bad_characters(message: str) -> Problem:
    return Problem(code="name.bad_characters", message=message)


def _ending(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Match a pattern at the very end of a text, as long a match as possible."""
    for start in range(max(len(text) - 20, 0), len(text)):
        if match := pattern.fullmatch(text, start):
            return match
    return None


def _bad_extension(endings: list[str]) -> Problem:
    lower = [ending.lower() for ending in endings]
    if any(ending in _NOT_TEXT for ending in lower):
        message = (
            f"The name ends in .{'.'.join(endings)}: a workbook or an archive does not become "
            "a CSV file by renaming it."
        )
    elif not any(lower):
        message = "The name does not end in .csv."
    else:
        message = f"The name ends in .{'.'.join(endings)} where it must end in .csv, in lower case."
    return Problem(code="name.wrong_extension", message=message)


def _read_type(text: str, types: Sequence[str], guess: Guess) -> Iterator[Problem]:
    """Split type from time, by goodwill. Yield at least one problem, or none for a right stem."""
    swapped = _TIME_THEN_TYPE.fullmatch(text)
    match = _TYPE_THEN_TIME.fullmatch(text)
    if swapped:
        word, separator, stamp = swapped[2], "_", swapped[1]
    elif match:
        word, separator, stamp = match[1], match[2], match[3]
    else:
        word, separator, stamp = text.strip(" _.-"), "_", ""

    words = [part for part in _WORDS.split(word.lower()) if part]
    joined = "".join(words)
    near = difflib.get_close_matches(joined, types, n=1, cutoff=0.83)
    if not near and words:
        near = difflib.get_close_matches(words[-1], types, n=1, cutoff=0.83)
    if near:
        guess.type = near[0]
    stamps = [*_read_stamp(stamp, guess)] if stamp else []

    if not near and guess.exported_at is None and joined not in _OTHER_TYPES:
        yield Problem(
            code="name.not_an_export",
            message=(
                "The name is not that of an export file: it must be the type, an underscore, "
                "the time of the export in UTC and .csv."
            ),
        )
        return
    if swapped and near:
        yield Problem(code="name.wrong_order", message="The type must come first, then the time.")
    else:
        yield from _problem_of_type(word, guess.type, types)
    if separator != "_":
        yield Problem(
            code="name.wrong_separator",
            message="Type and time must be joined by one underscore.",
        )
    if not stamp:
        yield Problem(code="name.missing_time", message="The time of the export is missing.")
    yield from stamps


def _problem_of_type(word: str, meant: str | None, types: Sequence[str]) -> Iterator[Problem]:
    """Yield the problem of a name's first part, if it is not exactly the type that is meant."""
    if meant is None:
        begins = f"begins with {shown(word)}" if word else "has no type"
        known = f"{', '.join(types[:-1])} and {types[-1]}"
        yield Problem(
            code="name.unknown_type",
            message=f"The name {begins}; only files of the types {known} are loaded.",
        )
    elif word.lower() != meant:
        yield Problem(
            code="name.misspelt_type", message=f"The type must be written {meant}, exactly."
        )
    elif word != meant:
        yield Problem(
            code="name.wrong_case", message=f"The type must be written {meant}, in lower case."
        )


_DATE = re.compile(r"([0-9]{4})([-/._ ]?)([0-9]{2})([-/._ ]?)([0-9]{2})")
_TIME = re.compile(
    r"([\s_.-]*[Tt]?[\s_.-]*)([0-9]{2})(?:([:._ -]?)([0-9]{2})(?:\3([0-9]{2}))?)?([.,][0-9]{1,9})?"
)
_ZONE = re.compile(
    r"\s*(?:([Zz])|(UTC|GMT)|(?:UTC|GMT)?([+-])([0-9]{2}):?([0-9]{2})?)", re.IGNORECASE
)
_YEAR_LAST = re.compile(
    r"(?:[0-9]{1,2}[-/._ ][0-9]{1,2}[-/._ ][0-9]{4}|[0-3][0-9][0-3][0-9]20[0-9]{2})(?![0-9])"
)
_EPOCH = re.compile(r"([0-9]{10})(?:[0-9]{3})?")


def _read_stamp(stamp: str, guess: Guess) -> Iterator[Problem]:
    """Yield all problems of the time in a name, and fill in the guess."""
    date = _DATE.match(stamp)
    day = instant(int(date[1]), int(date[3]), int(date[5])) if date else None
    epoch = _EPOCH.fullmatch(stamp)
    if epoch and day is None:
        guess.exported_at = datetime.fromtimestamp(int(epoch[1]), tz=UTC)
        yield _bad_stamp("The time is a count of seconds where it must be a date and a time.")
        return
    if day is None and _YEAR_LAST.match(stamp):
        yield _bad_stamp("The date must begin with the year.")
        return
    if not date:
        yield _bad_stamp("The time must have the form 20230424T201230Z or 2023-04-24T20:12:30Z.")
        return
    if day is None:
        yield Problem(code="name.bad_date", message="The date in the name does not exist.")
        return

    yield from _read_time(day, {date[2], date[4]}, stamp[date.end() :], guess)


def _read_time(day: datetime, marks: set[str], rest: str, guess: Guess) -> Iterator[Problem]:
    """Yield all problems of the time of day, and fill in the guess.

    `marks` are the separators in the date before it, `rest` is all that follows the date.
    """
    time = _TIME.match(rest)
    if not time:
        guess.exported_at = day if rest in ("", "Z", "z") else None
        yield Problem(code="name.missing_time", message="The time of day is missing.")
        return
    zone = _ZONE.match(rest, time.end())
    tail = rest[(zone or time).end() :]
    joint, hour, colon, minute, second, fraction = time.groups()
    moment = _time_of_day(day, int(hour), int(minute or 0), int(second or 0))
    if moment is None:
        yield Problem(code="name.bad_date", message="The time of day in the name does not exist.")
        return
    if hour == "24":
        yield Problem(
            code="name.bad_date", message="Midnight must be written 000000 of the day that begins."
        )

    if joint not in ("T", "t"):
        yield _bad_stamp("Date and time must be joined by a T.")
    elif joint == "t" or (zone and zone[1] == "z"):
        yield Problem(code="name.wrong_case", message="T and Z must be capitals.")
    if minute and not ((marks == {""} and colon == "") or (marks == {"-"} and colon == ":")):
        yield _bad_stamp(
            "The time must have either no separators (20230424T201230Z) or all of them "
            "(2023-04-24T20:12:30Z)."
        )
    guess.extended = marks == {"-"} and colon == ":"
    if not second:
        missing = "seconds" if minute else "minutes and seconds"
        yield Problem(code="name.missing_time", message=f"The time of day has no {missing}.")
    if fraction:
        yield _bad_stamp("The time must have whole seconds.")

    if not zone:
        yield Problem(
            code="name.not_utc",
            message="The time does not end in Z, so nothing says that it is UTC.",
        )
    elif zone[2]:
        yield Problem(code="name.not_utc", message="UTC must be written as the letter Z.")
    elif zone[3]:
        yield Problem(
            code="name.offset",
            message="The time carries an offset; it must be given in UTC and end in Z.",
        )
        moment = _less_offset(moment, zone)
    if tail:
        yield _bad_stamp("Something follows the time that does not belong there.")
    # Digits that were not understood may be part of the time. No guess is better than a wrong
    # guess.
    guess.exported_at = None if re.search("[0-9]", tail) else moment


def _bad_stamp(message: str) -> Problem:
    return Problem(code="name.bad_datetime", message=message)


def _time_of_day(day: datetime, hour: int, minute: int, second: int) -> datetime | None:
    if (hour, minute, second) == (24, 0, 0):  # ISO 8601 knows it as the end of the day
        try:
            return day + timedelta(days=1)
        except OverflowError:
            return None
    return instant(day.year, day.month, day.day, hour, minute, second)


def _less_offset(moment: datetime, zone: re.Match[str]) -> datetime | None:
    offset = timedelta(hours=int(zone[4]), minutes=int(zone[5] or 0))
    if offset >= timedelta(days=1):
        return None
    try:
        return moment - offset if zone[3] == "+" else moment + offset
    except OverflowError:
        return None
