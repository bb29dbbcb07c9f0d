"""Who may wait at the gateway's door without having logged in."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gateway.admission import Strangers, network
from gateway.brake import Brake
from gateway.repeats import Repeats


@dataclass(eq=False)
class Caller:
    network: str
    silent: bool = True


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("?", "?"),
    ],
)
def test_network(address: str, expected: str) -> None:
    """An address is counted by itself, one of IPv6 by its /64."""
    assert network(address) == expected


def test_own_network_makes_room() -> None:
    """A network with too many strangers loses one of its own, and nobody else's."""
    strangers = Strangers[Caller](limit=10, limit_per_network=2)
    elsewhere, first, second, third = Caller("a"), Caller("b"), Caller("b"), Caller("b")

    assert [strangers.add(one) for one in (elsewhere, first, second, third)] == [
        None, None, None, first,
    ]  # fmt: skip
    assert len(strangers) == 3


def test_most_crowded_makes_room() -> None:
    """When there are too many in all, the network that has most loses one."""
    strangers = Strangers[Caller](limit=4, limit_per_network=3)
    crowd = [Caller("b") for _ in range(3)]
    others = [Caller("a"), Caller("c"), Caller("d")]

    assert [strangers.add(one) for one in crowd] == [None] * 3
    assert [strangers.add(one) for one in others] == [None, crowd[0], crowd[1]]


def test_silent_ones_first() -> None:
    """Who has sent its first line stays longer than who has not, however old."""
    strangers = Strangers[Caller](limit=10, limit_per_network=2)
    speaks, silent = Caller("a", silent=False), Caller("a")

    assert [strangers.add(speaks), strangers.add(silent), strangers.add(Caller("a"))] == [
        None, None, silent,
    ]  # fmt: skip


def test_all_speak() -> None:
    """Where all have sent their first line, the oldest leaves."""
    strangers = Strangers[Caller](limit=10, limit_per_network=1)
    old, new = Caller("a", silent=False), Caller("a", silent=False)
    strangers.add(old)

    assert strangers.add(new) is old


def test_closed_without_logins() -> None:
    """An address of 200 connections without a login in ten minutes is turned away for a while."""
    brake = Brake()
    for second in range(199):
        brake.left("a", float(second))
    assert not brake.closed("a", 199.0)
    brake.left("a", 199.0)

    assert brake.closed("a", 200.0)
    assert not brake.closed("b", 200.0)
    assert not brake.closed("a", 700.0)


def test_login_forgives() -> None:
    """A login from an address forgets the connections that ended without one."""
    brake = Brake()
    for _ in range(200):
        brake.left("a", 0.0)
    brake.succeeded("a", "erp")

    assert not brake.closed("a", 1.0)


def test_repeats() -> None:
    """Twenty lines of a kind pass in a minute; the first one after it says how many did not."""
    repeats = Repeats()
    passed = [repeats.count("x", 0.0) for _ in range(25)]

    assert passed == [0] * 20 + [None] * 5
    assert repeats.count("y", 0.0) == 0
    assert repeats.count("x", 60.0) == 5
    assert repeats.count("x", 61.0) == 0
