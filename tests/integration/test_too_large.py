"""Orders that no document can hold are refused while the file is planned, in bounded memory."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import pytest

from shared.check.verdict import check_file
from shared.core.settings import ConnectionSettings, Deployment
from shared.files.filetype import file_type
from shared.parsing.examination import Examination, Watcher
from tests.integration.conftest import Make
from tests.support.pipeline import customers_csv

SETTINGS = ConnectionSettings.from_document(
    {"rejectLimit": 1}, connection="main", deployment=Deployment()
)
NAME = "orders_20230501T115500Z"
HEAD = "PERIDX,ORDER_NUMBER,ORDER_DATE,SKU,PRODUCT_NAME,QUANTITY,PRICE,VALUE,LINE_ID\r\n"


def lines(key: str, count: int, *, name: str = "Tee") -> str:
    """Write the lines of an order."""
    return "".join(f"1,{key},2023-04-24,S{n},{name},1,5.00,5.00,{n}\r\n" for n in range(count))


@pytest.mark.parametrize("settings", [{}, {"shard_bytes": 500_000}], ids=["whole", "in parts"])
def test_refused(make: Make, settings: dict[str, int], tmp_path: Path) -> None:
    """All rows of an order of more than 1 MiB are rejected, and every other order is loaded."""
    text = HEAD + lines("D1", 3) + lines("0", 1_200, name="x" * 900) + lines("D2", 2)
    text += lines("D3", 3_000)
    pipeline = make(reject_limit=0.5, **settings)
    pipeline.upload("customers_20230501T115400Z.csv", customers_csv({"PERIDX": "1"}))
    pipeline.run_due()
    pipeline.upload(f"{NAME}.csv", text)
    pipeline.clock.advance("13:00")
    for _ in range(12):
        pipeline.run_due()
    path = tmp_path / f"{NAME}.csv"
    path.write_text(text, newline="")

    import_ = pipeline.import_(NAME)
    checked = check_file(path, settings=SETTINGS, progress=lambda _: None)

    assert (
        import_.status,
        import_.rows.loaded,
        import_.rows.rejected,
    ) == ("loaded_with_rejects", 3_005, 1_200)
    assert {key: order["lineCount"] for key, order in pipeline.documents("orders").items()} == {
        "D1": 3,
        "D2": 2,
        "D3": 3_000,
    }
    rejected = pipeline.rejected(f"rejected/{NAME}.rejected.csv")
    assert {("0", "row.too_large")} == {(row["ORDER_NUMBER"], row["code"]) for row in rejected}
    assert "lines 5, 6, 7, 8, 9 and 1,195 more" in rejected[0]["reason"]
    assert (checked.rejected, checked.documents) == (1_200, 3)


def peak(text: str) -> int:
    """Return the most memory that it takes to judge a file and to make its documents."""
    content = text.encode()
    found = Examination(
        file_type("orders"),
        SETTINGS,
        open=lambda: io.BytesIO(content),
        size=len(content),
        watcher=Watcher(),
    )
    tracemalloc.start()
    try:
        plan = found.judge()
        made = sum(len(block) for block in found.documents(plan))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert made
    return most


def test_one_number_for_all_orders_takes_no_more_memory() -> None:
    """A file all of whose rows but one have one ORDER_NUMBER needs little more memory than others
    of its size."""
    count = 60_000
    sound = HEAD + "".join(lines(f"{n:05}", 1) for n in range(count))
    same = HEAD + lines("00000", count) + lines("D1", 1)
    peak(HEAD + lines("D1", 100))

    assert peak(same) <= 1.2 * peak(sound)
