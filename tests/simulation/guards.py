"""The guards that the promises rest on, each with a way to take it out of the running code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from types import ModuleType
from typing import Any
from unittest.mock import patch

from grpc import StatusCode

from shared.core.errors import LeaseLost
from shared.core.folding import Version
from shared.files.exported import Exports, micros
from shared.files.names import Arrival
from shared.firestore.bulk import answers, retrying
from shared.firestore.bulk.transport import Stored
from shared.gcp import StorageObject
from shared.index import feed, merge, objects, session
from shared.index.disowning import disowned, withdrawing
from shared.index.feed import following, marked
from shared.index.merge import decide
from shared.index.reading import IndexReader
from shared.index.records import Table, overlaid
from shared.index.session import Indexing, holds_content
from shared.ledger import Import, uploads
from shared.ledger.feeds import Feed, Holder
from shared.ledger.imports import ENDED, LOADED, PENDING, Lease
from shared.ledger.lease import BEAT_SECONDS, Claimed, ClaimedChange, Hold
from shared.ledger.parts import StateObject
from shared.ledger.store import LedgerTransaction
from shared.loading import judging
from shared.loading.judging import waits_for_judging
from shared.loading.shards.cleanup import remove_rows
from shared.mail import outbox
from shared.mail.mailbox import Mailbox
from shared.parsing import repeats
from shared.parsing.checked import Row
from shared.parsing.repeats import Repeats, RowOfKey
from shared.privacy import erasing, searching
from shared.scheduling import claims, intake, is_newer, pairing, refusals, take_in
from shared.scheduling.claims import claim_within
from shared.sweeping import caretaker, lateness, mailing, reconciliation
from shared.sweeping.reconciliation import MARGIN
from shared.undoing import deciding
from shared.undoing.attempt import Undoing
from shared.undoing.deciding import Decisions
from shared.undoing.hold import FeedHold
from tests.simulation.history import History
from tests.simulation.plans import Plan, plan
from tests.simulation.scenarios import (
    ERASURES,
    FOR_GUARDS,
    SCENARIOS,
    correct,
    correct_complete_orders,
    correct_orders,
    disturbed,
    fall_silent,
    late_answer,
    overtaken,
    stall,
    take_back,
    undisturbed,
)

Without = Callable[[History], Any]
"""Returns a context in which the guard is missing from a history."""


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard."""

    what: str
    without: Without
    theme: str
    """What the histories that need it are about: a theme of `plan`, a scenario, or what disturbs
    one."""

    def histories(self) -> Iterator[History]:
        """Give histories, one of which needs the guard."""
        match self.theme:
            case "corrected":
                yield from (disturbed("customers", effect, correct) for effect in range(1, 30))
            case "judged and corrected":
                name = "unusable orders that wait"
                yield from (disturbed(name, effect, correct_orders) for effect in range(1, 10))
            case "stalled":
                yield from (disturbed("correction", effect, stall) for effect in range(1, 30))
            case "undoing stalled":
                name = "undo beside another file"
                yield from (disturbed(name, effect, stall) for effect in range(1, 60))
            case "answers to an undoing late":
                name = "undo beside another file"
                yield from (late_answer(name, effect) for effect in range(1, 60))
            case "taken back":
                yield from (disturbed("changed rows", effect, take_back) for effect in range(1, 60))
            case "complete orders corrected":
                name = "complete orders after ones with a bad line"
                act = correct_complete_orders
                yield from (disturbed(name, effect, act) for effect in range(1, 60))
            case "fallen silent":
                name = "changed rows, and the old ones again"
                yield from (disturbed(name, effect, fall_silent) for effect in range(1, 60))
            case "erasure beside a replay":
                steered = product(range(2, 16), range(1, 4))
                yield from (overtaken(begun, effect) for effect, begun in steered)
            case "erasures of files in shards":
                plans = ((seed, plan(seed)) for seed in range(SEEDS))
                yield from (History(seed, one) for seed, one in plans if _erases_in_shards(one))
            case name if name in SCENARIOS | ERASURES | FOR_GUARDS:
                yield from (undisturbed(name, seed) for seed in range(30))
            case theme:
                plans = ((seed, plan(seed)) for seed in range(SEEDS))
                yield from (History(seed, one) for seed, one in plans if one.theme == theme)


