"""The usual collections: what is listed, made, looked at, changed and deleted in the same way."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.cloud import monitoring_dashboard_v1, monitoring_v3
from google.cloud.firestore_admin_v1.types import BackupSchedule, Database
from google.cloud.logging_v2.types import LogMetric
from google.cloud.tasks_v2.types import Queue
from google.protobuf import json_format

from tests.support.google import policies
from tests.support.google.server import Call, Json, Refused, invalid, method

Changes = Callable[[Call, Json], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One collection of an API."""

    service: str
    path: str
    """Where the collection is, such as `/v2/projects/{project}/locations/{location}/queues`."""
    permission: str
    """The first part of the permissions, such as `cloudtasks.queues`."""
    key: str
    """What its list is called in an answer."""
    id_from: str = ""
    """The parameter that names a new thing; "": the body's `name` does, or the server."""
    members: frozenset[str] = frozenset()
    """The members of a body; empty: `message` says what is known."""
    message: Any = None
    """The protobuf message of a body, if one of the installed packages has it."""
    fixed: frozenset[str] = frozenset()
    """Members that cannot be changed."""
    operation: bool = False
    """Whether a change is answered with a (finished) operation."""
    wrapped: str = ""
    """The member of the body that holds the thing, where there is one."""
    policy: bool = False
    conditions: bool = True
    verb: str = "PATCH"
    etag: bool = False
    """Whether a change must name the version that it changes."""
    made: Changes = field(default=lambda call, thing: None)
    """What the server adds to a new or changed thing, or refuses in it."""
    short: bool = False
    """Whether a thing's `name` is the last part alone."""
    verbs: Mapping[str, str] = field(default_factory=dict)
    """Permissions that are not called after the method."""

    def register(self) -> None:
        """Register the methods."""
        one = f"{self.path}/{{id}}"
        method("GET", self.service, self.path)(self.list_all)
        method("POST", self.service, self.path)(self.create)
        method("GET", self.service, one)(self.get)
        method(self.verb, self.service, one)(self.patch)
        method("DELETE", self.service, one)(self.delete)
        if self.policy:
            method("GET", self.service, f"{one}:getIamPolicy")(self.get_policy)
            method("POST", self.service, f"{one}:getIamPolicy")(self.get_policy)
            method("POST", self.service, f"{one}:setIamPolicy")(self.set_policy)

    def collection(self, call: Call) -> str:
        """Return the name of the collection that a call is about."""
        names = {**call.names, "project": call.google.project}
        return "/".join(self.path.split("/")[2:]).format(**names)

    def name(self, call: Call) -> str:
        """Return the name of the thing that a call is about."""
        return f"{self.collection(call)}/{call.names['id']}"

    def need(self, call: Call, verb: str, name: str = "") -> None:
        """Ask for the permission."""
        call.need(self.verbs.get(verb, f"{self.permission}.{verb}"), self.service, name)

    def list_all(self, call: Call) -> Json:
        self.need(call, "list")
        found = call.google.below(self.service, self.collection(call))
        if call.names.get("location") == "-":
            found = [
                thing
                for (at, name), thing in call.google.things.items()
                if at == self.service and name.split("/")[-2] == self.key
            ]
        return {self.key: copy.deepcopy(found)} if found else {}

    def create(self, call: Call) -> Json:
        self.need(call, "create")
        google = call.google
        body = call.body[self.wrapped] if self.wrapped else call.body
        self._check(call, body)
        short = call.query.get(self.id_from) or call.body.get(self.id_from)
        short = short or str(body.get("name", "")).split("/")[-1] or f"{google.next():020d}"
        name = f"{self.collection(call)}/{short}"
        thing = {**body, "name": short if self.short else name}
        self.made(call, thing)
        if self.etag:
            thing["etag"] = google.etag()
        return self._done(call, google.put(self.service, name, thing))

    def get(self, call: Call) -> Json:
        self.need(call, "get", self.name(call))
        return call.google.get(self.service, self.name(call))

    def patch(self, call: Call) -> Json:
        name = self.name(call)
        self.need(call, "update", name)
        google = call.google
        thing = google.get(self.service, name)
        self._check(call, call.body)
        if self.etag and call.body.get("etag") != thing["etag"]:
            raise Refused(409, "ABORTED", f"The etag is not that of {name}.")
        mask = [one for one in call.query.get("updateMask", "").split(",") if one]
        changed = masked(thing, call.body, mask) if mask else {**thing, **call.body}
        changed["name"] = thing["name"]
        for fixed in self.fixed:
            if changed.get(fixed) != thing.get(fixed):
                raise invalid(f"{fixed} of {name} cannot be changed.")
        self.made(call, changed)
        if self.etag:
            changed["etag"] = google.etag()
        google.things[self.service, name] = changed
        return self._done(call, changed)

    def delete(self, call: Call) -> Json:
        self.need(call, "delete", self.name(call))
        call.google.remove(self.service, self.name(call))
        return self._done(call, {})

    def get_policy(self, call: Call) -> Json:
        name = self.name(call)
        self.need(call, "getIamPolicy", name)
        call.google.get(self.service, name)
        asked = call.query.get("options.requestedPolicyVersion") or call.body.get(
            "options", {}
        ).get("requestedPolicyVersion", 1)
        return policies.read(call, self.service, name, version=int(asked))

    def set_policy(self, call: Call) -> Json:
        name = self.name(call)
        self.need(call, "setIamPolicy", name)
        call.google.get(self.service, name)
        call.known("policy", "updateMask")
        return policies.write(
            call, self.service, name, call.body["policy"], conditions=self.conditions
        )

    def _check(self, call: Call, body: Json) -> None:
        if self.message is not None:
            try:
                json_format.ParseDict(body, self.message())
            except json_format.ParseError as error:
                raise invalid(f"Invalid JSON payload received. {error}") from None
        else:
            call.known("name", "etag", *self.members, body=body)

    def _done(self, call: Call, thing: Json) -> Json:
        return done(call, thing) if self.operation else thing


