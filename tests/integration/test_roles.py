"""Each account may do what its function asks of Google Cloud, and no more."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Mapping

import google.cloud.storage as storage
import pytest
from google.cloud import firestore, tasks_v2

from tests.support.cloud import ROOT
from tests.support.course import Course

NEEDS: Mapping[str, set[str]] = {
    "storage.objects.get": {"storage.objects.get"},
    "storage.objects.list": {"storage.objects.list"},
    # To put an object where there is one is to delete that.
    "storage.objects.insert": {"storage.objects.create", "storage.objects.delete"},
    "storage.objects.delete": {"storage.objects.delete"},
    "storage.objects.move": {"storage.objects.get", "storage.objects.delete"},
    "firestore.BatchGetDocuments": {"datastore.entities.get"},
    "firestore.RunQuery": {"datastore.entities.get", "datastore.entities.list"},
    "firestore.RunAggregationQuery": {"datastore.entities.get", "datastore.entities.list"},
    "firestore.ListDocuments": {"datastore.entities.get", "datastore.entities.list"},
    "firestore.Rollback": {"datastore.databases.get"},
    "firestore.Commit": {"datastore.entities.create", "datastore.entities.update"},
    "firestore.BatchWrite": {"datastore.entities.create", "datastore.entities.update"},
    # A task is signed as an account, which its creator must be allowed to act as.
    "cloudtasks.CreateTask": {"cloudtasks.tasks.create", "iam.serviceAccounts.actAs"},
}
"""Call -> the permissions that it needs, as the services document them."""

GIVES: Mapping[str, set[str]] = {
    "roles/datastore.user": {
        "datastore.databases.get",
        *(f"datastore.entities.{what}" for what in ("create", "delete", "get", "list", "update")),
    },
    "roles/datastore.viewer": {
        "datastore.databases.get",
        "datastore.entities.get",
        "datastore.entities.list",
    },
    "roles/storage.objectUser": {
        f"storage.objects.{what}" for what in ("create", "delete", "get", "list", "update")
    },
    "roles/storage.objectViewer": {"storage.objects.get", "storage.objects.list"},
    "roles/cloudtasks.enqueuer": {"cloudtasks.tasks.create"},
    "roles/iam.serviceAccountUser": {"iam.serviceAccounts.actAs"},
}
"""Role -> those of its permissions that matter here, as IAM documents them."""

METHODS: Mapping[str, tuple[str, ...]] = {
    "batch": (),
    "blob": (),
    "bucket": (),
    "collection": (),
    "collection_group": (),
    "commit": ("firestore.Commit",),
    "copy_blob": ("storage.objects.get", "storage.objects.insert"),
    "create": (),
    "create_task": ("cloudtasks.CreateTask",),
    "delete": ("storage.objects.delete",),
    "document": (),
    "download_as_bytes": ("storage.objects.get",),
    "end_at": (),
    "field_path": (),
    "get_all": ("firestore.BatchGetDocuments",),
    "get_blob": ("storage.objects.get",),
    "limit": (),
    "move_blob": ("storage.objects.move", "storage.objects.insert"),
    "list_blobs": ("storage.objects.list",),
    "list_documents": ("firestore.ListDocuments",),
    "open": ("storage.objects.get", "storage.objects.insert"),
    "order_by": (),
    "queue_path": (),
    "reload": ("storage.objects.get",),
    "select": (),
    "set": ("firestore.Commit",),
    "start_after": (),
    "start_at": (),
    "stream": ("firestore.RunQuery",),
    "sum": ("firestore.RunAggregationQuery",),
    "transaction": (),
    "upload_from_string": ("storage.objects.insert",),
    "where": (),
}
"""Every method of a Google client whose name occurs in the functions' code -> the calls it makes.

Names that Python's own types have as well (`get`, `set`, `update`) cannot be told apart in the
text; the course of events below is what shows those.
"""


def roles_of(who: str) -> dict[str, set[str]]:
    """Read what roles.txt allows an account: role -> on what."""
    allowed: dict[str, set[str]] = {}
    for line in (ROOT / "deploy" / "roles.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, role, on, _ = (cell.strip() for cell in line.split("|"))
            if name == who and role in GIVES:
                allowed.setdefault(role, set()).add(on)
    return allowed


@pytest.mark.parametrize("who", ["classify", "load", "sweep", "status", "operators"])
def test_allowed(course: Course, who: str) -> None:
    """An account may do everything that its function asks for."""
    permissions = {one for role in roles_of(who) for one in GIVES[role]}
    refused = {
        call.method for call in course.recorder.calls[who] if not NEEDS[call.method] <= permissions
    }

    assert set() == refused


@pytest.mark.parametrize("who", ["classify", "load", "sweep", "status"])
def test_no_more(course: Course, who: str) -> None:
    """Each role of a function's account is one that the function uses."""
    needed = {one for call in course.recorder.calls[who] for one in NEEDS[call.method]}

    assert set() == {role for role in roles_of(who) if not GIVES[role] & needed}


def test_classify_keeps_to_its_folder(course: Course) -> None:
    """classify changes no object outside reports/ and refusals/, which is all that it may."""
    viewing = GIVES["roles/storage.objectViewer"]
    touched = {
        call.name
        for call in course.recorder.calls["classify"]
        if "storage" in call.method and not NEEDS[call.method] <= viewing
    }

    folders = {name.partition("/")[0] for name in touched}
    assert {f"bucket/{folder}" for folder in folders} == roles_of("classify")[
        "roles/storage.objectUser"
    ]
    assert folders == {"reports", "refusals"}


def test_every_method_is_known() -> None:
    """The table of methods names just those that the functions' code calls."""
    clients = (
        *(storage.Blob, storage.Bucket, storage.Client, tasks_v2.CloudTasksClient),
        *(firestore.Client, firestore.DocumentReference, firestore.CollectionReference),
        *(firestore.Query, firestore.CollectionGroup, firestore.Transaction, firestore.WriteBatch),
    )
    offered = {
        name
        for client in clients
        for name in dir(client)
        if not name.startswith("_") and callable(getattr(client, name))
    }
    common = (dict, str, list, set, bytes, io.BytesIO, io.StringIO, re.Match)
    offered -= {name for kind in common for name in dir(kind)}
    used = {
        node.attr
        for folder in ("shared", "functions")
        for file in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in offered
    }

    assert set(METHODS) == used


def test_every_call_is_known(course: Course) -> None:
    """What the methods call has been called in the course of events, and the other way round."""
    listed = {call for calls in METHODS.values() for call in calls}
    called = {call.method for calls in course.recorder.calls.values() for call in calls}

    assert listed == called - {"firestore.BatchWrite", "firestore.Rollback"}
    assert "firestore.BatchWrite" in called  # made by shared/firestore/bulk/transport.py itself
    assert called <= set(NEEDS)
