"""Names and folders of objects in the bucket, and what they say about the object.

The name decides how a file is loaded, for whom and in which order, so a name must be exact. A name
that is refused is read a second time with goodwill, so that the answer can suggest the right name.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import get_args

from shared.core import Problem
from shared.files.folders import (
    DEFAULT_CONNECTION,
    KEPT_FOLDERS,
    MODES,
    OWN_FOLDERS,
    Mode,
    Where,
    is_connection,
    read_folders,
)
from shared.files.suggestions import Guess, instant, read_with_goodwill
from shared.files.types import all_types

TYPES: tuple[str, ...] = tuple(type_.name for type_ in all_types())
"""Types that a name may have: one per module in shared/files/types."""
TEMPORARY_ENDINGS = (".filepart", ".part", ".tmp", ".partial", ".incomplete", ".writing")
"""Endings of names that clients use for an upload before they rename it."""
_TEMPORARY = re.compile(
    rf"[.~].*|.*(?:{'|'.join(map(re.escape, TEMPORARY_ENDINGS))})|.*\.sftpgo-partial\..*",
    re.IGNORECASE | re.DOTALL,
)
# [0-9] and fullmatch throughout: \d matches the digits of every script, and $ matches before a
# newline.
_BASIC = "([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z"
_EXTENDED = "([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z"
_FILE = re.compile(rf"({'|'.join(TYPES)})_(?:{_BASIC}|{_EXTENDED})\.csv")
_IMPORT_ID = re.compile(rf"(?:(test|bulk)_)?({'|'.join(TYPES)})_{_BASIC}")
LONGEST_OBJECT = 1_024
"""Bytes of UTF-8 in the longest object name that Cloud Storage accepts."""
_LONGEST_FILE = 200
"""Characters of the longest base name for which a right name is guessed."""
_LONGEST_ID = 1_400
"""Bytes of UTF-8 in the longest id made from a path; Firestore accepts 1,500."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFile:
    """An object whose name follows the convention."""

    object: str
    """Full name in the bucket, e.g. `pending/au/customers_20230424T201230Z.csv`."""
    connection: str
    """Connection that the object belongs to, e.g. `au`."""
    folder: str
    """Connection folder in the path; "" if there is none (then the connection is `main`)."""
    mode: Mode
    """Use of the file."""
    type: str
    """One of `TYPES`."""
    exported_at: datetime
    """Time in the name, aware, in UTC, to the second."""
    file: str
    """Base name as uploaded."""

    @property
    def import_id(self) -> str:
        """Id of the ledger document within the connection; the same for both forms of the time."""
        return make_import_id(mode=self.mode, type=self.type, exported_at=self.exported_at)

    @property
    def processed(self) -> str:
        """Name of the object once its import has ended well."""
        return f"processed/{self._place}{self.file}"

    def superseded(self, generation: int) -> str:
        """Return the new name of an upload that a newer upload of another name has superseded."""
        stem = self.file.removesuffix(".csv")
        return f"processed/{self._place}{stem}.superseded-{generation}.csv"

    @property
    def rejected_csv(self) -> str:
        """Name of the report with the rows that were not loaded."""
        return f"rejected/{self._place}{self.file.removesuffix('.csv')}.rejected.csv"

    @property
    def report_json(self) -> str:
        """Name of the report with the verdict on the file."""
        return f"reports/{self._place}{self.file.removesuffix('.csv')}.report.json"

    @property
    def _place(self) -> str:
        return _place(self.folder, self.mode)