def masked(thing: Json, body: Json, mask: list[str]) -> Json:
    changed = copy.deepcopy(thing)
    for path in mask:
        parts = [_camel(part) for part in path.split(".")]
        source: Any = body
        for part in parts:
            source = source.get(part) if isinstance(source, dict) else None
        target = changed
        for part in parts[:-1]:
            target = target.setdefault(part, {})
        if source is None:
            target.pop(parts[-1], None)
        else:
            target[parts[-1]] = source
    return changed


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def done(call: Call, answer: Json, parent: str = "") -> Json:
    """Return an operation that has ended well."""
    google = call.google
    if call.service == "firestore":
        names = {"database": call.query.get("databaseId") or call.names.get("id"), **call.names}
        parent = f"projects/{google.project}/databases/{names['database']}"
    parent = parent or f"projects/{google.project}/locations/{call.names.get('location', 'global')}"
    name = f"{parent}/operations/operation-{google.next()}"
    operation = {
        "name": name,
        "done": True,
        "metadata": {},
        "response": {"@type": "type.googleapis.com/google.protobuf.Struct", **answer},
    }
    google.things[call.service, name] = operation
    return operation


def account_must_be_there(call: Call, email: str) -> None:
    """Refuse to act as an account that is not there or not the caller's to use."""
    name = f"projects/{call.google.project}/serviceAccounts/{email}"
    if not call.google.exists(f"serviceAccount:{email}"):
        raise Refused(404, "NOT_FOUND", f"Service account {email} does not exist.")
    call.need("iam.serviceAccounts.actAs", "iam", name)


def _queue(call: Call, queue: Json) -> None:
    queue.setdefault("state", "RUNNING")


def _database(call: Call, database: Json) -> None:
    if "locationId" not in database or database.get("type") != "FIRESTORE_NATIVE":
        raise invalid("A database needs a location and a type.")
    database.setdefault("etag", call.google.etag())


def _schedule(call: Call, schedule: Json) -> None:
    call.google.get(
        "firestore", f"projects/{call.google.project}/databases/{call.names['database']}"
    )


def _job(call: Call, job: Json) -> None:
    target = job.get("httpTarget", {})
    call.known("uri", "httpMethod", "headers", "body", "oidcToken", "oauthToken", body=target)
    account_must_be_there(call, target["oidcToken"]["serviceAccountEmail"])
    job.setdefault("state", "ENABLED")


def _secret(call: Call, secret: Json) -> None:
    if "replication" not in secret:
        raise invalid("A secret needs a replication policy.")


def _sink(call: Call, sink: Json) -> None:
    host, _, name = sink["destination"].partition("/")
    if host != "logging.googleapis.com":
        raise invalid(f"The stub knows no sink to {host}.")
    if not name.endswith("/buckets/_Default"):
        call.google.get("logging", name)


def _policy(call: Call, policy: Json) -> None:
    """An alert policy is about metrics that there are, and tells channels that there are."""
    metrics = {
        thing["name"]
        for thing in call.google.below("logging", f"projects/{call.google.project}/metrics")
    }
    text = str(policy.get("conditions"))
    known = {metric.split("/")[-1] for metric in metrics}
    for word in text.split("logging.googleapis.com/user/")[1:]:
        name = "".join(letter for letter in _until(word))
        if name not in known:
            raise Refused(
                404,
                "NOT_FOUND",
                f"Cannot find metric that matches type = "
                f'"logging.googleapis.com/user/{name}". If a metric was created recently, it could '
                "take up to 10 minutes to become available. Please try again soon.",
            )
    for channel in policy.get("notificationChannels", ()):
        call.google.get("monitoring", channel)