def _erases_in_shards(one: Plan) -> bool:
    return "shard_bytes" in one.settings and any(ask.command == "erase" for ask in one.asks)


def _replaced(place: ModuleType | type, old: object, new: object) -> Without:
    """Put `new` in place of `old`, under the name that a module or class has for it.

    The name is found by identity: this module cannot be imported when `place` has no `old`.
    """
    (name,) = (name for name, value in vars(place).items() if value is old)
    return lambda history: patch.object(place, name, new)


def _all_of(*withouts: Without) -> Without:
    """Leave out several guards at once."""

    def without(history: History) -> ExitStack:
        with ExitStack() as stack:
            for one in withouts:
                stack.enter_context(one(history))
            return stack.pop_all()

    return without


def _other(arrived: StorageObject, current: Import, _: datetime) -> bool:
    """Any other upload takes over, an earlier one too."""
    return arrived.generation != current.generation


def _overlooking(history: History) -> Any:
    """Arrivals are not held to what they have read of the feeds."""
    world = history.world

    def tracked(path: str) -> bool:
        arriving = world.actor is not None and world.actor.name.startswith("classify")
        return not (arriving and "/feeds/" in path)

    return patch.object(history.pipeline.database, "tracked", tracked)


def _overlooking_mailboxes(history: History) -> Any:
    """Mails that a transaction has read may change before it commits."""
    database = history.pipeline.database
    return patch.object(database, "tracked", lambda path: not path.startswith("mailboxes/"))


def _without_precondition(kind: str) -> Without:
    def without(history: History) -> Any:
        bucket = history.pipeline.bucket
        return patch.object(bucket, "held_to", bucket.held_to - {kind})

    return without


def _unconditional(history: History) -> Any:
    return patch.object(history.pipeline.documents, "conditional", False)


def _deciding_on(seen: Callable[[Any, Stored], Stored], **fixed: Any) -> Without:
    """Let the decision about a document see something else than what is stored."""

    def unguarded(incoming: Any, stored: Stored | None, **rest: Any) -> Any:
        if stored is not None:
            stored = seen(incoming, stored)
        return decide(incoming, stored, **{**rest, **fixed})

    return _replaced(session, decide, unguarded)


def _of_no_age(incoming: Any, stored: Stored) -> Stored:
    data = {name: value for name, value in stored.data.items() if name != "source"}
    return Stored(data, stored.update_time)


_put = Table.put


def _put_as_complete(self: Table, which: Any, *, incomplete: Any = False, **record: Any) -> None:
    _put(self, which, **record)


def _as_complete(incoming: Any, stored: Stored) -> Stored:
    return Stored({**stored.data, "incomplete": incoming.incomplete}, stored.update_time)


def _begin_any_generation(ledger: Any, task: Any, *rest: Any) -> Any:
    current = ledger.import_(task.connection, task.import_id)
    if current is not None:
        task = replace(task, generation=current.generation)
    return claim_within(ledger, task, *rest)


_change = Hold.change


def _change_whoever_it_is(self: Hold, change: ClaimedChange, **rest: Any) -> Claimed:
    if self.claimed.shard is not None:
        return _change(self, change, **rest)

    def any_(ledger: Any) -> Claimed:
        current = ledger.import_(self.import_.connection, self.import_.import_id)
        changed = change(ledger, Claimed(current))
        ledger.put(changed.import_)
        return changed

    return self._ledger.transact(any_)