@dataclass(frozen=True, slots=True)
class Arrival:
    """Time of a file's arrival. The time in its name must not be later."""

    at: datetime
    tolerance: timedelta
    """Time by which the time in a name may be ahead, because clocks differ."""
    zone: tzinfo
    """Zone whose local time may have been written as UTC."""

    def too_early_for(self, exported_at: datetime) -> bool:
        """Return True if a file exported then cannot have arrived yet."""
        return exported_at - self.at > self.tolerance

    def meant_by(self, exported_at: datetime) -> datetime | None:
        """Return the time in UTC if the given one is local time; None if that is too late, too."""
        try:
            meant = exported_at.replace(tzinfo=self.zone).astimezone(UTC)
        except OverflowError:
            return None
        return None if self.too_early_for(meant) else meant


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """An object that the pipeline ignores: it is logged, nothing else."""

    object: str
    reason: str
    """One sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Misnamed:
    """An object that is never loaded because of its name or folder."""

    object: str
    connection: str
    """Connection that was probably meant; `main` if nothing tells."""
    folder: str
    """Connection folder in the path; "" if there is none that can be used."""
    mode: Mode
    type: str | None
    """Type that was probably meant."""
    file: str
    """Base name as uploaded."""
    import_id: str
    """Id of the ledger document: the path with `/` written as `~`. It is shortened with a hash
    where Firestore or the ids of other objects require it. No two objects have the same id."""
    problem: Problem
    """Reason for the refusal; the code begins with `name.`."""
    suggestion: str | None
    """Full object name that would have been right, if the intention can be guessed."""
    report_json: str
    """Name of the report with the verdict on the file."""


def read_name(object_name: str, arrival: Arrival | None = None) -> ExportFile | Ignored | Misnamed:
    """Return the kind of an object, from its full name in the bucket and, if given, its arrival.

    Takes any text and never raises. Names follow the vendor's convention `{one of TYPES}_{ISO 8601
    UTC}.csv`, with the time in basic or extended form. Folders are `[pending/][{connection}/]`,
    `test/[{connection}/]` and `bulk/[{connection}/]`.
    """
    *folders, file = object_name.split("/")
    if folders and not file:
        return Ignored(object=object_name, reason="It is a folder marker, not a file.")
    if folders and folders[0] in (*KEPT_FOLDERS, *OWN_FOLDERS):
        return Ignored(object=object_name, reason=f"The pipeline keeps {folders[0]}/ itself.")
    if file not in (".", "..") and _TEMPORARY.fullmatch(file):
        return Ignored(object=object_name, reason="It is a temporary name of an upload under way.")

    where = read_folders(folders)
    match = _FILE.fullmatch(file)
    exported_at = instant(*(int(part) for part in match.groups()[1:] if part)) if match else None
    if not where.findings and match and exported_at and _fits(object_name):
        if arrival is not None and arrival.too_early_for(exported_at):
            return _refuse(object_name, where, file, arrival, ahead=exported_at)
        return ExportFile(
            object=object_name,
            connection=where.connection or DEFAULT_CONNECTION,
            folder=where.connection,
            mode=where.mode,
            type=match[1],
            exported_at=exported_at,
            file=file,
        )
    return _refuse(object_name, where, file, arrival)


def object_name(
    type: str,
    exported_at: datetime,
    *,
    mode: Mode = "load",
    connection: str = DEFAULT_CONNECTION,
    extended: bool = False,
) -> str:
    """Build the full object name from which `read_name` reads these values.

    `exported_at` is aware and is cut to the second. The main connection has no folder of its own.
    Raises ValueError for a type, a mode, a connection or a time that no name can have.
    """
    if type not in TYPES:
        raise ValueError(f"type must be one of {', '.join(TYPES)}")
    if mode not in get_args(Mode):
        raise ValueError(f"mode must be one of {', '.join(get_args(Mode))}")
    if not is_connection(connection):
        raise ValueError("connection must be up to 39 of a-z 0-9 _ - and no folder's name")
    if exported_at.utcoffset() is None:
        raise ValueError("exported_at must carry its time zone")
    top = next(folder for folder, folder_mode in MODES.items() if folder_mode == mode)
    own = "" if connection == DEFAULT_CONNECTION else f"{connection}/"
    stamp = (_extended if extended else _basic)(exported_at)
    return f"{top}/{own}{type}_{stamp}.csv"


def make_import_id(*, mode: Mode, type: str, exported_at: datetime) -> str:
    """Build the id that `parse_import_id` reads; ids of one type and mode sort by time."""
    prefix = "" if mode == "load" else f"{mode}_"
    return f"{prefix}{type}_{_basic(exported_at)}"


def parse_import_id(import_id: str) -> tuple[Mode, str, datetime]:
    """Read (mode, type, exported at) from the import id of an export file.

    Raises ValueError for any other text, the ids of misnamed files included.
    """
    match = _IMPORT_ID.fullmatch(import_id)
    exported_at = instant(*(int(part) for part in match.groups()[2:])) if match else None
    if not match or not exported_at:
        raise ValueError("not the import id of an export file")
    return MODES[match[1] or "pending"], match[2], exported_at


def is_import_id(text: str) -> bool:
    """Return True if a text is the import id of an export file."""
    try:
        parse_import_id(text)
    except ValueError:
        return False
    return True


# -- names that are refused -------------------------------------------------------------------


def _refuse(
    object_name: str,
    where: Where,
    file: str,
    arrival: Arrival | None,
    *,
    ahead: datetime | None = None,
) -> Misnamed:
    """Describe the problems of a name; `ahead` is its time if the time is the only problem."""
    guess = Guess()
    own: tuple[Problem, ...]
    if ahead is not None and arrival is not None:
        guess = read_with_goodwill(file, TYPES)
        own = (_in_future(ahead, arrival),)
    elif len(file) > _LONGEST_FILE or not _fits(object_name):
        longest = f"{_LONGEST_FILE} characters, or its path more than {LONGEST_OBJECT:,} bytes"
        own = (Problem(code="name.too_long", message=f"The name has more than {longest}."),)
    elif file in ("", ".", ".."):
        own = (Problem(code="name.bad_path", message="The path does not end in a file name."),)
    else:
        guess = read_with_goodwill(file, TYPES)
        own = guess.problems
    findings = [*where.findings, *own]
    if not findings:
        blanks = "The name holds blanks where none belong."
        findings = [Problem(code="name.bad_characters", message=blanks)]

    suggestion = None
    if guess.exported_at and arrival is not None and arrival.too_early_for(guess.exported_at):
        guess.exported_at = arrival.meant_by(guess.exported_at)
    if guess.type and guess.exported_at and where.path is not None:
        exported_at = guess.exported_at
        if any(finding.code == "name.rejects_report" for finding in findings):
            with suppress(OverflowError):  # the export's own name would replace the export
                exported_at += timedelta(seconds=1)
        stamp = (_extended if guess.extended else _basic)(exported_at)
        suggestion = f"{where.path}{guess.type}_{stamp}.csv"
    return Misnamed(
        object=object_name,
        connection=where.connection or DEFAULT_CONNECTION,
        folder=where.connection,
        mode=where.mode,
        type=guess.type,
        file=file,
        import_id=_path_id(object_name),
        problem=Problem(
            code=findings[0].code, message=" ".join(finding.message for finding in findings)
        ),
        suggestion=suggestion,
        report_json=_misnamed_report(object_name, where, file),
    )


def _in_future(exported_at: datetime, arrival: Arrival) -> Problem:
    message = (
        f"The time in the name, {exported_at:%Y-%m-%d %H:%M:%S} UTC, is later than the upload at "
        f"{arrival.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC."
    )
    if arrival.meant_by(exported_at) is not None:
        message += f" It looks like local time ({arrival.zone}) with a Z at its end."
    return Problem(code="name.in_future", message=message)


# -- small parts ------------------------------------------------------------------------------


def _basic(moment: datetime) -> str:
    # %Y does not pad on every system, and ids must sort as text.
    utc = moment.astimezone(UTC)
    return f"{utc.year:04}{utc:%m%dT%H%M%SZ}"


def _extended(moment: datetime) -> str:
    utc = moment.astimezone(UTC)
    return f"{utc.year:04}{utc:-%m-%dT%H:%M:%SZ}"


def _place(folder: str, mode: Mode) -> str:
    return (f"{folder}/" if folder else "") + ("" if mode == "load" else f"{mode}/")


def _fits(object_name: str) -> bool:
    return len(object_name.encode("utf-8", "surrogatepass")) <= LONGEST_OBJECT


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _path_id(object_name: str) -> str:
    """Make a Firestore id from a path. Each path has its own id, which is never an import's."""
    plain = object_name.replace("/", "~")
    usable = (
        object_name not in ("", ".", "..")
        and "~" not in object_name
        and "//" not in object_name
        and object_name.isprintable()
        and len(plain.encode("utf-8", "surrogatepass")) <= _LONGEST_ID
        and not (plain.startswith("__") and plain.endswith("__"))
        and not _IMPORT_ID.fullmatch(plain)
    )
    if usable:
        return plain
    # A plain id never contains `~~`, so the two kinds of id are always different.
    cleaned = "".join(c if c.isprintable() else "_" for c in plain).replace("~~", "~")
    return f"{cleaned[:120]}~~{_hash(object_name)}"


def _misnamed_report(object_name: str, where: Where, file: str) -> str:
    name = file.removesuffix(".csv")
    if (
        where.findings  # files of different folders are reported in one place
        or _FILE.fullmatch(f"{name}.csv")  # a right name's own report must stay
        or not (name.isprintable() and 0 < len(name) <= _LONGEST_FILE)
    ):
        kept = "".join(c if c.isprintable() else "_" for c in name)[:60]
        name = f"{kept}-{_hash(object_name)[:12]}"
    return f"reports/{_place(where.connection, where.mode)}{name}.report.json"
