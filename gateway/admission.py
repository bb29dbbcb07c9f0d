"""Connections that have not logged in yet: how many may wait, and which one makes room.

Anybody may connect to an SFTP server, so places for strangers are what an attacker can use up.
They are counted per network, and a newcomer never has to wait for a silent stranger to leave.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import Generic, Protocol, TypeVar


class Stranger(Protocol):
    """A connection that has not logged in."""

    @property
    def network(self) -> str:
        """The `network` of its address."""

    @property
    def silent(self) -> bool:
        """Whether its client has not even sent its first line."""


S = TypeVar("S", bound=Stranger)


def network(address: str) -> str:
    """Return what an address is counted by: itself, or for IPv6 its /64, which one customer has.

    `2001:db8::1` → `2001:db8::/64`, `::ffff:203.0.113.5` → `203.0.113.5`, `203.0.113.5` as it is.
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
    """The connections that have not logged in, oldest first."""

    def __init__(self, *, limit: int, limit_per_network: int) -> None:
        self._limit = limit
        self._limit_per_network = limit_per_network
        self._all: dict[S, None] = {}
        self._by_network: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._all)

    def add(self, newcomer: S) -> S | None:
        """Count a newcomer; returns the stranger that has to leave for it, if one has.

        That is one of the newcomer's own network if the network has too many, else one of the
        network that has most: the oldest that is silent, or else the oldest.
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
        """Forget a connection; returns whether it was still a stranger."""
        if one not in self._all:
            return False
        del self._all[one]
        self._by_network[one.network] -= 1
        if not self._by_network[one.network]:
            del self._by_network[one.network]
        return True
