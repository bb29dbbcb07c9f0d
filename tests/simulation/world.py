"""Virtual time: who acts when, and what goes wrong between an actor and whatever it calls.

Actors are greenlets: each runs the pipeline's real code until it calls a port. There it may be kept
waiting while others act, be refused, lose the answer, or die. Everything is drawn from one seeded
source of chance, so that a seed is a history.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Any, Literal, TypeVar

from greenlet import getcurrent, greenlet

from shared.core.errors import TryAgain

T = TypeVar("T")

BEGINNING = datetime(2023, 5, 1, tzinfo=UTC)
PAUSES = (3.0, 20.0, 65.0, 130.0, 400.0, 2000.0)
"""Seconds that an actor may be kept waiting: past a beat, a lease, the sweep's patience, a task."""
SLEEPS = (0.05, 0.5, 2.0, 10.0)
STEPS = 60_000
"""Calls of ports after which a history that has not come to rest never will."""

Ending = Literal["done", "again", "killed", "broken"]


class Killed(BaseException):
    """The process of an actor is gone: nothing it does afterwards has any effect."""


class Failure(AssertionError):
    """A promise has been broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chances:
    """How likely each misfortune is, a call unless it says otherwise."""

    kill: float = 0.0
    refuse: float = 0.0
    """The call fails and has no effect."""
    lose: float = 0.0
    """The call has its effect and is said to have failed."""
    pause: float = 0.0
    """The actor is kept waiting for one of `PAUSES`, before the call or after it."""
    status: float = 0.0
    """A single write of a batch is said to have failed, whether it was done or not."""
    latency: float = 0.05
    """Seconds that a call usually takes at most."""
    event_lost: float = 0.0
    """An object's event never comes. A chance an object."""
    event_twice: float = 0.0
    event_late: float = 0.0
    task_lost: float = 0.0
    """A task vanishes from the queue. A chance a task."""
    task_twice: float = 0.0
    task_late: float = 0.0
    task_attempts: int | None = None
    """Attempts after which the queue drops a task; None: it never does."""


@dataclass(eq=False, slots=True)
class Actor:
    """One run of one of the pipeline's functions."""

    name: str
    greenlet: greenlet
    dead: bool = False
    about: dict[str, Any] = field(default_factory=dict)
    """What the checks know about it."""


