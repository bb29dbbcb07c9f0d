"""The record of the mails to a connection: it decides which event is mailed and which is counted.

Example: 500 files are refused in one night. The first 20 mails of the day are sent, at most one an
hour for each type and code. The others are counted, and the digest of the next morning has them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, Self

from shared.core import address_key, from_fields, to_fields

AGAIN = timedelta(hours=1)
"""Time in which a topic and code are mailed once."""

DAILY = 20
"""Largest number of mails to a connection a day, besides the digest."""

DIGEST_AT = time(7)
"""Time of day of the digest, in the connection's zone."""

DIGEST_COVERS = timedelta(days=7)
"""Longest time that a digest covers."""

FORGOTTEN = timedelta(days=30)
"""Time after which trouble that never ended is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Errors of one code that people were mailed about, and that have not ended."""

    topic: str
    """The feed, e.g. `customers` or `bulk_orders`; `names` for files of no known type."""
    code: str
    mail: str | None
    """Id of the first mail of the topic, which begins its thread; None if no mail was sent."""
    at: datetime
    """Time of the last mail."""
    more: int = 0
    """Events since then that were only counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounce:
    """A mail address that the server of its owner refuses."""

    address: str
    since: datetime
    reply: str
    """The server's answer, e.g. `550 5.1.1 No such user`."""


