"""Prints each change of an import in the ledger as a line in the terminal."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from google.cloud import firestore

from shared.ledger import Import


class Screen:
    """Writes lines with the seconds since the start, wrapped and, in a terminal, coloured."""

    WIDTH = 100
    """Width if the output is not a terminal, and the smallest width in a terminal."""

    _COLOURS: Mapping[str, str] = {
        "good": "32",
        "bad": "31",
        "warn": "33",
        "news": "36",
        "dim": "2",
        "bold": "1",
    }

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lock = threading.Lock()
        # https://no-color.org
        self._colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        columns = shutil.get_terminal_size((self.WIDTH, 24)).columns if sys.stdout.isatty() else 0
        self._width = max(self.WIDTH, min(columns, 160))

    def paint(self, text: str, colour: str) -> str:
        """Return the text in a colour if colours are on."""
        return f"\033[{self._COLOURS[colour]}m{text}\033[0m" if self._colour else text

    def line(self, text: str = "") -> None:
        """Write a line unchanged."""
        with self._lock:
            print(text, flush=True)

    def head(self, text: str, explanation: str) -> None:
        """Write a heading and a paragraph that says what is about to happen."""
        self.line(f"\n{self.paint(text, 'bold')}\n{self.paint(self.wrap(explanation, 2), 'dim')}")

    def say(self, text: str, *, colours: Mapping[str, str] | None = None, indent: int = 9) -> None:
        """Write a sentence with the time before it; its further lines begin at `indent`.

        `colours` maps words of the first line to their colours.
        """
        clock = f"{time.monotonic() - self._began:5.1f} s"
        first, *rest = self.wrap(f"{clock}  {text}", 0, indent).splitlines()
        for word, colour in (colours or {}).items():
            first = first.replace(word, self.paint(word, colour), 1)
        self.line("\n".join([first.replace(clock, self.paint(clock, "dim"), 1), *rest]))

    def wrap(self, text: str, indent: int, further: int | None = None) -> str:
        """Break a text into lines, the first with one indent and the others with another."""
        return textwrap.fill(
            text,
            self._width,
            initial_indent=" " * indent,
            subsequent_indent=" " * (indent if further is None else further),
            drop_whitespace=True,
            break_on_hyphens=False,
            replace_whitespace=False,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An upload to follow."""

    connection: str
    import_id: str
    at: datetime
    """Start of the upload; imports of earlier uploads of the same name do not count."""


_NAME = 33
"""Width of the name of an import in a line."""
_SENTENCE = 9 + _NAME + 1
"""Column where the sentence about an import begins."""


class Timeline:
    """Reads the ledger a few times a second and prints every change of status.

    Raises:
        Exception: in `wait`, the error that prevented reading the ledger.
    """

    _EVERY_SECONDS = 0.2
    _COLOURS: Mapping[str, str] = {
        "loaded": "good",
        "loaded_with_rejects": "warn",
        "checked": "good",
        "rejected": "bad",
        "failed": "bad",
        "overdue": "bad",
        "waiting": "warn",
        "blocked": "warn",
    }

    def __init__(self, database: firestore.Client, screen: Screen) -> None:
        self._database = database
        self._screen = screen
        self._told: dict[tuple[str, str, int], int] = {}
        self._percent: dict[tuple[str, str, int], int] = {}
        self._imports: dict[tuple[str, str], Import] = {}
        self._failure: Exception | None = None
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="timeline", daemon=True)

    def __enter__(self) -> Self:
        for import_ in self._read():
            self._told[import_.connection, import_.import_id, import_.generation] = len(
                import_.history
            )
            self._imports[import_.connection, import_.import_id] = import_
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopping.set()
        self._thread.join()

    @property
    def imports(self) -> Sequence[Import]:
        """Imports, each as last seen."""
        with self._changed:
            return list(self._imports.values())

    def import_of(self, upload: Upload) -> Import | None:
        """Return the import of an upload as last seen; None while there is none."""
        import_ = self._imports.get((upload.connection, upload.import_id))
        return import_ if import_ is not None and import_.uploaded_at >= upload.at else None

    def wait(
        self, uploads: Sequence[Upload], condition: Callable[[Import], bool], *, seconds: float
    ) -> bool:
        """Wait until the imports of all these uploads are as asked; False when the time is up."""

        def reached() -> bool:
            if self._failure is not None:
                raise self._failure
            return all(
                import_ is not None and condition(import_)
                for import_ in map(self.import_of, uploads)
            )

        with self._changed:
            return self._changed.wait_for(reached, timeout=seconds)

    def _run(self) -> None:
        while not self._stopping.wait(self._EVERY_SECONDS):
            try:
                seen = self._read()
            except Exception as error:  # raised in `wait`
                with self._changed:
                    self._failure = error
                    self._changed.notify_all()
                return
            news = [line for import_ in seen for line in self._news(import_)]
            for _, text, colours in sorted(news, key=lambda line: line[0]):
                self._screen.say(text, colours=colours, indent=_SENTENCE)
            with self._changed:
                self._imports = {(one.connection, one.import_id): one for one in seen}
                self._changed.notify_all()

    def _read(self) -> list[Import]:
        return [
            Import.from_document(
                connection=snapshot.reference.parent.parent.id,
                import_id=snapshot.id,
                data=snapshot.to_dict() or {},
            )
            for snapshot in self._database.collection_group("imports").stream()
        ]

    def _news(self, import_: Import) -> Iterator[tuple[datetime, str, Mapping[str, str]]]:
        """Yield the changes of an import since it was last read, with their times.

        Several changes at once make one line: the statuses in order, and the sentence of the last
        one.
        """
        key = (import_.connection, import_.import_id, import_.generation)
        name = f"{import_.connection}/{import_.import_id}"
        if news := import_.history[self._told.get(key, 0) :]:
            way = " → ".join(entry.status for entry in news)
            status = news[-1].status
            # Includes the characters around the status, which can be part of another status.
            colours = {f" {status}: ": self._COLOURS.get(status, "news")}
            yield news[-1].at, f"{name:<{_NAME}} {way}: {news[-1].text}", colours
        self._told[key] = len(import_.history)
        percent = import_.progress.percent
        if import_.status == "loading" and self._percent.get(key, 0) < percent < 100:
            self._percent[key] = percent
            bar = "█" * (percent // 5)
            yield import_.history[-1].at, f"{name:<{_NAME}} {bar:·<20} {percent} %", {}
