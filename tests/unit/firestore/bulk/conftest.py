"""A writer's surroundings, new for each test."""

from __future__ import annotations

import pytest

from tests.unit.firestore.bulk.fake_firestore import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()
