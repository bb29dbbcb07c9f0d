"""Adds the audit of data access to a project's IAM policy: reads the policy, prints the new one.

    gcloud projects get-iam-policy PROJECT --format=json | python deploy/audit.py MEMBER...

Whoever reads or writes a document or an object is logged from then on, except for the members:
the pipeline's own accounts, whose work is in the ledger.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

SERVICES = ("datastore.googleapis.com", "storage.googleapis.com")
"""Firestore's API is audited under the name of Datastore's."""

KINDS = ("DATA_READ", "DATA_WRITE")


def audited(policy: dict[str, Any], exempted: Sequence[str]) -> dict[str, Any]:
    """Return the policy with the audit of both services; everything else stays, the etag too."""
    others = [one for one in policy.get("auditConfigs", []) if one["service"] not in SERVICES]
    configs = [
        {
            "service": service,
            "auditLogConfigs": [
                *_other_kinds(policy, service),
                *({"logType": kind, "exemptedMembers": sorted(exempted)} for kind in KINDS),
            ],
        }
        for service in SERVICES
    ]
    return {**policy, "auditConfigs": [*others, *configs]}


def _other_kinds(policy: dict[str, Any], service: str) -> list[dict[str, Any]]:
    return [
        log
        for one in policy.get("auditConfigs", [])
        if one["service"] == service
        for log in one["auditLogConfigs"]
        if log["logType"] not in KINDS
    ]


if __name__ == "__main__":
    json.dump(audited(json.load(sys.stdin), sys.argv[1:]), sys.stdout, indent=2, sort_keys=True)
