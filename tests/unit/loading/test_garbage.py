"""Garbage is looked for seldom while a file is loaded, and as usual otherwise."""

from __future__ import annotations

import gc

import pytest

from shared.loading.garbage import YOUNG, seldom_collected


def test_seldom_inside() -> None:
    """The threshold is up while somebody is inside, however many are, and comes back."""
    usual = gc.get_threshold()

    with seldom_collected():
        with seldom_collected():
            assert gc.get_threshold() == (YOUNG, *usual[1:])
        assert gc.get_threshold() == (YOUNG, *usual[1:])

    assert gc.get_threshold() == usual


def test_after_a_fault() -> None:
    """The threshold comes back also when the work inside fails."""
    usual = gc.get_threshold()

    with pytest.raises(ZeroDivisionError), seldom_collected():
        raise ZeroDivisionError

    assert gc.get_threshold() == usual