def _change_whoever_has_the_shard(self: Hold, change: ClaimedChange, **rest: Any) -> Claimed:
    mine = self.claimed.shard
    if mine is None:
        return _change(self, change, **rest)

    def any_(ledger: Any) -> Claimed | None:
        current = ledger.import_(mine.connection, mine.import_id)
        shard = ledger.shard(mine.connection, mine.import_id, mine.split, mine.number)
        if current is None or current.split is None or shard is None:
            return None
        changed = change(ledger, Claimed(current, shard))
        ledger.put(changed.import_)
        ledger.put_shard(changed.shard)
        return changed

    changed = self._ledger.transact(any_)
    if changed is None:
        raise LeaseLost("The shard is gone.")
    return changed


def _whatever_the_order(self: Indexing, feed: Feed, plan: Any, under: str) -> bool:
    return feed.index is not None and feed.index_held_by is None


def _oldest_first(self: IndexReader, parts: Sequence[StateObject], table: Table) -> None:
    for part in parts:
        for block in self._read(part):
            table.learn(block)


def _marked_clean(feed: Feed, import_: Any, **rest: Any) -> tuple[Feed, Holder]:
    feed, holder = marked(feed, import_, **rest)
    holder = replace(holder, clean=True)
    return replace(feed, index_held_by=holder), holder


def _latest_row(self: Repeats, place: int, row: RowOfKey) -> None:
    rows = [*self._rows.get(place, ()), row]
    self._rows[place] = [max(rows, key=lambda row: row.rank)]


_take = FeedHold.take


def _taken_when_answered(self: FeedHold) -> None:
    _take(self)
    self._due = self._services.now() + timedelta(seconds=BEAT_SECONDS)


LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
SEEDS = 1_000
"""Seeds among which there must be a history that needs a guard."""


