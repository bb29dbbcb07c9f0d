"""Folders of the bucket: how an object is used, and whose it is, by the folders that it is in."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from shared.core import Problem
from shared.files.suggestions import plain, shown

Mode = Literal["load", "test", "bulk"]
"""Use of a file: `load` it, check it (`test`), or only create new documents (`bulk`)."""

FOLDERS: tuple[str, ...] = ("pending", "test", "bulk", "processed", "rejected", "reports")
"""Folders at the root of the bucket that people use. No connection may have such a name."""
KEPT_FOLDERS = ("processed", "rejected", "reports")
"""Folders that the pipeline fills: loaded files, rows to fix, and the verdicts on all files."""
STATE = "state"
"""Folder of the pipeline's own state."""
REFUSALS = "refusals"
"""Folder of the gateway's notes about names that it has refused."""
OWN_FOLDERS = (STATE, REFUSALS)
"""Folders of the pipeline alone. No connection may have such a name either."""
DEFAULT_CONNECTION = "main"
"""Connection of a file that is in no connection's folder."""

MODES: dict[str, Mode] = {"pending": "load", "test": "test", "bulk": "bulk"}
UPLOAD_FOLDERS: tuple[str, ...] = tuple(MODES)
"""Folders for uploads."""

_CONNECTION = re.compile("[a-z0-9][a-z0-9_-]{0,38}")


def is_connection(name: str) -> bool:
    """Return True for a possible connection name: `[a-z0-9][a-z0-9_-]{0,38}`, no folder's name."""
    return bool(_CONNECTION.fullmatch(name)) and name not in (*FOLDERS, *OWN_FOLDERS)


@dataclass(frozen=True, slots=True)
class Where:
    """Mode and connection of an object, by its folders."""

    mode: Mode
    connection: str
    """Connection as in the path, or as it was probably meant; "" if there is none."""
    path: str | None
    """Right folders for this place, each with its slash; None if they cannot be guessed."""
    findings: tuple[Problem, ...] = ()


def read_folders(folders: list[str]) -> Where:
    """Find mode and connection in the folders of a path, exactly or by goodwill."""
    exact = _meant(folders)
    if exact.path is not None and exact.path == "".join(f"{folder}/" for folder in folders):
        return exact
    finding = _bad_folders(folders)
    meant = _meant([plain(folder).lower() for folder in folders])
    path = None if finding.code == "name.bad_path" else meant.path
    return replace(meant, path=path, findings=(finding,))


def _meant(folders: list[str]) -> Where:
    # A wrong guess is worse than none: a file could be taken for another connection's, or a test
    # for a real file. So what is not plain is left unknown.
    match folders:
        case []:
            return Where("load", "", "")
        case [top] if top in MODES:
            return Where(MODES[top], "", f"{top}/")
        case [own] if is_connection(own):
            return Where("load", own, f"{own}/")
        case [top, own, *_] if top in MODES and is_connection(own):
            return Where(MODES[top], own, f"{top}/{own}/")
        case [own, top, *_] if top in MODES and is_connection(own):
            return Where(MODES[top], own, f"{top}/{own}/")
    return Where(MODES.get(folders[0], "load"), "", None)


def _bad_folders(folders: list[str]) -> Problem:
    if any(folder in ("", ".", "..") for folder in folders):
        return Problem(
            code="name.bad_path",
            message="The path holds an empty folder name, a `.` or a `..`.",
        )
    first = folders[0]
    if first not in FOLDERS and plain(first).lower() in FOLDERS:
        return Problem(
            code="name.bad_folder",
            message=f"The folder must be written {plain(first).lower()}/, in lower case.",
        )
    if len(folders) == 2 and first not in FOLDERS and folders[1] in MODES:
        return Problem(
            code="name.bad_folder",
            message=f"The folder {folders[1]}/ comes first, then the connection's own.",
        )
    if len(folders) > 2 or (len(folders) == 2 and first not in FOLDERS):
        return Problem(
            code="name.bad_folder",
            message=(
                "The file lies too deep: only one connection's folder may be between "
                "pending/, test/ or bulk/ and the file."
            ),
        )
    own = folders[-1]
    if own in (*FOLDERS, *OWN_FOLDERS):
        return Problem(
            code="name.bad_connection",
            message=f"A connection cannot be called {own}, because a folder is.",
        )
    return Problem(
        code="name.bad_connection",
        message=(
            f"The folder {shown(own)} cannot be a connection: its name must begin with a letter "
            "or a digit and have up to 39 of a-z, 0-9, _ and -."
        ),
    )
