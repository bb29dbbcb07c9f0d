"""The check before an upload says what the loader says."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.check.verdict import check_file
from shared.core.settings import ConnectionSettings, Deployment
from shared.files.filetype import all_types, example_csv
from shared.files.names import ExportFile, read_name
from shared.ledger.imports import RowCounts
from tests.simulation.pipeline import Pipeline
from tests.simulation.world import Chances, World

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
STATEFUL = {"header.changed", "file.same_content"}
"""Findings that need more than the file."""
GENERATED = 1_000
SETTINGS = ConnectionSettings.from_document(None, connection="main", deployment=Deployment())


LATER = timedelta(days=3650)
"""From the beginning of the simulated world to a time when no file here is of the future."""


class Loader:
    """The pipeline in memory, to which files are sent to be checked."""

    def __init__(self) -> None:
        self.world = World(1, Chances())
        self.world.clock = LATER.total_seconds()
        self.pipeline = Pipeline(
            self.world,
            watch=lambda *_: None,
            sent=lambda _: None,
            cleanup=False,
            # The samples are younger than this world.
            future_tolerance=timedelta(days=1_000),
        )

    def verdict(self, name: str, content: bytes) -> dict[str, Any]:
        """Put a file into test/ and return its ledger document."""
        self.pipeline.upload(f"test/{name}", content)
        self.world.run(self.world.clock + 600.0)
        named = read_name(f"test/{name}")
        assert isinstance(named, ExportFile)
        found = self.pipeline.store.get(f"connections/main/imports/{named.import_id}")
        assert found is not None
        return found.fields


def compare(loader: Loader, path: Path) -> str:
    """Let both judge one file; return what they agree on."""
    said = check_file(path, settings=SETTINGS, progress=lambda _: None)
    loaded = loader.verdict(path.name, path.read_bytes())

    refused = loaded["status"] == "rejected"
    assert refused == (said.error is not None), path
    if said.error is not None:
        error = loaded["error"]
        assert (said.error.code, said.error.message, said.error.line) == (
            error["code"],
            error["message"],
            error.get("line"),
        )
    rows = RowCounts(read=said.read, unchanged=said.good, rejected=said.rejected)
    assert loaded["rows"] == {
        "read": rows.read,
        "loaded": 0,
        "unchanged": rows.unchanged,
        "outdated": 0,
        "rejected": rows.rejected,
        "orphaned": 0,
    }
    own = [said.error.code] if said.error else []
    found = _counts((*loaded.get("rejections", ()), *loaded.get("warnings", ())))
    assert {key: n for key, n in found.items() if key[0] not in {*STATEFUL, *own}} == _counts(
        said.summary
    )
    return str(loaded["status"])


def _counts(findings: Iterable[Mapping[str, Any]]) -> dict[tuple[Any, ...], int]:
    """Return (code, column, severity) -> how often it was found."""
    return {(one["code"], one.get("column"), one["severity"]): one["count"] for one in findings}


def test_samples() -> None:
    """On every sample with a right name, check and loader agree in status, rows and findings."""
    loader = Loader()
    paths = [
        path
        for path in sorted(SAMPLES.rglob("*.csv"))
        if isinstance(read_name(path.name), ExportFile) and path.stat().st_size
    ]

    assert {"checked", "rejected"} == {compare(loader, path) for path in paths}
    assert len(paths) > 20


def test_generated_files(tmp_path: Path) -> None:
    """On a thousand files with faults of every kind they agree as well."""
    loader, chance = Loader(), random.Random(20241120)
    agreed = set()
    for number in range(GENERATED):
        type_ = chance.choice(all_types())
        stamp = f"2024{number // 28 % 12 + 1:02}{number % 28 + 1:02}T{number // 336:02}0000Z"
        path = tmp_path / f"{type_.name}_{stamp}.csv"
        path.write_bytes(_spoilt(example_csv(type_), chance))
        agreed.add(compare(loader, path))
        path.unlink()

    assert {"checked", "rejected"} == agreed


def _spoilt(example: str, chance: random.Random) -> bytes:
    """Return a file made of an example, with some faults in cells, rows, header and bytes."""
    header, *examples = csv.reader(io.StringIO(example))
    rows = [list(chance.choice(examples)) for _ in range(chance.randrange(12))]
    for row in rows:
        if chance.random() < 0.8:
            row[0] = str(chance.randrange(5))
        for _ in range(chance.choice((0, 0, 0, 1, 2))):
            row[chance.randrange(len(row))] = chance.choice(CELLS)
        if chance.random() < 0.05:
            row[:] = chance.choice((row[:-1], [*row, "x"], []))
    if chance.random() < 0.1:
        header = _other_header(header, chance)
    text = io.StringIO()
    delimiter = chance.choice(",,,;\t|")
    csv.writer(text, delimiter=delimiter, lineterminator=chance.choice(("\n", "\r\n"))).writerows(
        [header, *rows]
    )
    content = text.getvalue().encode(chance.choice(("utf-8", "utf-8", "utf-8-sig")))
    if chance.random() < 0.1:
        content = content[: chance.randrange(len(content))]
    if chance.random() < 0.05:
        content = content.replace(b"o", b"\xe9", 1)
    return content or b"\n"


def _other_header(header: Sequence[str], chance: random.Random) -> list[str]:
    names = list(header)
    match chance.randrange(4):
        case 0:
            names.pop(chance.randrange(len(names)))
            names.append("OTHER")
        case 1:
            names[chance.randrange(len(names))] = chance.choice(header)
        case 2:
            names = [name.lower() for name in names]
        case 3:
            names[-1] = ""
    return names


CELLS = (
    *("", " ", "-", "0", "x", "1e5", "1.2E+12", "31/12/2024", "2024-02-30", "2024-12-31", "Yes"),
    *("no", "perhaps", "a@b", "a@example.com", "=1+1", "9" * 30, "12,50", "1,234.50", "Zoë"),
    *("a\nb", '"', "x" * 400, "2024-12-31T24:00:00", "2024-12-31T10:00:00", "NULL", "/", "__x__"),
)


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file(tmp_path: Path, content: bytes) -> None:
    """A file without a byte, or with blank lines alone, is empty; the sweep says so in the end."""
    path = tmp_path / "customers_20241120T010000Z.csv"
    path.write_bytes(content)

    said = check_file(path, settings=SETTINGS, progress=lambda _: None)

    assert said.error is not None
    assert (said.exit_code, said.error.code) == (2, "file.empty")