GUARDS: Mapping[str, Guard] = {
    "lease before a write": Guard(
        "a worker looks whether the import is still its own before it writes",
        _replaced(Hold, Hold.check, lambda self: None),
        "corrections",
    ),
    "lease when a worker begins": Guard(
        "no worker begins what another one holds",
        _replaced(Lease, Lease.live, lambda self, now: False),
        "corrections",
    ),
    "lease when a worker ends": Guard(
        "only the worker that holds an import changes it",
        _replaced(Hold, Hold.change, _change_whoever_it_is),
        "corrections",
    ),
    "lease of a shard": Guard(
        "only the worker that holds a shard changes it, and while its import is being loaded",
        _replaced(Hold, Hold.change, _change_whoever_has_the_shard),
        "mixed",
    ),
    "generation of a task": Guard(
        "a task of an earlier upload does not begin the present one",
        _replaced(claims, claim_within, _begin_any_generation),
        "emptied and filled again",
    ),
    "generation of an event": Guard(
        "the event of an earlier upload changes nothing",
        _all_of(*(_replaced(place, is_newer, _other) for place in (intake, refusals))),
        "mixed",
    ),
    "generation of a file that is moved": Guard(
        "only the upload that was loaded is put away",
        _without_precondition("delete"),
        "corrected",
    ),
    "generation of a report": Guard(
        "a worker that lost its import puts no report over a newer one",
        _without_precondition("write"),
        "stalled",
    ),
    "pairing in a transaction": Guard(
        "orders and customers that arrive together see each other", _overlooking, "meetings"
    ),
    "customers first": Guard(
        "orders begin when their customers import has ended well",
        _replaced(pairing, LOADED, LOADED | PENDING | {"loading"}),
        "meetings",
    ),
    "upload that was judged": Guard(
        "what was read of a file that waits counts only for that upload, while it waits",
        _replaced(judging, waits_for_judging, lambda import_, task: import_ is not None),
        "judged and corrected",
    ),
    "corrected under a new time": Guard(
        "a customers file that was corrected under a new time lets the orders of the rejected go",
        _replaced(pairing, pairing.stand_in, lambda *_, **__: None),
        "orders of customers that are corrected under a new time",
    ),
    "names ahead of time": Guard(
        "a file whose name is later than its upload is refused",
        _replaced(Arrival, Arrival.too_early_for, lambda *_: False),
        "customers named in local time",
    ),
    "one import of a type": Guard(
        "an import begins when no other of its type is being loaded",
        _replaced(Feed, Feed.live, lambda self, now: None),
        "mixed",
    ),
    "status of an import": Guard(
        "what has ended is not begun again",
        _replaced(claims, ENDED, frozenset()),
        "mixed",
    ),
    "exported at": Guard(
        "an older file changes no newer document",
        _deciding_on(_of_no_age, confirmed=None),
        "late file",
    ),
    "status of a write": Guard(
        "a write counts when the server says so of it, not of the batch",
        _replaced(retrying, answers.code_of, lambda status: StatusCode.OK),
        "batches",
    ),
    "condition of a write": Guard(
        "a document is written only if it is still as it was read", _unconditional, "stalled"
    ),
    "mark of the index": Guard(
        "nothing is left out after somebody may have written what the index does not say",
        _replaced(session, marked, _marked_clean),
        "taken back",
    ),
    "word of a document": Guard(
        "what a document says of itself does not count while a dead worker may still change it",
        _replaced(
            session, following, lambda *known, **rest: following(*known, **{**rest, "clean": True})
        ),
        "fallen silent",
    ),
    "files in order": Guard(
        "objects of the index are left unread only if the file is newer than all that they know",
        _replaced(Indexing, Indexing._is_in_order, _whatever_the_order),
        "confirmed rows of an unread object",
    ),
    "last record of a key": Guard(
        "of several objects of the index with a record of a key the last one counts",
        _replaced(IndexReader, IndexReader._learn_from, _oldest_first),
        "confirmed rows of an unread object",
    ),
    "last record of a key, merged": Guard(
        "of several objects of the index that are merged the last one counts",
        _replaced(objects, overlaid, lambda older, newer: overlaid(newer, older)),
        "objects of an index joined by an erasure",
    ),
    "rows that were confirmed": Guard(
        "what a newer file has found unchanged no older file changes",
        _deciding_on(lambda incoming, stored: stored, confirmed=None),
        "confirmed rows",
    ),
    "cells that cannot be read": Guard(
        "a cell that cannot be read leaves what is stored",
        _replaced(Row, Row.keep, lambda self, keepable: self.blank & keepable),
        "mixed",
    ),
    "rows of one key": Guard(
        "what a row leaves open is taken from the other rows of its key",
        _replaced(Repeats, Repeats.add, _latest_row),
        "batches",
    ),
    "fields that a file leaves open": Guard(
        "what a file leaves open is taken from the latest file that says something",
        _replaced(Version, Version.take, lambda self, older: []),
        "mixed",
    ),
    "imports that are late no more": Guard(
        "the alert that imports are late ends when they have begun",
        _replaced(lateness, lateness._close, lambda *_, **__: None),
        "mixed",
    ),
    "withdrawal in doubt": Guard(
        "consent is withdrawn where it is not known which row is the latest",
        _replaced(
            repeats,
            repeats._lowest,
            lambda values: max((value for value in values if value is not None), default=None),
        ),
        "batches",
    ),
    "incomplete orders": Guard(
        "an order with a bad line does not replace a complete one",
        _deciding_on(_as_complete),
        "bad lines of complete orders",
    ),
    "file of an incomplete order": Guard(
        "a file that has an order without a line confirms no complete order",
        _replaced(Table, Table.put, _put_as_complete),
        "complete orders corrected",
    ),
    "age of a corrected row": Guard(
        "a corrected row is as old as its export, not as its file",
        _replaced(Exports, Exports.read, lambda self, cell: micros(self._latest)),
        "corrected rows",
    ),
    "word of an import that is undone": Guard(
        "what an import says does not count when it is undone",
        _replaced(deciding, disowned, lambda stored, **_: stored),
        "undo",
    ),
    "consent that an undone import has withdrawn": Guard(
        "consent stays withdrawn that an import withdrew which is undone",
        _replaced(Decisions, Decisions.withdrawn_at, lambda self: (LONG_AGO, 0)),
        "undo",
    ),
    "consent that an import has withdrawn which was undone before": Guard(
        "consent stays withdrawn that an import withdrew which was undone before this one",
        _replaced(Undoing, Undoing.remember_withdrawals, lambda self: None),
        "undo of two imports",
    ),
    "rows that an undone import has confirmed": Guard(
        "a file counts again that an import had outdated which is undone, also for rows that the "
        "import had found unchanged",
        _replaced(deciding, holds_content, lambda *_: True),
        "undo of confirmed rows",
    ),
    "consent that an undone import has confirmed as withdrawn": Guard(
        "consent stays withdrawn that an import found withdrawn which is undone",
        _replaced(deciding, withdrawing, lambda stored, *_: (stored, frozenset())),
        "undo of confirmed rows",
    ),
    "author of a value in doubt": Guard(
        "a value is its author's that a newer file may have confirmed before the index was lost",
        _replaced(merge, merge._in_doubt, lambda age, until: until),
        "undo after the index was lost",
    ),
    "feed of an import that is undone": Guard(
        "who undoes an import looks whether its feed is still held",
        _replaced(FeedHold, FeedHold.check, lambda self: None),
        "undoing stalled",
    ),
    "age of the hold on a feed": Guard(
        "who undoes an import looks again if the answer that the feed is held came late",
        _replaced(FeedHold, FeedHold.take, _taken_when_answered),
        "answers to an undoing late",
    ),
    "quiet while somebody is erased": Guard(
        "an erasure counts only if no import has begun meanwhile",
        # Neither who looks at everything, nor who takes the person out of the index, which is
        # refused while a file of the type is being loaded.
        _all_of(
            _replaced(searching, searching._begun_since, lambda *_: iter(())),
            _replaced(feed, feed._make_sure_of_rest, lambda *_: None),
        ),
        "erasure beside a replay",
    ),
    "file from which somebody is erased": Guard(
        "a file that an erasure has just rewritten is not held to be gone",
        _replaced(uploads, uploads._before_erasures, lambda blob: []),
        "erasure beside a replay",
    ),
    "rows of somebody who is erased": Guard(
        "an erasure removes the rows that are kept of large files",
        _replaced(erasing, remove_rows, lambda *_: None),
        "erasures of files in shards",
    ),
    "index after an erasure": Guard(
        "the index forgets who is erased, so that a later upload counts again",
        _replaced(erasing, erasing._forget, lambda *_: None),
        "late file after an erasure",
    ),
    "unattended imports": Guard(
        "the sweep gives what nobody attends to a new task",
        _replaced(caretaker, caretaker.neglected, lambda *_, **__: False),
        "mixed",
    ),
    "lost events": Guard(
        "the sweep takes in what lies in the bucket and not in the ledger",
        _replaced(reconciliation, take_in, lambda *_: None),
        "lost events",
    ),
    "young objects in a whole sweep": Guard(
        "a file that was too young for the sweep that compares everything is compared again",
        _replaced(reconciliation, MARGIN, timedelta(0)),
        "lost event before a whole sweep",
    ),
    "mail that was written": Guard(
        "an event that was mailed is not mailed again, e.g. at a replay",
        _replaced(LedgerTransaction, LedgerTransaction.mail, lambda self, id: None),
        "mail about a rejected file that is replayed",
    ),
    "record of mails in a transaction": Guard(
        "of two events at one moment each knows what people are mailed about the other",
        _overlooking_mailboxes,
        "mails of two files at one moment",
    ),
    "new addresses": Guard(
        "the sweep tells an address that it is mailed from now on",
        _replaced(mailing, mailing._welcome, lambda *_: 0),
        "mails",
    ),
    "announced rows": Guard(
        "rows that were announced are not mailed again with the same errors",
        _replaced(outbox, outbox._announced, lambda ledger, notice: False),
        "mails",
    ),
    "thread of mails": Guard(
        "a mail that the trouble is over answers the one about the trouble",
        _replaced(Mailbox, Mailbox._thread, lambda self, topic: None),
        "mails",
    ),
}
"""Guards by name."""
