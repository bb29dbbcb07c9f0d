"""Start of an import: arrivals, pairing, claims, replays."""

from __future__ import annotations

from shared.scheduling.arrivals import arrival, is_newer, lying_there
from shared.scheduling.claims import NotNow, claim, give_up, split_again
from shared.scheduling.intake import take_in, take_in_event
from shared.scheduling.planning import (
    enqueue,
    enqueue_judging,
    enqueue_shard,
    enqueue_shards,
    is_unjudged,
    plan_task,
)
from shared.scheduling.refusals import take_note
from shared.scheduling.replay import release, replay

__all__ = [
    "NotNow",
    "arrival",
    "claim",
    "enqueue",
    "enqueue_judging",
    "enqueue_shard",
    "enqueue_shards",
    "give_up",
    "is_newer",
    "is_unjudged",
    "lying_there",
    "plan_task",
    "release",
    "replay",
    "split_again",
    "take_in",
    "take_in_event",
    "take_note",
]
