"""Files of one type that wait in line: each costs few tasks, and the oldest export starts first."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.core.errors import TryAgain
from shared.ledger.lease import Claimed
from shared.ledger.tasks import LoadTask
from shared.loading.worker import make_attempt
from shared.scheduling.claims import claim
from tests.support.pipeline import Pipeline, customers_csv, orders_csv

FILES = 20


def names(type_: str) -> list[str]:
    """Name files of one type, the oldest first."""
    return [f"{type_}_20230501T11{minute:02}00Z" for minute in range(10, 10 + FILES)]


def rewards_csv() -> str:
    """Write a rewards file of one account."""
    return "PERIDX,REWARD_ACCOUNT_ID,TIER_NAME\r\n1,7,Gold\r\n"


def hold_first(pipeline: Pipeline, first: str, *others: str) -> tuple[Claimed, dict[str, LoadTask]]:
    """Upload files, begin the first one and let the others find it at work; returns their tasks."""
    for name in (first, *others):
        pipeline.upload(f"{name}.csv", customers_csv({"PERIDX": name[-7:]}))
    tasks = {task.import_id: task for task in pipeline.queue.due(pipeline.clock())}
    begun = claim(tasks[first], pipeline.services)
    assert isinstance(begun, Claimed)
    for name in others:
        pipeline.work(tasks[name])
    return begun, tasks


def run_while_busy(pipeline: Pipeline) -> list[str]:
    """Run all tasks that are due, each first of a round on a worker that the others find at work;
    returns the imports in the order in which they ended."""
    ended: list[str] = []
    while due := pipeline.queue.due(pipeline.clock()):
        begun = [(task, claim(task, pipeline.services)) for task in due]
        for task, one in begun:
            if isinstance(one, Claimed):
                assert make_attempt(one, pipeline.services) == "loaded"
                ended.append(task.import_id)
            elif one.import_ is not None and one.why != "blocked":
                pipeline.work(task)
    return ended


def test_one_after_the_other(pipeline: Pipeline) -> None:
    """Of many files that arrive at once each costs two tasks, and after the first one the oldest
    is always the next."""
    for number, name in enumerate(names("customers")):
        pipeline.upload(f"{name}.csv", customers_csv({"PERIDX": str(number)}))

    ended = run_while_busy(pipeline)

    assert sorted(ended) == names("customers")
    assert ended[1:] == sorted(ended[1:])
    assert len(pipeline.queue.seen) == 2 * FILES - 1


def test_sentence(pipeline: Pipeline) -> None:
    """A file in line says so, and not that it waits for a file that has ended long ago."""
    first, second, third = names("customers")[:3]
    begun, _ = hold_first(pipeline, first, second, third)
    make_attempt(begun, pipeline.services)

    waiting = pipeline.import_(third)
    assert (waiting.status, waiting.blocked_by) == ("blocked", first)
    assert waiting.status_text.startswith("Waiting in line")
    assert pipeline.import_(second).status == "scheduled"


def test_orders_of_one_customers_file(pipeline: Pipeline) -> None:
    """Many orders files of one customers file cost three tasks each at most to be loaded, and one
    that judges the file when it arrives."""
    customers = "customers_20230501T110000Z"
    pipeline.upload(f"{customers}.csv", customers_csv({"PERIDX": "1"}))
    (held,) = pipeline.queue.due(pipeline.clock())
    for number, name in enumerate(names("orders")):
        pipeline.upload(f"{name}.csv", orders_csv({"ORDER_NUMBER": f"D{number}"}))
    pipeline.clock.advance("12:30")
    assert {"blocked"} == set(pipeline.run_due())
    pipeline.work(held)

    ended = run_while_busy(pipeline)

    assert sorted(ended) == names("orders")
    assert ended[1:] == sorted(ended[1:])
    assert len(pipeline.queue.seen) <= 1 + 3 * FILES
    pipeline.judge()
    assert sorted(task.import_id for task in pipeline.queue.judged) == names("orders")


def test_rewards_let_earlier_customers_pass(pipeline: Pipeline) -> None:
    """Rewards that found customers at work start when the customers before them have ended."""
    for number, name in enumerate(names("customers")):
        pipeline.upload(f"{name}.csv", customers_csv({"PERIDX": str(number)}))
    pipeline.clock.advance(timedelta(seconds=1))  # so that a customers file is first
    pipeline.upload("rewards_20230501T115500Z.csv", rewards_csv())

    ended = run_while_busy(pipeline)

    assert sorted(ended[:-1]) == names("customers")
    assert ended[-1] == "rewards_20230501T115500Z"
    assert len(pipeline.queue.seen) <= 2 * FILES + 2


def test_woken_again(pipeline: Pipeline) -> None:
    """A wake-up whose task could not be created is repeated with the follow-up of the end."""
    first, second, third = names("customers")[:3]
    begun, tasks = hold_first(pipeline, first, second, third)
    pipeline.queue.broken = True
    with pytest.raises(TryAgain):
        make_attempt(begun, pipeline.services)
    pipeline.queue.broken = False
    pipeline.work(tasks[first])

    assert [task.import_id for task in pipeline.queue.due(pipeline.clock())] == [second]


def test_a_line_that_nobody_wakes(pipeline: Pipeline) -> None:
    """The sweep gives a task to one file of a line that has come to rest, not to all of them."""
    for number, name in enumerate(names("customers")):
        pipeline.upload(f"{name}.csv", customers_csv({"PERIDX": str(number)}))
    first, *others = pipeline.queue.due(pipeline.clock())
    begun = claim(first, pipeline.services)
    assert isinstance(begun, Claimed)
    for task in others:
        pipeline.work(task)
    pipeline.clock.advance(timedelta(hours=1))  # the worker has died

    revived = pipeline.sweep()["revived"]

    assert revived["blocked"] == 1
