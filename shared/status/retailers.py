"""State of each retailer: the worst of its parts, in a word and a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from shared.core import count
from shared.ledger import Import
from shared.mail import FAILED as MAIL_FAILED
from shared.reporting import FEED_STOPPED, OUTDATED, REFUSED_NAME, FeedState, Tone
from shared.status.needs import MAIL_BOUNCES, MAIL_DELAYED, Need

_TONES: tuple[Tone, ...] = ("bad", "warn", "busy", "good", "calm")
"""The worst first."""

_WORDS: dict[str, tuple[str, str]] = {
    "settings": ("setting has an error", "settings have errors"),
    "failed": ("import failed", "imports failed"),
    "overdue": ("file is overdue", "files are overdue"),
    FEED_STOPPED: ("feed has stopped", "feeds have stopped"),
    "rejected": ("file was rejected", "files were rejected"),
    REFUSED_NAME: ("name was refused", "names were refused"),
    MAIL_FAILED: ("mail was not delivered", "mails were not delivered"),
    MAIL_BOUNCES: ("address takes no mail", "addresses take no mail"),
    MAIL_DELAYED: ("mail is late", "mails are late"),
    OUTDATED: ("feed gets old data", "feeds get old data"),
}
_SIGNS: dict[Tone, str] = {"bad": "!", "warn": "△", "busy": "▸", "good": "✓", "calm": "–"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Retailer:
    """One connection, as the first screen shows it."""

    connection: str
    tone: Tone
    reasons: tuple[str, ...]
    """The reasons for the tone, the worst first; e.g. `2 files were rejected`."""
    feeds: tuple[FeedState, ...]
    waiting: tuple[Import, ...]
    """Files that wait for another one, or for their time."""
    to_fix: int
    """Rejected rows of the last file of each type."""

    @property
    def sign(self) -> str:
        """One character for the tone."""
        return _SIGNS[self.tone]


def retailers_of(
    connections: Sequence[str],
    feeds: Sequence[FeedState],
    needs: Sequence[Need],
    under_way: Sequence[Import],
) -> tuple[Retailer, ...]:
    """Return the state of each connection, the worst first, those of one tone by name."""
    retailers = [
        _retailer(
            name,
            tuple(feed for feed in feeds if feed.connection == name),
            [need for need in needs if need.connection == name],
            [one for one in under_way if one.connection == name],
        )
        for name in connections
    ]
    return tuple(sorted(retailers, key=lambda one: (_TONES.index(one.tone), one.connection)))


def tone_of(feed: FeedState) -> Tone:
    """Return the tone of one feed: only a cadence that is set makes it bad."""
    if feed.missing or (feed.behind and not feed.guessed):
        return "bad"
    if feed.behind or feed.rejected:
        return "warn"
    return "good" if feed.good_at else "calm"


def _retailer(
    name: str, feeds: tuple[FeedState, ...], needs: Sequence[Need], under_way: Sequence[Import]
) -> Retailer:
    to_fix = sum(feed.rejected for feed in feeds)
    found: list[tuple[Tone, str]] = [("bad", text) for text in _in_words(needs)]
    stopped = {need.type for need in needs if need.kind == FEED_STOPPED}
    for feed in feeds:
        if feed.behind and feed.type not in stopped:
            usual = "than usual" if feed.guessed else "than its cadence"
            tone: Tone = "warn" if feed.guessed else "bad"
            found.append((tone, f"no good {feed.type} file for longer {usual}"))
    if to_fix:
        found.append(("warn", f"{count(to_fix, 'row')} to fix"))
    if under_way:
        found.append(("busy", f"{count(len(under_way), 'file')} under way"))
    if not found:
        good = any(feed.good_at for feed in feeds)
        found.append(("good", "all is well") if good else ("calm", "no file has been loaded yet"))
    found.sort(key=lambda one: _TONES.index(one[0]))
    return Retailer(
        connection=name,
        tone=found[0][0],
        reasons=tuple(text for _, text in found),
        feeds=feeds,
        waiting=tuple(one for one in under_way if one.status != "loading"),
        to_fix=to_fix,
    )


def _in_words(needs: Sequence[Need]) -> list[str]:
    """Return needs as phrases: those of a kind are one, e.g. `2 files were rejected`."""
    numbers: Counter[str] = Counter()
    for need in needs:
        numbers[need.kind if need.kind in _WORDS else ""] += len(need.files) or 1
    others = numbers.pop("", 0)
    texts = [count(number, *_WORDS[kind]) for kind, number in numbers.items()]
    return [*texts, *([count(others, "other alert")] if others else [])]
