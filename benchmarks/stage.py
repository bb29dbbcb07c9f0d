"""Stage of the measurements: a bucket and a ledger on this machine, a sink, files and processes."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import exports, sink
from benchmarks.load import Order, Took
from benchmarks.pipeline import BUCKET

_WARM_ROWS = 200


@dataclass(slots=True)
class Stage:
    """Everything that a measurement needs."""

    folder: Path
    sink: str
    ledger: str
    bucket: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def file(self, type_: str, rows: int, seed: int, *, bad: float = exports.BAD) -> Path:
        """Return an export file, made when it is first asked for."""
        path = self.folder / f"{type_}_{rows}_{seed}_{bad}.csv"
        if not path.exists():
            exports.write(path, type_, rows, seed=seed, bad=bad)
        return path

    def load(self, way: str, type_: str, rows: int, seed: int) -> Took:
        """Load a file in a process of its own."""
        return self.load_file(way, type_, self.file(type_, rows, seed), seed)

    def load_file(
        self, way: str, type_: str, path: Path, seed: int, *, before: Path | None = None
    ) -> Took:
        """Load a given file in a process of its own, one day after another one if that is given."""
        order = Order(
            way=way,
            type=type_,
            path=str(path),
            warm=str(self.file(type_, _WARM_ROWS, seed)),
            before=str(before) if before else None,
            **self.places(),
        )
        return Took(**self.ask("benchmarks.load", asdict(order)))

    def ask(self, module: str, order: Mapping[str, Any]) -> Any:
        """Run a module in a process of its own, with an order, and return its answer."""
        command = [sys.executable, "-m", module, json.dumps(order)]
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        if done.returncode:
            raise RuntimeError(f"{module} could not do {order}:\n{done.stderr[-2000:]}")
        return json.loads(done.stdout)

    def places(self) -> dict[str, str]:
        """Return where everything is, as `Pipeline` takes it, and a project of its own."""
        project = f"bench-{next(self._numbers)}"
        return {
            "project": project,
            "sink": self.sink,
            "ledger": self.ledger,
            "bucket": self.bucket,
        }


@contextmanager
def _server(arguments: Sequence[str]) -> Iterator[str]:
    """Run one of the local servers; gives the first line that it prints."""
    command = [sys.executable, "-m", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline()
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def ready(folder: Path) -> Iterator[Stage]:
    """Set the stage in a folder."""
    with ExitStack() as stack:
        address = stack.enter_context(sink.running())
        ledger = stack.enter_context(
            _server(["local.emulators.firestore", "--port", "0", "--data", str(folder / "ledger")])
        )
        storage = ["local.emulators.storage", "--port", "0", "--data", str(folder / "bucket")]
        bucket = stack.enter_context(_server([*storage, "--bucket", BUCKET]))
        yield Stage(
            folder,
            address,
            ledger.removeprefix("Firestore listens on ").partition(",")[0],
            bucket.split()[-1],
        )
