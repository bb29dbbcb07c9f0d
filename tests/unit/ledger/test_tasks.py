"""Tasks: what their bodies say, and what is no task of ours."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from shared.core.errors import BadRequest
from shared.ledger.tasks import LoadTask

TASK = LoadTask(
    connection="au", import_id="bulk_orders_20230501T115500Z", generation=2**63 - 1, number=3
)


OF_A_SHARD = replace(TASK, split=f"bulk_orders_20230501T115500Z-{'0a' * 16}", shard=255)


TO_JUDGE = replace(TASK, judge=True)


@pytest.mark.parametrize("task", [TASK, OF_A_SHARD, TO_JUDGE])
def test_round_trip(task: LoadTask) -> None:
    """A body is read as the task it was made of."""
    assert task == LoadTask.parse(task.body())


def test_tasks_of_shards_have_names_of_their_own() -> None:
    """Tasks of the same number have different ids in each shard, and in each splitting."""
    other = f"{TASK.import_id}-{'0b' * 16}"
    tasks = [TASK, OF_A_SHARD, replace(OF_A_SHARD, shard=0), replace(OF_A_SHARD, split=other)]
    tasks.append(TO_JUDGE)

    assert len({task.task_id for task in tasks}) == 5


def test_more_than_is_needed() -> None:
    """What else a body says is not looked at: the bucket is always the deployment's own."""
    body = json.loads(TASK.body()) | {"bucket": "another", "object": "../x"}

    assert LoadTask.parse(json.dumps(body).encode()) == TASK


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"x", b"{", b"null", b"[]", b"5", b'"x"', b"{}", b"\xff\xfe", b"\x00"),
        *(b"[" * 60_000, b'{"a":' * 10_000, b"NaN", b"1" * 60_000),
    ],
    ids=lambda body: repr(body[:10]),
)
def test_what_is_no_task(body: bytes) -> None:
    """What is not the JSON of a task is refused, whatever it is."""
    with pytest.raises(BadRequest):
        LoadTask.parse(body)


@pytest.mark.parametrize(
    "changes",
    [
        *({"connection": value} for value in (None, "", "AU", "..", "a/b", "test", "a" * 40, 5)),
        *({"connection": value} for value in ("__x__", "\ud800", ["au"], {"au": 1}, "au\n")),
        *({"import": value} for value in (None, "", ".", "..", "__x__", "a/b", "x" * 65, 5)),
        *({"import": value} for value in ("\ud800", "a\n", "a b", ["x"], "x~y", "é")),
        *({"generation": value} for value in (None, "1", -1, 2**63, 1.5, True, [1])),
        *({"number": value} for value in (None, "1", -1, 2**63, 1.0, False)),
        *({"split": value} for value in ("", "x", 5, ["x"], "a/b", f"a-{'0' * 33}", "\ud800")),
        *({"shard": value} for value in (None, "1", -1, 2**63, 1.0, False)),
        *({"judge": value} for value in (None, "1", 1, [True])),
    ],
    ids=str,
)
def test_forged_tasks(changes: dict[str, Any]) -> None:
    """A body whose fields no task of ours can have is refused."""
    with pytest.raises(BadRequest):
        LoadTask.read(json.loads(TASK.body()) | changes)