@dataclass(frozen=True, slots=True)
class Posting:
    """A decision about an event: it is mailed."""

    more: int = 0
    """Events with the same topic and code since the last mail about them."""
    thread: str | None = None
    """Id of the mail that began the thread; None if this mail begins it."""
    recovery: bool = False
    """True if this mail says that the trouble of its topic is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """The mails to one connection: the document `mailboxes/{connection}`."""

    day: str = ""
    """Day of the last mail in the connection's zone, e.g. `2026-11-29`."""
    sent: int = 0
    """Mails of that day, without the digest."""
    held: int = 0
    """Events since the last digest that were only counted."""
    digest_until: datetime | None = None
    """End of the time that the last digest covers; None: there was none."""
    troubles: tuple[Trouble, ...] = ()
    bounces: tuple[Bounce, ...] = ()
    welcomes: bool = False
    """True if addresses that are added are welcomed. False in a record of an earlier version."""
    welcomed: tuple[str, ...] = ()
    """Keys of the addresses that were welcomed, or knew before; see `address_key`."""

    def to_document(self) -> dict[str, Any]:
        """Return the fields as stored in Firestore."""
        return to_fields(self)

    @classmethod
    def from_document(cls, data: Mapping[str, Any] | None) -> Self:
        """Return the record of a stored document; an empty one where it cannot be used.

        The document only limits mails, so a broken one must not stop an import. Where there is
        none, nobody has been mailed.
        """
        if data is None:
            return cls(welcomes=True)
        try:
            box = from_fields(cls, data)
            return box if box._usable() else cls()
        except (TypeError, AttributeError):
            return cls()

    def report(
        self, *, mail: str, topic: str, code: str, now: datetime, zone: tzinfo
    ) -> tuple[Posting | None, Self]:
        """Decide about an event with something to do.

        Args:
            mail: id of the mail, if it is sent.
            topic: the feed; see `Trouble`.
            code: code of the error.
            now: the present time.
            zone: the connection's zone, which says when a day begins.

        Returns:
            The posting, or None if the event is only counted; and the changed record.
        """
        box = self._on(now, zone)
        known = next((one for one in box.troubles if (one.topic, one.code) == (topic, code)), None)
        thread = box._thread(topic)
        lately = known is not None and known.mail is not None and now < known.at + AGAIN
        if lately or box.sent >= DAILY:
            counted = known or Trouble(topic=topic, code=code, mail=None, at=now)
            counted = replace(counted, more=counted.more + 1)
            return None, replace(box._with(counted), held=box.held + 1)
        posting = Posting(more=known.more if known else 0, thread=thread)
        told = Trouble(topic=topic, code=code, mail=thread or mail, at=now)
        return posting, replace(box._with(told), sent=box.sent + 1)

    def resolve(
        self, *, topic: str, each: bool, recovery: bool, now: datetime, zone: tzinfo
    ) -> tuple[Posting | None, Self]:
        """Decide about a file that has loaded without errors: trouble of its topic is over.

        Args:
            topic: the feed; see `Trouble`.
            each: True if every such file is mailed.
            recovery: True if the end of trouble is mailed, to people who were mailed the trouble.
            now: the present time.
            zone: the connection's zone.

        Returns:
            As `report`.
        """
        thread = self._thread(topic)
        recovered = recovery and thread is not None
        left = tuple(one for one in self.troubles if one.topic != topic)
        box = replace(self, troubles=left)
        if not each and not recovered:
            return None, box
        box = box._on(now, zone)
        if box.sent >= DAILY:
            return None, replace(box, held=box.held + 1)
        return Posting(thread=thread, recovery=recovered), replace(box, sent=box.sent + 1)

    def welcome(
        self, addresses: Sequence[str], *, now: datetime, zone: tzinfo
    ) -> tuple[tuple[str, ...], Self]:
        """Choose the addresses that get a mail which says that they are mailed from now on.

        Each gets it once. In a record of an earlier version, all present addresses have had it.

        Returns:
            The addresses to tell, as many as the day allows; and the changed record.
        """
        new = {address_key(one): one for one in addresses}
        new = {key: one for key, one in new.items() if key not in self.welcomed}
        if not self.welcomes:
            return (), replace(self, welcomes=True, welcomed=(*self.welcomed, *new))
        box = self._on(now, zone)
        told = list(new)[: max(DAILY - box.sent, 0)]
        if not told:
            return (), self
        box = replace(box, sent=box.sent + len(told), welcomed=(*box.welcomed, *told))
        return tuple(new[key] for key in told), box

    def without(self, topic: str, *, but: Collection[str]) -> Self:
        """Return the record without the troubles of a topic, except those with a code in `but`."""
        left = tuple(one for one in self.troubles if one.topic != topic or one.code in but)
        return replace(self, troubles=left)

    def digest_due(self, now: datetime, zone: tzinfo) -> tuple[datetime, datetime] | None:
        """Return begin and end of the time that the digest covers; None if it is not due.

        Example: on 29 Nov after 07:00, from 28 Nov 07:00 to 29 Nov 07:00. After days on which no
        sweep ran, it covers these, too, but no more than `DIGEST_COVERS`.
        """
        today = now.astimezone(zone).date()
        end = _digest_time(today, zone)
        if end > now or (self.digest_until is not None and self.digest_until >= end):
            return None
        begin = self.digest_until or _digest_time(today - timedelta(days=1), zone)
        return max(begin, end - DIGEST_COVERS), end

    def digested(self, until: datetime) -> Self:
        """Return the record after a digest, or a day without one."""
        return replace(self, digest_until=until, held=0)

    def delivered(
        self, *, accepted: tuple[str, ...], refused: Mapping[str, str], now: datetime
    ) -> Self:
        """Return the record with the addresses that bounce now.

        `refused` is address -> answer of the server. An address that takes a mail bounces no more.
        """
        known = {one.address: one for one in self.bounces if one.address not in accepted}
        for address, reply in refused.items():
            since = known[address].since if address in known else now
            known[address] = Bounce(address=address, since=since, reply=reply)
        return replace(self, bounces=tuple(known.values()))

    def _usable(self) -> bool:
        times = (self.digest_until, *(one.at for one in self.troubles))
        numbers = (self.sent, self.held, *(one.more for one in self.troubles))
        return all(isinstance(one, datetime | None) for one in times) and all(
            isinstance(one, int) for one in numbers
        )

    def _thread(self, topic: str) -> str | None:
        return next((one.mail for one in self.troubles if one.topic == topic and one.mail), None)

    def _with(self, trouble: Trouble) -> Self:
        key = trouble.topic, trouble.code
        left = [one for one in self.troubles if (one.topic, one.code) != key]
        return replace(self, troubles=(*left, trouble))

    def _on(self, now: datetime, zone: tzinfo) -> Self:
        """Return the record on the present day, without forgotten trouble."""
        day = now.astimezone(zone).date().isoformat()
        troubles = tuple(one for one in self.troubles if now < one.at + FORGOTTEN)
        return replace(self, day=day, sent=self.sent if day == self.day else 0, troubles=troubles)


def _digest_time(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, DIGEST_AT, tzinfo=zone)
