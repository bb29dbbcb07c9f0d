"""Messages to people: status sentences, reports, alerts."""

from __future__ import annotations

from shared.reporting.alerts import (
    FAILED_TODO,
    FEED_STOPPED,
    IMPORT_CODES,
    LATE,
    NO_TYPE,
    OUTDATED,
    OUTDATED_TODO,
    REFUSED_NAME,
    REFUSED_NAME_TODO,
    REJECTED,
    REJECTED_TODO,
    Alert,
    alert_id,
    alert_paths,
    new_alert,
    open_once,
    overdue_todo,
    raise_alert,
    read_alerts,
    resolve_alerts,
    resolve_import_alerts,
    tell,
)
from shared.reporting.cadence import stopped
from shared.reporting.connections import Connection, FeedState, Zones, connections_of, feeds_of
from shared.reporting.groups import Group, findings_of, groups_of, place_of
from shared.reporting.leaflet import ON, SUCCESS, Leaflet
from shared.reporting.sentences import ended, in_shards
from shared.reporting.statuses import FACES, GROUPS, UNDER_WAY, Face, Tone, face_of
from shared.reporting.summary import report_names

__all__ = [
    "FACES",
    "FAILED_TODO",
    "FEED_STOPPED",
    "GROUPS",
    "IMPORT_CODES",
    "LATE",
    "NO_TYPE",
    "ON",
    "OUTDATED",
    "OUTDATED_TODO",
    "REFUSED_NAME",
    "REFUSED_NAME_TODO",
    "REJECTED",
    "REJECTED_TODO",
    "SUCCESS",
    "UNDER_WAY",
    "Alert",
    "Connection",
    "Face",
    "FeedState",
    "Group",
    "Leaflet",
    "Tone",
    "Zones",
    "alert_id",
    "alert_paths",
    "connections_of",
    "ended",
    "face_of",
    "feeds_of",
    "findings_of",
    "groups_of",
    "in_shards",
    "new_alert",
    "open_once",
    "overdue_todo",
    "place_of",
    "raise_alert",
    "read_alerts",
    "report_names",
    "resolve_alerts",
    "resolve_import_alerts",
    "stopped",
    "tell",
]
