"""Cells with yes or no."""

from __future__ import annotations

from shared.files.cells.kind import Kind, bad_cell

_FLAGS = {
    **dict.fromkeys(("yes", "y", "true", "1"), True),
    **dict.fromkeys(("no", "n", "false", "0"), False),
}


def _read_flag(text: str) -> bool:
    flag = _FLAGS.get(text.lower())
    if flag is None:
        raise bad_cell("row.bad_flag", "The cell is neither Yes nor No.")
    return flag


def _read_consent(text: str) -> bool:
    private = _FLAGS.get(text.lower())
    if private is None:
        raise bad_cell(
            "row.consent_unknown",
            "The consent is neither Yes nor No, so the stored consent is unchanged.",
        )
    return not private


YES_NO = Kind(
    name="yes or no",
    form="Yes or No; also Y/N, True/False, 1/0, in any case",
    type=bool,
    read=_read_flag,
    examples=(("Yes", True), ("n", False), ("TRUE", True), ("0", False)),
)
CONSENT = Kind(
    name="consent",
    form="Yes = unsubscribed, No = subscribed; also Y/N, True/False, 1/0, in any case",
    type=bool,
    read=_read_consent,
    examples=(("Yes", False), ("No", True)),
)

FLAGS = (YES_NO, CONSENT)
"""Kinds of flags, in the order of docs/formats.md."""
