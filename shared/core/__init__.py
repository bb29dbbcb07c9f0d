"""Errors, problem codes, settings, the log, and phrases for numbers and times."""

from __future__ import annotations

from shared.core.codes import CODES, Severity
from shared.core.errors import (
    BadRequest,
    FileRejected,
    IngestError,
    LeaseLost,
    NotAdmitted,
    NotPossible,
    Problem,
    SettingsError,
    SplitLost,
    TryAgain,
    Undecidable,
    fault_of,
)
from shared.core.folding import Version, get, put
from shared.core.isolation import Apart
from shared.core.logs import LogSeverity, follow, log, log_failure, take_over
from shared.core.notify import Notify, address_key
from shared.core.phrases import (
    about,
    count,
    every,
    length,
    midnight,
    moment,
    percent,
    size,
    wrapped,
)
from shared.core.printable import column_name, finalized, looks_like_data, printable, printable_json
from shared.core.readers import read_duration, read_orders_delay
from shared.core.serialize import camel, from_fields, to_fields
from shared.core.settings import (
    CONNECTION_FIELDS,
    CONNECTION_MAPS,
    ENVIRONMENT,
    ConnectionSettings,
    Deployment,
    OrdersWithoutCustomers,
)

__all__ = [
    "CODES",
    "CONNECTION_FIELDS",
    "CONNECTION_MAPS",
    "ENVIRONMENT",
    "Apart",
    "BadRequest",
    "ConnectionSettings",
    "Deployment",
    "FileRejected",
    "IngestError",
    "LeaseLost",
    "LogSeverity",
    "NotAdmitted",
    "NotPossible",
    "Notify",
    "OrdersWithoutCustomers",
    "Problem",
    "SettingsError",
    "Severity",
    "SplitLost",
    "TryAgain",
    "Undecidable",
    "Version",
    "about",
    "address_key",
    "camel",
    "column_name",
    "count",
    "every",
    "fault_of",
    "finalized",
    "follow",
    "from_fields",
    "get",
    "length",
    "log",
    "log_failure",
    "looks_like_data",
    "midnight",
    "moment",
    "percent",
    "printable",
    "printable_json",
    "put",
    "read_duration",
    "read_orders_delay",
    "size",
    "take_over",
    "to_fields",
    "wrapped",
]
