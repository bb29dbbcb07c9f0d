"""Limits connections that have not logged in, and chooses the one to end when there are too many.

Anybody may connect to an SFTP server, so an attacker can use up the places for strangers
(connections without a login). Strangers are counted per network. A newcomer takes the place of a
silent stranger instead of waiting for it to leave.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import Generic, Protocol, TypeVar


class Stranger(Protocol):
    """A connection that has not logged in."""

    @property
    def network(self) -> str:
        """Client address, counted by network."""

    @property
    def silent(self) -> bool:
        """True until the client has sent its first line."""


S = TypeVar("S", bound=Stranger)


def network(address: str) -> str:
    """Return the network by which an address is counted: for IPv6 the /64, which one customer has.

    `2001:db8::1` → `2001:db8::/64`, `::ffff:203.0.113.5` → `203.0.113.5`. IPv4 is unchanged.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))


class Strangers(Generic[S]):
    """Connections that have not logged in, oldest first."""

    def __init__(self, *, limit: int, limit_per_network: int) -> None:
        self._limit = limit
        self._limit_per_network = limit_per_network
        self._all: dict[S, None] = {}
        self._by_network: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._all)

    def add(self, newcomer: S) -> S | None:
        """Add a newcomer; return the stranger that must be ended in exchange, if any.

        The stranger is from the newcomer's network if that one has too many, else from the network
        with the most. The oldest silent stranger is chosen, or else the oldest.
        """
        self._all[newcomer] = None
        self._by_network[newcomer.network] += 1
        if self._by_network[newcomer.network] > self._limit_per_network:
            crowded = newcomer.network
        elif len(self._all) > self._limit:
            ((crowded, _),) = self._by_network.most_common(1)
        else:
            return None
        there = [one for one in self._all if one.network == crowded and one is not newcomer]
        leaves = next((one for one in there if one.silent), (*there, newcomer)[0])
        self.remove(leaves)
        return leaves

    def remove(self, one: S) -> bool:
        """Remove a connection; return True if it was still a stranger."""
        if one not in self._all:
            return False
        del self._all[one]
        self._by_network[one.network] -= 1
        if not self._by_network[one.network]:
            del self._by_network[one.network]
        return True
