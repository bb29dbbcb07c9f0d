"""Files whose names are ahead of their upload, on their way through the pipeline."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.check.cli import main
from shared.core.errors import NotPossible
from shared.scheduling.replay import replay
from tests.integration.conftest import Make
from tests.support.pipeline import Pipeline, customers_csv

TEXT = customers_csv({"PERIDX": "1"})
LOCAL = "customers_20230501T215500Z.csv"
RIGHT = "customers_20230501T115500Z.csv"


@pytest.fixture
def strict(make: Make) -> Pipeline:
    """A pipeline with the tolerance that is usual; its clock stands at noon, UTC."""
    return make(future_tolerance=timedelta(minutes=15))


@pytest.mark.parametrize("folder", ["", "pending/", "test/", "bulk/"])
def test_refused_and_never_loaded(strict: Pipeline, folder: str) -> None:
    """It is refused with the right name, also by a sweep hours later; every real export loads."""
    refused = strict.upload(folder + LOCAL, TEXT)
    assert refused is not None
    assert refused.error is not None
    assert (refused.status, refused.error.code) == ("rejected", "name.in_future")
    assert f"The right name would be {folder}{RIGHT}." in refused.status_text
    report = strict.report(refused.reports.report or "")
    assert report["error"]["code"] == "name.in_future"

    ended = "checked" if folder == "test/" else "loaded"
    strict.upload(folder + RIGHT, TEXT)
    assert [ended] == strict.run_due()
    strict.clock.advance(timedelta(hours=1))
    strict.upload("customers_20230501T125500Z.csv", customers_csv({"PERIDX": "1", "CITY": "Perth"}))
    assert strict.run_due() == ["loaded"]
    assert strict.documents("customers")["1"]["address"]["city"] == "Perth"


def test_the_zone_of_the_connection(strict: Pipeline) -> None:
    """The right name is worked out with the zone of the connection, not of the deployment."""
    strict.database.document("connections/nz").set({"timeZone": "Pacific/Auckland"})

    refused = strict.upload("pending/nz/customers_20230501T235500Z.csv", TEXT)

    assert refused is not None
    assert f"The right name would be pending/nz/{RIGHT}." in refused.status_text


def test_a_replay(make: Make, strict: Pipeline) -> None:
    """A file that was loaded before such names were refused is not loaded again."""
    lax = make()
    lax.upload(LOCAL, TEXT)
    lax.run_due()

    with pytest.raises(NotPossible, match="later than its upload"):
        replay("main", LOCAL.removesuffix(".csv"), strict.services)


def test_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before an upload, the check refuses such a name for now, and --fix-name corrects it."""
    now = datetime.now(UTC)
    ahead = tmp_path / f"customers_{now + timedelta(hours=2):%Y%m%dT%H%M%SZ}.csv"
    ahead.write_text(TEXT)

    assert main([str(ahead), "--json"]) == 2
    (verdict,) = json.loads(capsys.readouterr().out)["files"]
    assert verdict["name"]["code"] == "name.in_future"
    # Etc/GMT-2 is two hours ahead of UTC.
    assert main(["--time-zone", "Etc/GMT-2", "--fix-name", str(ahead)]) == 0
    assert f"customers_{now:%Y%m%dT%H%M%SZ}.csv\n" == capsys.readouterr().out
