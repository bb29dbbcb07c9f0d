"""Roles, what they give, and the conditions on them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from typing import Any

_READ = ("resourcemanager.projects.get", "resourcemanager.projects.list")

ROLES: Mapping[str, tuple[str, ...]] = {
    "roles/owner": ("*",),
    "roles/artifactregistry.reader": (
        "artifactregistry.repositories.downloadArtifacts",
        "artifactregistry.repositories.get",
        "artifactregistry.repositories.list",
    ),
    "roles/artifactregistry.writer": (
        "artifactregistry.repositories.downloadArtifacts",
        "artifactregistry.repositories.get",
        "artifactregistry.repositories.list",
        "artifactregistry.repositories.uploadArtifacts",
    ),
    "roles/cloudbuild.builds.editor": ("cloudbuild.builds.*", "cloudbuild.operations.*", *_READ),
    "roles/cloudfunctions.developer": (
        "cloudbuild.builds.get",
        "cloudbuild.builds.list",
        "cloudfunctions.functions.call",
        "cloudfunctions.functions.create",
        "cloudfunctions.functions.delete",
        "cloudfunctions.functions.get",
        "cloudfunctions.functions.invoke",
        "cloudfunctions.functions.list",
        "cloudfunctions.functions.sourceCodeGet",
        "cloudfunctions.functions.sourceCodeSet",
        "cloudfunctions.functions.update",
        "cloudfunctions.locations.*",
        "cloudfunctions.operations.*",
        "cloudfunctions.runtimes.*",
        "eventarc.triggers.*",
        "run.jobs.*",
        "run.operations.*",
        "run.revisions.*",
        "run.routes.get",
        "run.services.create",
        "run.services.get",
        "run.services.list",
        "run.services.update",
        "run.services.delete",
        *_READ,
        "serviceusage.quotas.get",
        "serviceusage.services.get",
        "serviceusage.services.list",
    ),
    "roles/cloudscheduler.admin": (
        "cloudscheduler.*",
        *_READ,
        "serviceusage.services.get",
        "serviceusage.services.list",
    ),
    "roles/cloudtasks.enqueuer": ("cloudtasks.tasks.create", "cloudtasks.tasks.fullView", *_READ),
    "roles/cloudtasks.queueAdmin": (
        "cloudtasks.locations.*",
        "cloudtasks.queues.*",
        *_READ,
        "serviceusage.services.list",
    ),
    "roles/cloudtasks.viewer": (
        "cloudtasks.*.get",
        "cloudtasks.*.list",
        "cloudtasks.tasks.fullView",
        *_READ,
    ),
    "roles/datastore.indexAdmin": (
        "datastore.databases.getMetadata",
        "datastore.indexes.*",
        "datastore.operations.get",
        "datastore.operations.list",
        *_READ,
    ),
    "roles/datastore.user": (
        "datastore.databases.get",
        "datastore.databases.getMetadata",
        "datastore.entities.*",
        "datastore.indexes.list",
        *_READ,
    ),
    "roles/datastore.viewer": (
        "datastore.databases.get",
        "datastore.databases.getMetadata",
        "datastore.entities.get",
        "datastore.entities.list",
        "datastore.indexes.get",
        "datastore.indexes.list",
        *_READ,
    ),
    "roles/eventarc.eventReceiver": ("eventarc.events.receiveEvent",),
    "roles/eventarc.serviceAgent": ("eventarc.*", "run.services.get", "storage.buckets.get"),
    "roles/firebaserules.admin": ("firebaserules.*", *_READ),
    "roles/iam.serviceAccountUser": (
        "iam.serviceAccounts.actAs",
        "iam.serviceAccounts.get",
        "iam.serviceAccounts.list",
        *_READ,
    ),
    "roles/logging.configWriter": (
        "logging.buckets.*",
        "logging.exclusions.*",
        "logging.logMetrics.*",
        "logging.sinks.*",
        "logging.views.*",
        "logging.locations.*",
        *_READ,
    ),
    "roles/logging.logWriter": ("logging.logEntries.create", "logging.logEntries.route"),
    "roles/logging.viewAccessor": ("logging.logEntries.download", "logging.views.access"),
    "roles/logging.viewer": ("logging.*.get", "logging.*.list", *_READ),
    "roles/monitoring.alertPolicyEditor": ("monitoring.alertPolicies.*",),
    "roles/monitoring.dashboardEditor": ("monitoring.dashboards.*", *_READ),
    "roles/monitoring.notificationChannelViewer": (
        "monitoring.notificationChannels.get",
        "monitoring.notificationChannels.list",
    ),
    "roles/monitoring.viewer": ("monitoring.*.get", "monitoring.*.list", *_READ),
    "roles/pubsub.publisher": ("pubsub.topics.publish",),
    "roles/run.admin": ("run.*", "recommender.*", *_READ),
    "roles/run.invoker": ("run.routes.invoke", "run.jobs.run"),
    "roles/run.viewer": ("run.*.get", "run.*.list", "run.*.getIamPolicy", *_READ),
    "roles/secretmanager.secretAccessor": ("secretmanager.versions.access", *_READ),
    "roles/serviceusage.serviceUsageConsumer": (
        "monitoring.timeSeries.list",
        "serviceusage.operations.get",
        "serviceusage.quotas.get",
        "serviceusage.services.get",
        "serviceusage.services.list",
        "serviceusage.services.use",
    ),
    "roles/storage.bucketViewer": ("storage.buckets.get", "storage.buckets.list"),
    "roles/storage.objectAdmin": ("storage.objects.*", "storage.multipartUploads.*", *_READ),
    "roles/storage.objectUser": (
        "storage.objects.create",
        "storage.objects.delete",
        "storage.objects.get",
        "storage.objects.list",
        "storage.objects.move",
        "storage.objects.restore",
        "storage.objects.update",
        "storage.multipartUploads.*",
        *_READ,
    ),
    "roles/storage.objectViewer": ("storage.objects.get", "storage.objects.list", *_READ),
}
"""Role -> its permissions as Google documents them, as far as anything here asks for them.

What is not sure to be in a role is left out: a test that passes without it passes with it.
"""

BASIC = {"roles/owner", "roles/editor", "roles/viewer"}

_STARTS = re.compile(r'resource\.name\.startsWith\("([^"]+)"\)')


def gives(role: str, permission: str, custom: Mapping[str, set[str]]) -> bool:
    """Whether a role includes a permission; `custom`: those of the project's own roles."""
    given = custom.get(role) or ROLES.get(role, ())
    return any(fnmatch.fnmatchcase(permission, one) for one in given)


def holds(condition: Mapping[str, Any] | None, resource: str) -> bool:
    """Whether a condition is met for a resource of that name."""
    if condition is None:
        return True
    match = _STARTS.fullmatch(condition["expression"])
    return match is not None and resource.startswith(match[1])


def wrong_condition(condition: Mapping[str, Any]) -> str | None:
    """What is wrong with a condition, if anything is."""
    if not condition.get("title") or len(condition["title"]) > 100:
        return "A condition needs a title of at most 100 characters."
    if not _STARTS.fullmatch(condition.get("expression", "")):
        return f"The expression is not understood: {condition.get('expression')}"
    return None
