"""Rules that a connection's settings give for reading its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from shared.core import ConnectionSettings

EXTRA = "extra"
"""Field for columns that no table has, by their own names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Settings of a connection that affect the reading of its files."""

    time_zone: ZoneInfo
    """Zone of times without a zone."""
    blank_means: Literal["clear", "keep"] = "clear"
    """Effect of a blank cell on the stored field."""
    key_column: str | None = None
    """Retailer's own name of the column with the customer's key, in place of PERIDX."""
    email_column: str | None = None
    """Retailer's own name of the column with the e-mail address, in place of EMAIL."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Own column name -> published name."""
    currency: str | None = None
    """Currency of orders that name none."""

    @classmethod
    def of(cls, settings: ConnectionSettings) -> Rules:
        """Return the rules in a connection's settings."""
        return cls(**{spec.name: getattr(settings, spec.name) for spec in fields(cls)})
