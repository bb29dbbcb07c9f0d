"""Maps a user's paths to objects of the bucket, and says what each path allows.

A user of all connections sees the whole bucket. A user of one connection sees the same folders with
only that connection's files. For a user of `au`, `pending/x.csv` is the object `pending/au/x.csv`.
The object's own name leads there, too: mails and summaries have it, and anybody may follow them.
No path leads to another connection, because every object name is built below the connection's own
prefixes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from shared.files import (
    FOLDERS,
    KEPT_FOLDERS,
    LONGEST_OBJECT,
    OWN_FOLDERS,
    TEMPORARY_ENDINGS,
    TYPES,
    UPLOAD_FOLDERS,
    Arrival,
    ExportFile,
    Ignored,
    Misnamed,
    is_connection,
    read_name,
)

_SAMPLE = f"{TYPES[0]}_20000101T000000Z.csv"
"""A valid base name, used to check a folder without its file."""


class BadPath(Exception):
    """A path that no object can have. The message says why and can be shown to the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Target of a path."""

    parts: tuple[str, ...]
    """The user's path, resolved: no empty part, no `.`, no `..`; () is the root."""
    object: str | None
    """Name of the object at this path; None where no object can be."""

    @property
    def shown(self) -> str:
        """The path as the user knows it, e.g. `/pending/customers_20230424T201230Z.csv`."""
        return "/" + "/".join(self.parts)

    @property
    def folder(self) -> str:
        """The first part of the path, e.g. `processed`; "" at the root."""
        return self.parts[0] if self.parts else ""

    @property
    def name(self) -> str:
        """The last part of the path; "" at the root."""
        return self.parts[-1] if self.parts else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The bucket as one user sees it."""

    connection: str | None
    """The user's only connection; None for a user of all connections."""
    known: frozenset[str] = frozenset()
    """Connections whose folders a user of all connections can always enter."""

    def place(self, path: bytes) -> Place:
        """Resolve a path as the client sent it; relative paths begin at the root.

        Raises BadPath if the path is not UTF-8 or has control characters.
        """
        try:
            text = path.decode("utf-8")
        except UnicodeDecodeError:
            raise BadPath("The path is not UTF-8.") from None
        if any(unicodedata.category(c) == "Cc" for c in text):
            raise BadPath("The path holds control characters.")
        parts: list[str] = []
        for part in text.split("/"):
            if part == "..":
                del parts[-1:]  # the root is its own parent
            elif part not in ("", "."):
                parts.append(part)
        own = int(bool(parts) and parts[0] in FOLDERS)
        if self.connection and parts[own : own + 1] == [self.connection]:
            del parts[own]  # `pending/au/x.csv` is what `pending/x.csv` is
        return Place(parts=tuple(parts), object=self._object(parts))

    def below(self, place: Place) -> str | None:
        """Return the prefix of all object names in a folder; None if it can have no objects."""
        if not place.parts:
            return "" if self.connection is None else None
        if place.object is None or (self.connection and place.folder not in FOLDERS):
            return None
        return f"{place.object}/"

    def shown(self, object_name: str) -> str:
        """Return the user's path of an object, relative to the root."""
        if self.connection:
            folder, _, rest = object_name.partition("/")
            own, _, rest = rest.partition("/")
            if folder in FOLDERS and own == self.connection:
                return f"{folder}/{rest}"
            return object_name.rpartition("/")[2]
        return object_name

    def always_there(self, place: Place) -> bool:
        """Return True for a folder that exists even when it is empty."""
        match place.parts:
            case ():
                return True
            case (folder,):
                return folder in FOLDERS or (self.connection is None and folder in self.known)
            case (folder, own):
                return self.connection is None and folder in FOLDERS and own in self.known
            case _:
                return False

    def always_in(self, place: Place) -> tuple[str, ...]:
        """Return the names that are always listed in a folder."""
        return FOLDERS if not place.parts else ()

    # -- refusals: one text for the user, or None if it is allowed ---------------------

    def why_not_upload(self, place: Place, arrival: Arrival | None = None) -> str | None:
        """Return why no file may be uploaded here as of `arrival`; None if one may."""
        if "\\" in place.shown:
            return f"The path holds a backslash. Folders are separated by /, as in test/{_SAMPLE}."
        if place.folder in KEPT_FOLDERS or _is_own(place):
            return f"{place.folder}/ is kept by the pipeline. Upload into pending/, test/ or bulk/."
        if place.object is None or self.always_there(place):
            return self._why_no_file_here(place)
        if self.connection and len(place.parts) > 1 + (place.folder in FOLDERS):
            return self._why_no_file_here(place)
        if len(place.object.encode()) > LONGEST_OBJECT:
            return f"The path is longer than {LONGEST_OBJECT:,} bytes."
        match read_name(place.object, arrival):
            case ExportFile():
                return None
            case Misnamed() as misnamed:
                return self._misnamed(misnamed)
            case Ignored():  # a temporary name: allowed wherever the final name is
                match read_name(f"{place.object.rpartition('/')[0]}/{_SAMPLE}".lstrip("/")):
                    case Misnamed() as misnamed:
                        return f"{misnamed.problem.message} {misnamed.problem.hint}".strip()
                return None

    def why_not_remove(self, place: Place) -> str | None:
        """Return why a file may not be removed or renamed away from here; None if it may."""
        if place.folder == "processed":
            return (
                "processed/ is the record of what has been loaded; its files are deleted "
                "automatically."
            )
        if _is_own(place):
            return f"{place.folder}/ belongs to the pipeline: nothing in it can be removed."
        return None

    def why_not_make(self, place: Place) -> str | None:
        """Return why no folder may be made here; None if one may."""
        if self.connection:
            return (
                "This account has the folders it needs: "
                + _listed(f"{folder}/" for folder in FOLDERS)
                + "."
            )
        if place.folder in KEPT_FOLDERS or _is_own(place):
            return f"{place.folder}/ is kept by the pipeline, which makes what it needs itself."
        top = place.parts[:-1]
        if is_connection(place.name) and (not top or (len(top) == 1 and top[0] in UPLOAD_FOLDERS)):
            return None
        return (
            "Only a connection's folder can be made, in pending/, test/, bulk/ or at the root. Its "
            "name begins with a letter or a digit and has up to 39 of a-z, 0-9, _ and -."
        )

    # -- small parts ---------------------------------------------------------------------------

    def _object(self, parts: list[str]) -> str | None:
        if not parts:
            return None
        if self.connection is None:
            return "/".join(parts)
        folder, *rest = parts
        if folder in FOLDERS:
            return "/".join((folder, self.connection, *rest))
        # A file at the root is pending. It has both paths.
        return None if rest else f"pending/{self.connection}/{folder}"

    def _why_no_file_here(self, place: Place) -> str:
        if self.always_there(place):
            return f"{place.shown} is a folder."
        return "Files go into pending/, test/ or bulk/, and into no folder within them."

    def _misnamed(self, misnamed: Misnamed) -> str:
        problem = misnamed.problem
        advice = (
            f"The right name is: {self.shown(misnamed.suggestion)}"
            if misnamed.suggestion
            else problem.hint
        )
        text = f"{problem.message} {advice} [{problem.code}]"
        if ".csv." in misnamed.file.lower():
            # Perhaps the client's temporary name, which it would have renamed.
            text += f" Temporary names end in {_listed(TEMPORARY_ENDINGS)}, or begin with . or ~."
        return text


def _is_own(place: Place) -> bool:
    """Return True if the place is in a folder of the pipeline's own, which only users of all
    connections see."""
    return place.object is not None and place.object.partition("/")[0] in OWN_FOLDERS


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
