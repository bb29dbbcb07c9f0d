"""When an import may start: arrivals, pairing, beginning, replays."""

from __future__ import annotations

from shared.scheduling.beginning import EARLY, Begun, Rests, begin, begin_within
from shared.scheduling.intake import arrival, is_newer, lying_there, take_in, take_in_event
from shared.scheduling.planning import enqueue, plan_task
from shared.scheduling.replay import release, replay

__all__ = [
    "EARLY",
    "Begun",
    "Rests",
    "arrival",
    "begin",
    "begin_within",
    "enqueue",
    "is_newer",
    "lying_there",
    "plan_task",
    "release",
    "replay",
    "take_in",
    "take_in_event",
]
