"""How a task is named, what it carries, and how it gets into the Cloud Tasks queue."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from shared.core import BadRequest
from shared.files import is_connection
from shared.ledger.imports import Import

if TYPE_CHECKING:
    from shared.ledger.shards import Shard


_IMPORT_ID = re.compile(r"(?!__)[A-Za-z0-9_]{1,64}")
"""Wider than the ids of export files, and yet any text that fits it can be a document's id."""

_SPLIT_ID = re.compile(r"[A-Za-z0-9_]{1,64}-[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadTask:
    """What a task asks of the load function."""

    connection: str
    import_id: str
    generation: int
    number: int
    """Which of the import's tasks it is, or of the shard's, counted from 1."""
    split: str | None = None
    """Id of the splitting that its shard belongs to; None where it is about the whole import."""
    shard: int = 0
    """Number of the shard."""

    @property
    def task_id(self) -> str:
        """Id of the task: unique for ever, and hashed because names that begin alike are slow."""
        text = f"{self.connection}/{self.import_id}/{self.generation}/{self.number}"
        if self.split is not None:
            text += f"/{self.split}/{self.shard}"
        return hashlib.sha256(text.encode()).hexdigest()[:40]

    @classmethod
    def of(cls, import_: Import, *, number: int) -> LoadTask:
        """Return the task with that number of an import."""
        return cls(
            connection=import_.connection,
            import_id=import_.import_id,
            generation=import_.generation,
            number=number,
        )

    @classmethod
    def of_shard(cls, import_: Import, shard: Shard) -> LoadTask:
        """Return the task that will work on a shard of an import."""
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
        """Read the body of a task.

        Raises:
            BadRequest: it is not one of ours.
        """
        try:
            return cls.read(json.loads(body))
        except (ValueError, RecursionError):
            raise BadRequest("The body is not JSON.") from None

    @classmethod
    def read(cls, body: object) -> LoadTask:
        """Read the decoded JSON body of a task.

        Raises:
            BadRequest: it is not one of ours.
        """
        if not isinstance(body, Mapping):
            raise BadRequest("The body is not a JSON object.")
        connection, import_id = body.get("connection"), body.get("import")
        numbers = [body.get("generation"), body.get("number"), body.get("shard", 0)]
        split = body.get("split")
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
        return cls(
            connection=connection,
            import_id=import_id,
            generation=int(str(numbers[0])),
            number=int(str(numbers[1])),
            split=split,
            shard=int(str(numbers[2])),
        )

    def body(self) -> bytes:
        """Return the JSON that `read` reads."""
        body: dict[str, object] = {
            "connection": self.connection,
            "import": self.import_id,
            "generation": self.generation,
            "number": self.number,
        }
        if self.split is not None:
            body |= {"split": self.split, "shard": self.shard}
        return json.dumps(body).encode()


class Queue(Protocol):
    """Where tasks go."""

    def create(self, task: LoadTask, *, at: datetime) -> None:
        """Make sure the task exists, or has existed, and starts no earlier than `at`.

        Raises:
            TryAgain: the queue could not be reached.
        """
