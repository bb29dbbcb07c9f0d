"""The audit of data access is added to whatever policy a project has."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.support.cloud import ROOT

LOADER = "serviceAccount:import-load@shop.iam.gserviceaccount.com"


def audited(policy: dict[str, Any]) -> dict[str, Any]:
    """Run the script as deploy/setup.sh does."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "audit.py"), LOADER],
        input=json.dumps(policy),
        capture_output=True,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_new_project() -> None:
    """Reading and writing of documents and objects are logged, but for the pipeline's accounts."""
    bindings = [{"role": "roles/owner", "members": ["user:ann@example.com"]}]
    policy = audited({"bindings": bindings, "etag": "e1", "version": 3})

    assert (bindings, "e1", 3) == (policy["bindings"], policy["etag"], policy["version"])
    logs = [
        {"logType": "DATA_READ", "exemptedMembers": [LOADER]},
        {"logType": "DATA_WRITE", "exemptedMembers": [LOADER]},
    ]
    assert [
        {"service": "datastore.googleapis.com", "auditLogConfigs": logs},
        {"service": "storage.googleapis.com", "auditLogConfigs": logs},
    ] == policy["auditConfigs"]


def test_what_is_audited_already_stays() -> None:
    """Audits of others stay, and a second run changes nothing."""
    other = {"service": "allServices", "auditLogConfigs": [{"logType": "ADMIN_READ"}]}
    own = {"service": "storage.googleapis.com", "auditLogConfigs": [{"logType": "ADMIN_READ"}]}
    policy = audited({"etag": "e1", "auditConfigs": [other, own]})

    assert other in policy["auditConfigs"]
    assert {"ADMIN_READ", "DATA_READ", "DATA_WRITE"} == {
        log["logType"] for log in policy["auditConfigs"][-1]["auditLogConfigs"]
    }
    assert policy == audited(policy)
