"""The mails that must be in the outbox: for each event one, none, or a recovery, by the rules.

Each address gets one mail that says that it is mailed from now on.

Each is written in the commit that records its event, and never again. The limit of a day is left
out: no history comes near it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared.core.notify import address_key
from shared.firestore.query import Fields
from shared.ledger.imports import Import
from tests.simulation.firestore import Store
from tests.simulation.world import World

PERSON = "ann@shop.example"
MAILED: Mapping[str, Any] = {"notify": {"to": [PERSON], "success": "never"}}
"""Settings of a connection one of whose people is mailed."""
MAIL_SETTINGS: Mapping[str, Any] = {"mail_mode": "documents"}
"""Settings of a deployment that writes mails, and leaves it to others to send them."""
HOUR = timedelta(hours=1)
MARKS = {"rejected": "✗", "rows": "!", "announced": "!", "overdue": "!", "recovered": "✓"}
"""Kind of a mail -> sign in its subject; a refused name has none."""
WELCOME = f"main~{address_key(PERSON)}~0~welcome"
"""Id of the mail that tells the person of further mails."""
OF_ROWS = ("rows", "announced")


@dataclass(frozen=True, slots=True)
class _Event:
    """Something that people may be mailed about."""

    kind: str
    import_: Import
    at: datetime

    @property
    def id(self) -> str:
        """Id of its mail."""
        return f"main~{self.import_.import_id}~{self.import_.generation}~{self.kind}"

    @property
    def topic(self) -> str:
        """The feed that it is about."""
        first = "bulk_" if self.import_.mode == "bulk" else ""
        return f"{first}{self.import_.type or 'names'}"

    @property
    def code(self) -> str:
        """Code of its error."""
        return self.import_.error.code if self.import_.error else self.kind

    @property
    def errors(self) -> Sequence[tuple[Any, ...]]:
        """Kinds and numbers of the errors in the rows."""
        found = self.import_.rejections
        return sorted((one["code"], one.get("column") or "", one["count"]) for one in found)


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Errors of a code that were mailed and are not over yet."""

    thread: str | None
    at: datetime


class Mails:
    """Watches the outbox beside the ledger."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.store: Store
        self.told: dict[str, _Event] = {}
        """Id of each mail -> its event."""
        self.welcomed = False
        """True if the person has been told of further mails."""
        self._troubles: dict[tuple[str, str], _Trouble] = {}
        """Feed and code -> trouble that is not over."""
        self._changes: list[tuple[Import | None, Import]] = []
        self._written: dict[str, Fields] = {}

    def watch(self, id: str, before: Fields | None, after: Fields | None) -> None:
        """Look at a change of a mail."""
        if id.endswith("~digest") or after is None:
            return
        if before is not None:
            self._world.fail(f"the mail {id} is written again")
        if id == WELCOME:
            self.welcomed = True
            self._judge(id, after, None)
        else:
            self._written[id] = after

    def changed(self, before: Import | None, after: Import) -> None:
        """Look at a change of an import."""
        self._changes.append((before, after))

    def committed(self) -> None:
        """Hold the mails of a transaction to what it records."""
        changes, written = self._changes, self._written
        if not changes and not written:
            return
        self._changes, self._written = [], {}
        if not self._mailed():
            expected: dict[str, str | None] = {}
        else:
            events = [event for change in changes if (event := _event(*change)) is not None]
            expected = dict(filter(None, map(self._expect, events)))
        if expected.keys() != written.keys():
            self._world.fail(f"the mails {sorted(written)} are written, not {sorted(expected)}")
        for id in expected.keys() & written.keys():
            self._judge(id, written[id], expected[id])

    def at_rest(self) -> None:
        """Make sure that the person has been told of further mails, if there is anybody to tell."""
        if self.welcomed != self._mailed():
            told = "told" if self.welcomed else "not told"
            self._world.fail(f"{PERSON} is {told} that there will be mails")

    # -- inside ---------------------------------------------------------------------------------

    def _mailed(self) -> bool:
        connection = self.store.get("connections/main")
        return connection is not None and "notify" in connection.fields

    def _expect(self, event: _Event) -> tuple[str, str | None] | None:
        """Return the id of an event's mail, and that of the mail that it answers."""
        mine = {key: one for key, one in self._troubles.items() if key[0] == event.topic}
        thread = next((one.thread for one in mine.values() if one.thread), None)
        if event.kind == "loaded":
            recovery = replace(event, kind="recovered")
            if thread is not None and recovery.id in self.told:
                return None
            for key in mine:
                del self._troubles[key]
            return self._tell(recovery, thread) if thread is not None else None
        key = event.topic, event.code
        known, others = mine.get(key), [one for one in mine if one[1] not in OF_ROWS]
        if event.kind == "rows":
            announced = self.told.get(replace(event, kind="announced").id)
            if announced is not None and announced.errors == event.errors:
                self._forget(others)
                return None
        lately = known is not None and known.thread is not None and event.at < known.at + HOUR
        if not lately and event.id in self.told:
            return None
        if event.kind == "rows":
            self._forget(others)
        if lately:
            return None
        self._troubles[key] = _Trouble(thread or event.id, event.at)
        return self._tell(event, thread)

    def _tell(self, event: _Event, thread: str | None) -> tuple[str, str | None]:
        self.told[event.id] = event
        return event.id, thread

    def _forget(self, keys: Sequence[tuple[str, str]]) -> None:
        for key in keys:
            del self._troubles[key]

    def _judge(self, id: str, mail: Fields, thread: str | None) -> None:
        begun = self.store.get(f"mail/{thread}") if thread else None
        answers = begun.fields["headers"]["Message-ID"] if begun else None
        if mail["headers"].get("In-Reply-To") != answers:
            self._world.fail(f"{id} does not answer {thread}")
        mark = MARKS.get(id.rpartition("~")[2], "")
        if mail["to"] != [PERSON] or not mail["message"]["subject"].startswith(f"[main] {mark}"):
            self._world.fail(f"{id} is {mail['message']['subject']} to {mail['to']}")


def _event(before: Import | None, after: Import) -> _Event | None:
    """Return what a change of an import is to people; None if it is nothing."""
    if before is not None and before.generation != after.generation:
        before = None
    ended = after.finished_at
    if after.mode == "test":
        return None
    if before is None or before.status != after.status:
        if after.status == "overdue":
            return _Event("overdue", after, after.history[-1].at)
        kinds = {"rejected": "rejected", "loaded": "loaded", "loaded_with_rejects": "rows"}
        kind = kinds.get(after.status)
        if kind is None or ended is None:
            return None
        misnamed = kind == "rejected" and after.exported_at is None
        return _Event("refused_name" if misnamed else kind, after, ended)
    if before.judged is None and after.judged is not None and after.judged.rejected:
        return _Event("announced", after, after.judged.at)
    return None
