"""Sentences about files that were judged while they wait."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.ledger.imports import Judged
from shared.reporting import sentences
from tests.support.imports import at, make_import


@pytest.mark.parametrize(
    ("read", "rejected", "whole", "said"),
    [
        (86, 0, True, "Checked on arrival: all 86 rows can be loaded."),
        (1_500, 0, False, "Checked on arrival: the first 1,500 rows can be loaded."),
        (1, 0, True, "Checked on arrival: its only row can be loaded."),
        (86, 2, True, "2 of 86 rows will be rejected."),
        (1_500, 2, False, "2 of the first 1,500 rows will be rejected."),
        (0, 0, True, "The file has no rows."),
    ],
)
def test_what_a_waiting_file_is_told(read: int, rejected: int, whole: bool, said: str) -> None:
    """The sentence gives the rows that were read and those that will be rejected."""
    judged = Judged(at=at("12:00"), read=read, rejected=rejected, whole=whole)

    assert sentences.judged(judged).startswith(said)


def test_every_sentence_about_waiting_repeats_it() -> None:
    """Scheduled, waiting, blocked or overdue: what was found is said once, at the end."""
    judged = Judged(at=at("12:00"), read=86, rejected=0, whole=True)
    import_ = replace(
        make_import("orders_20230501T120000Z"),
        judged=judged,
        scheduled_for=at("12:30"),
        paired_with="customers_20230501T115500Z",
    )
    window = timedelta(hours=12)

    for text in (
        sentences.scheduled(import_, at("12:00")),
        sentences.waiting(import_, window),
        sentences.blocked(import_, "customers_20230501T115500Z", "rejected", window),
        sentences.overdue(import_, window, awaited="failed", window=window),
        sentences.overdue(replace(import_, paired_with=None), window, awaited=None, window=window),
    ):
        assert text.count("Checked on arrival") == 1
        assert text.endswith("all 86 rows can be loaded.")