def _until(text: str) -> str:
    end = next(
        (at for at, letter in enumerate(text) if not (letter.isalnum() or letter == "_")), None
    )
    return text[:end]


_PROJECT = "/v1/projects/{project}"
_PLACE = f"{_PROJECT}/locations/{{location}}"

KINDS = [
    Kind(
        service="iam",
        path=f"{_PROJECT}/roles",
        permission="iam.roles",
        key="roles",
        id_from="roleId",
        wrapped="role",
        members=frozenset({"title", "description", "includedPermissions", "stage"}),
    ),
    Kind(
        service="cloudtasks",
        path=f"{_PLACE}/queues",
        permission="cloudtasks.queues",
        key="queues",
        message=Queue.pb(),
        policy=True,
        conditions=False,
        made=_queue,
    ),
    Kind(
        service="cloudscheduler",
        path=f"{_PLACE}/jobs",
        permission="cloudscheduler.jobs",
        key="jobs",
        members=frozenset(
            {"description", "schedule", "timeZone", "httpTarget", "retryConfig", "attemptDeadline"}
            | {"state", "userUpdateTime"}
        ),
        made=_job,
    ),
    Kind(
        service="secretmanager",
        path=f"{_PROJECT}/secrets",
        permission="secretmanager.secrets",
        key="secrets",
        id_from="secretId",
        members=frozenset({"replication", "labels", "annotations"}),
        fixed=frozenset({"replication"}),
        policy=True,
        made=_secret,
    ),
    Kind(
        service="firestore",
        path=f"{_PROJECT}/databases",
        permission="datastore.databases",
        key="databases",
        id_from="databaseId",
        message=Database.pb(),
        operation=True,
        fixed=frozenset({"locationId", "type"}),
        made=_database,
        verbs={"list": "datastore.databases.list", "get": "datastore.databases.getMetadata"},
    ),
    Kind(
        service="firestore",
        path=f"{_PROJECT}/databases/{{database}}/backupSchedules",
        permission="datastore.backupSchedules",
        key="backupSchedules",
        message=BackupSchedule.pb(),
        made=_schedule,
    ),
    Kind(
        service="logging",
        path="/v2/projects/{project}/metrics",
        permission="logging.logMetrics",
        key="metrics",
        message=LogMetric.pb(),
        verb="PUT",
        short=True,
    ),
    Kind(
        service="logging",
        path="/v2/projects/{project}/locations/{location}/buckets",
        permission="logging.buckets",
        key="buckets",
        id_from="bucketId",
        members=frozenset({"description", "retentionDays", "locked", "analyticsEnabled"}),
    ),
    Kind(
        service="logging",
        path="/v2/projects/{project}/sinks",
        permission="logging.sinks",
        key="sinks",
        members=frozenset({"destination", "filter", "description", "disabled", "exclusions"}),
        short=True,
        made=_sink,
    ),
    Kind(
        service="monitoring",
        path="/v3/projects/{project}/notificationChannels",
        permission="monitoring.notificationChannels",
        key="notificationChannels",
        message=monitoring_v3.NotificationChannel.pb(),
    ),
    Kind(
        service="monitoring",
        path="/v3/projects/{project}/alertPolicies",
        permission="monitoring.alertPolicies",
        key="alertPolicies",
        message=monitoring_v3.AlertPolicy.pb(),
        made=_policy,
    ),
    Kind(
        service="monitoring",
        path="/v3/projects/{project}/uptimeCheckConfigs",
        permission="monitoring.uptimeCheckConfigs",
        key="uptimeCheckConfigs",
        message=monitoring_v3.UptimeCheckConfig.pb(),
    ),
    Kind(
        service="monitoring",
        path=f"{_PROJECT}/dashboards",
        permission="monitoring.dashboards",
        key="dashboards",
        message=monitoring_dashboard_v1.Dashboard.pb(),
        etag=True,
    ),
    Kind(
        service="artifactregistry",
        path=f"{_PLACE}/repositories",
        permission="artifactregistry.repositories",
        key="repositories",
        id_from="repositoryId",
        members=frozenset(
            {"format", "description", "labels", "mode", "cleanupPolicies", "cleanupPolicyDryRun"}
            | {"dockerConfig", "vulnerabilityScanningConfig"}
        ),
        operation=True,
        policy=True,
        fixed=frozenset({"format"}),
    ),
    Kind(
        service="billingbudgets",
        path="/v1/billingAccounts/{account}/budgets",
        permission="billing.budgets",
        key="budgets",
        members=frozenset(
            {"displayName", "budgetFilter", "amount", "thresholdRules", "notificationsRule"}
            | {"ownershipScope"}
        ),
    ),
]

for _kind in KINDS:
    _kind.register()