class World:
    """One history's time, chance and actors."""

    def __init__(self, seed: int, chances: Chances, *, tracing: bool = False) -> None:
        self.rng = random.Random(seed)
        self.chances = chances
        self.clock = 0.0
        self.actor: Actor | None = None
        self.effects = 0
        """Calls so far that were to change something."""
        self.between: dict[int, Callable[[], None]] = {}
        """What happens right before an effect, by the number of that effect, counted from 1."""
        self.after: dict[int, Callable[[], None]] = {}
        """Called right after an effect, before its answer comes."""
        self.trace: list[str] | None = [] if tracing else None
        self._main = getcurrent()
        self._heap: list[tuple[float, int, Actor | Callable[[], None]]] = []
        self._until = float("inf")
        self._number = 0
        self._steps = 0
        self.failure: Failure | None = None

    # -- time -----------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the present time, as the pipeline takes it."""
        return BEGINNING + timedelta(seconds=self.clock)

    def monotonic(self) -> float:
        """Return the present time in seconds."""
        return self.clock

    def sleep(self, _: float = 0.0) -> None:
        """Let an actor wait; how long is the world's to say, since its own chance is not seeded."""
        self._wait(self.rng.choice(SLEEPS))

    def at(self, seconds: float, act: Callable[[], None]) -> None:
        """Have something done at a time, which may be past."""
        self._push(max(seconds, self.clock), act)

    def run(self, until: float = float("inf")) -> None:
        """Let everything happen that happens until then, and let it be then."""
        self._until = until
        while self._heap and self._heap[0][0] <= until and self.failure is None:
            moment, _, item = heappop(self._heap)
            self.clock = max(self.clock, moment)
            if isinstance(item, Actor):
                self._resume(item)
            else:
                item()
        if self.failure is not None:
            raise self.failure
        if until != float("inf"):
            self.clock = max(self.clock, until)

    @property
    def idle(self) -> bool:
        """Whether nothing more will happen by itself."""
        return not self._heap

    # -- actors ---------------------------------------------------------------------------------

    def spawn(
        self, name: str, act: Callable[[], object], ended: Callable[[Ending], None] | None = None
    ) -> None:
        """Let a new actor begin now; `ended` is told how it ended."""
        actor = Actor(name, greenlet(lambda: self._live(actor, act, ended), self._main))
        self._resume(actor)

    def call(
        self,
        what: Callable[[], str],
        do: Callable[[], T],
        *,
        error: Callable[[], Exception],
        writes: bool = False,
    ) -> T:
        """Make one call of a port for the present actor: `do` is its effect, in one moment."""
        actor = self.actor
        if actor is None:
            return do()
        chances, rng = self.chances, self.rng
        self._travel()
        lost, effect = False, 0
        if chances.refuse and rng.random() < chances.refuse:
            self.say(lambda: f"{what()} is refused")
            raise error()
        if writes:
            self.effects += 1
            effect = self.effects
            if effect in self.between:
                self.between.pop(effect)()
            lost = bool(chances.lose) and rng.random() < chances.lose
        self.say(lambda: what() + (", and its answer gets lost" if lost else ""))
        result = do()
        if effect in self.after:
            self.after.pop(effect)()
        if writes or rng.random() < 0.1:
            self._travel()
        if lost:
            raise error()
        return result

    def die(self) -> None:
        """Let the present actor die."""
        assert self.actor is not None
        self.say(lambda: "dies")
        self.actor.dead = True
        raise Killed

    def stall(self, seconds: float) -> None:
        """Keep the present actor waiting; what it was about to do, it does afterwards."""
        self.say(lambda: f"stalls for {seconds:.0f} s")
        self._wait(seconds)

    def say(self, what: Callable[[], str]) -> None:
        """Write a line of the trace, if one is wanted."""
        if self.trace is not None:
            who = self.actor.name if self.actor is not None else "-"
            self.trace.append(f"{self.now():%d %H:%M:%S.%f}"[:-3] + f"  {who:<28} {what()}")

    def fail(self, message: str) -> None:
        """Note that a promise has been broken; the history ends there."""
        if self.failure is None:
            self.failure = Failure(message)
            self.say(lambda: f"BROKEN: {message}")

    # -- inside ---------------------------------------------------------------------------------

    def _travel(self) -> None:
        """Let time pass, and others act."""
        chances, rng = self.chances, self.rng
        assert self.actor is not None
        if self.actor.dead:
            raise Killed
        if chances.pause and rng.random() < chances.pause:
            self._wait(rng.choice(PAUSES))
        else:
            self._wait(rng.random() * chances.latency)
        if chances.kill and rng.random() < chances.kill:
            self.die()

    def _wait(self, seconds: float) -> None:
        self._steps += 1
        if self._steps > STEPS:
            self.fail("The history does not come to rest.")
        wake = self.clock + seconds
        actor = self.actor
        if actor is None:
            raise RuntimeError("only actors wait")
        if (
            self.failure is not None
            or (self._heap and self._heap[0][0] < wake)
            or (wake > self._until)
        ):
            self._push(wake, actor)
            self._main.switch()
            if actor.dead:
                raise Killed
        else:
            self.clock = wake

    def _push(self, moment: float, item: Actor | Callable[[], None]) -> None:
        self._number += 1
        heappush(self._heap, (moment, self._number, item))

    def _resume(self, actor: Actor) -> None:
        before = self.actor
        self.actor = actor
        actor.greenlet.switch()
        self.actor = before

    def _live(
        self, actor: Actor, act: Callable[[], object], ended: Callable[[Ending], None] | None
    ) -> None:
        ending: Ending = "done"
        try:
            result = act()
            self.say(lambda: f"ends: {result}")
        except TryAgain as error:
            text = str(error)
            self.say(lambda: f"must come back: {text}")
            ending = "again"
        except Killed:
            ending = "killed"
        except Exception:
            self.fail(f"{actor.name} raised what nobody foresaw:\n{traceback.format_exc()}")
            ending = "broken"
        if ended is not None:
            ended(ending)
