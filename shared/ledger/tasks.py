"""Tasks for the load function: their ids, their bodies, and the port to the queue."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from shared.core import BadRequest
from shared.files import is_connection
from shared.ledger.imports import Import

if TYPE_CHECKING:
    from shared.ledger.shards import Shard


_IMPORT_ID = re.compile(r"(?!__)[A-Za-z0-9_]{1,64}")
"""Pattern of import ids in tasks. It is wider than the ids of export files. Every text that matches
is a valid document id."""

_SPLIT_ID = re.compile(r"[A-Za-z0-9_]{1,64}-[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadTask:
    """One task: load an import, or one shard of an import, or judge a file that waits."""

    connection: str
    import_id: str
    generation: int
    number: int
    """Number of the task among those of the import, or of the shard, counted from 1."""
    split: str | None = None
    """Id of the shard's splitting; None if the task is for the whole import."""
    shard: int = 0
    """Number of the shard."""
    judge: bool = False
    """True to judge the file before its time, and to load nothing of it. `number` is then the
    number of load tasks made so far."""

    @property
    def task_id(self) -> str:
        """Id of the task, 40 hexadecimal digits.

        The id is never used again. It is a hash, because Cloud Tasks is slow with ids that begin
        with the same letters.
        """
        text = f"{self.connection}/{self.import_id}/{self.generation}/{self.number}"
        if self.split is not None:
            text += f"/{self.split}/{self.shard}"
        if self.judge:
            text += "/judge"
        return hashlib.sha256(text.encode()).hexdigest()[:40]

    @classmethod
    def of(cls, import_: Import, *, number: int) -> LoadTask:
        """Return the task of an import with this number."""
        return cls(
            connection=import_.connection,
            import_id=import_.import_id,
            generation=import_.generation,
            number=number,
        )

    @classmethod
    def to_judge(cls, import_: Import) -> LoadTask:
        """Return the task that judges the file of an import that waits."""
        return replace(cls.of(import_, number=import_.task_number), judge=True)

    @classmethod
    def of_shard(cls, import_: Import, shard: Shard) -> LoadTask:
        """Return the next task of a shard."""
        return cls(
            connection=import_.connection,
            import_id=import_.import_id,
            generation=import_.generation,
            number=shard.task_number,
            split=shard.split,
            shard=shard.number,
        )

    @classmethod
    def parse(cls, body: bytes) -> LoadTask:
        """Return the task of a request's body.

        Raises:
            BadRequest: the body is not the JSON of a task.
        """
        try:
            return cls.read(json.loads(body))
        except (ValueError, RecursionError):
            raise BadRequest("The body is not JSON.") from None

    @classmethod
    def read(cls, body: object) -> LoadTask:
        """Return the task of a decoded JSON body, e.g. `{"connection": "au", "import": …}`.

        Raises:
            BadRequest: the body is not that of a task.
        """
        if not isinstance(body, Mapping):
            raise BadRequest("The body is not a JSON object.")
        connection, import_id = body.get("connection"), body.get("import")
        numbers = [body.get("generation"), body.get("number"), body.get("shard", 0)]
        split, judge = body.get("split"), body.get("judge", False)
        if not isinstance(connection, str) or not is_connection(connection):
            raise BadRequest("The body names no connection.")
        if not isinstance(import_id, str) or not _IMPORT_ID.fullmatch(import_id):
            raise BadRequest("The body names no import of an export file.")
        if not all(
            isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**63
            for number in numbers
        ):
            raise BadRequest("The body needs a generation and a number.")
        if split is not None and not (isinstance(split, str) and _SPLIT_ID.fullmatch(split)):
            raise BadRequest("The body names no splitting of a file.")
        if not isinstance(judge, bool):
            raise BadRequest("The body does not say whether the file is only judged.")
        return cls(
            connection=connection,
            import_id=import_id,
            generation=int(str(numbers[0])),
            number=int(str(numbers[1])),
            split=split,
            shard=int(str(numbers[2])),
            judge=judge,
        )

    def body(self) -> bytes:
        """Return the task as JSON, which `parse` reads."""
        body: dict[str, object] = {
            "connection": self.connection,
            "import": self.import_id,
            "generation": self.generation,
            "number": self.number,
        }
        if self.split is not None:
            body |= {"split": self.split, "shard": self.shard}
        if self.judge:
            body["judge"] = True
        return json.dumps(body).encode()


class Queue(Protocol):
    """The port to the queue of tasks."""

    def create(self, task: LoadTask, *, at: datetime) -> None:
        """Create the task, to start no earlier than `at`, unless it exists or has existed.

        Raises:
            TryAgain: the queue could not be reached.
        """
