"""The command that undoes an import."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from shared.core import count
from shared.ops.command import DONE, NOT_POSSIBLE, Command, Desk, add_yes, agreed
from shared.ops.ids import id_argument, ids_of

if TYPE_CHECKING:
    from shared.undoing import Undone


def _undo_arguments(parser: argparse.ArgumentParser) -> None:
    id_argument(parser, nargs=None)
    add_yes(parser)
    parser.add_argument("--dry-run", action="store_true", help="only show the effect")


def _undo(desk: Desk) -> int:
    from shared.undoing import undo

    parsed = desk.parsed
    (id,) = ids_of(desk)

    def show() -> None:
        _tell_undone(desk, undo(*id, desk.services, dry_run=True), done=False)

    if parsed.dry_run:
        show()
        return DONE
    hint = ", or --dry-run to see the effect"
    if not agreed(desk, f"Undo {'/'.join(id)}?", show=show, hint=hint):
        return NOT_POSSIBLE
    _tell_undone(desk, undo(*id, desk.services), done=True)
    return DONE


def _tell_undone(desk: Desk, undone: Undone, *, done: bool) -> None:
    if desk.json:
        desk.answer({**asdict(undone), "dry_run": not done})
        return
    line, one = desk.screen.line, undone
    id = f"{one.connection}/{one.import_id}"
    line(f"{id} {'is undone' if done else 'would be undone'}:")
    line(f"  {count(one.documents, 'document')} had content from this import")
    line(f"  {one.restored:,} {'got' if done else 'would get'} the content of other exports")
    line(f"  {one.removed:,} {'were' if done else 'would be'} removed: no other export holds them")
    if one.left:
        line(f"  {one.left:,} keep their content: their earlier exports are no longer stored")
        line("    The next file that holds them changes them.")
    line("  consent that this import withdrew stays withdrawn until a later export gives it")
    for name in one.gone:
        line(f"  the file of {name} is missing or cannot be read")
    if done:
        line("If only its name was wrong, upload the file again under the right name.")


COMMANDS: tuple[Command, ...] = tuple(
    Command(
        path=path,
        words="take an import back: its documents get the content of the other exports",
        arguments=_undo_arguments,
        carry_out=_undo,
    )
    for path in (("imports", "undo"), ("undo",))
)
