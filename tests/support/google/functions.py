"""Cloud Functions, and the services of Cloud Run that they are."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

from tests.support.google import policies
from tests.support.google.kinds import account_must_be_there, done, masked
from tests.support.google.server import Bytes, Call, Json, Refused, invalid, method, not_found

BUILD = frozenset(
    {
        "runtime",
        "entryPoint",
        "source",
        "environmentVariables",
        "serviceAccount",
        "dockerRepository",
    }
    | {"workerPool", "dockerRegistry", "automaticUpdatePolicy", "onDeployUpdatePolicy"}
)
SERVICE = frozenset(
    {"availableMemory", "availableCpu", "timeoutSeconds", "maxInstanceCount", "minInstanceCount"}
    | {"maxInstanceRequestConcurrency", "ingressSettings", "serviceAccountEmail", "revision"}
    | {"environmentVariables", "secretEnvironmentVariables", "allTrafficOnLatestRevision"}
    | {"uri", "service", "vpcConnector", "securityLevel", "secretVolumes"}
)
TRIGGER = frozenset(
    {"eventType", "eventFilters", "pubsubTopic", "serviceAccountEmail", "retryPolicy", "trigger"}
    | {"triggerRegion", "service", "channel"}
)
RUNTIMES = ("python310", "python311", "python312", "python313")

_PLACE = "/v2/projects/{project}/locations/{location}"
_ONE = f"{_PLACE}/functions/{{id}}"


def _name(call: Call, short: str = "") -> str:
    place = f"projects/{call.google.project}/locations/{call.names['location']}"
    return f"{place}/functions/{short or call.names['id']}"


def _service(call: Call, short: str = "") -> str:
    return _name(call, short).replace("/functions/", "/services/")


@method("GET", "cloudfunctions", f"{_PLACE}/runtimes", "cloudfunctions.runtimes.list")
def runtimes(call: Call) -> Json:
    return {
        "runtimes": [
            {"name": name, "stage": "GA", "environment": "GEN_2", "displayName": name}
            for name in RUNTIMES
        ]
    }


@method(
    "GET", "cloudfunctions", "/v2/projects/{project}/locations", "cloudfunctions.locations.list"
)
def locations(call: Call) -> Json:
    place = f"projects/{call.google.project}/locations/australia-southeast1"
    return {"locations": [{"name": place, "locationId": "australia-southeast1"}]}


@method("GET", "cloudfunctions", f"{_PLACE}/functions", "cloudfunctions.functions.list")
def functions(call: Call) -> Json:
    if call.path.startswith("/v1/"):
        return {}  # functions of the first generation, of which there are none
    place = f"projects/{call.google.project}/locations/{call.names['location']}"
    return {"functions": call.google.below("cloudfunctions", f"{place}/functions")}


@method("GET", "cloudfunctions", _ONE, "cloudfunctions.functions.get")
def function(call: Call) -> Json:
    return call.google.get("cloudfunctions", _name(call))


@method(
    "POST",
    "cloudfunctions",
    f"{_PLACE}/functions:generateUploadUrl",
    "cloudfunctions.functions.sourceCodeSet",
)
def upload_url(call: Call) -> Json:
    bucket = (
        f"gcf-v2-uploads-{call.google.number}.{call.names['location']}.cloudfunctions.appspot.com"
    )
    name = f"{call.google.next()}.zip"
    return {
        "uploadUrl": f"https://storage.googleapis.com/{bucket}/{name}?X-Goog-Signature=signed",
        "storageSource": {"bucket": bucket, "object": name},
    }


@method("PUT", "storage", "/{bucket}/{name}")
def put_source(call: Call) -> Bytes:
    if call.query.get("X-Goog-Signature") != "signed":
        raise Refused(403, "PERMISSION_DENIED", "The URL is not signed.")
    call.google.objects[call.names["bucket"], call.names["name"]] = call.raw
    return Bytes(b"")


@method("POST", "cloudfunctions", f"{_PLACE}/functions", "cloudfunctions.functions.create")
def create(call: Call) -> Json:
    short = call.query["functionId"]
    if ("cloudfunctions", _name(call, short)) in call.google.things:
        raise Refused(409, "ALREADY_EXISTS", f"{_name(call, short)} already exists.")
    thing = {**call.body, "name": _name(call, short)}
    _deploy(call, thing, short)
    call.google.put("cloudfunctions", thing["name"], thing)
    return done(call, thing)


@method("PATCH", "cloudfunctions", _ONE, "cloudfunctions.functions.update")
def patch(call: Call) -> Json:
    kept = call.google.get("cloudfunctions", _name(call))
    mask = [one for one in call.query.get("updateMask", "").split(",") if one]
    changed = masked(kept, call.body, mask) if mask else {**kept, **call.body}
    if ("eventTrigger" in changed) != ("eventTrigger" in kept):
        raise invalid("The trigger of a function cannot be changed to another type.")
    _deploy(call, changed, call.names["id"])
    call.google.things["cloudfunctions", _name(call)] = changed
    return done(call, changed)


@method("DELETE", "cloudfunctions", _ONE, "cloudfunctions.functions.delete")
def delete(call: Call) -> Json:
    call.google.remove("cloudfunctions", _name(call))
    call.google.remove("run", _service(call))
    return done(call, {})


def _deploy(call: Call, thing: Json, short: str) -> None:
    """Check what is deployed, as Cloud Functions does, and make the service of it."""
    google = call.google
    call.known(
        "name",
        "description",
        "buildConfig",
        "serviceConfig",
        "eventTrigger",
        "labels",
        "environment",
        "state",
        "updateTime",
        "createTime",
        "url",
        body=thing,
    )
    build, service = thing["buildConfig"], thing["serviceConfig"]
    call.known(*BUILD, body=build)
    call.known(*SERVICE, body=service)
    account_must_be_there(call, service["serviceAccountEmail"])
    account_must_be_there(call, build["serviceAccount"].split("/")[-1])
    source = build["source"]["storageSource"]
    content = google.objects.get((source["bucket"], source["object"]))
    if content is None:
        raise invalid("The source was not uploaded.")
    _build(call, build, content)
    for one in service.get("secretEnvironmentVariables", ()):
        secret = f"projects/{google.project}/secrets/{one['secret']}"
        account = f"serviceAccount:{service['serviceAccountEmail']}"
        if not google.below("secretmanager", f"{secret}/versions"):
            raise invalid(f"Secret {secret}/versions/latest was not found.")
        if not google.may(account, "secretmanager.versions.access", "secretmanager", secret):
            raise invalid(f"Permission denied on secret {secret} for {account}.")
    if "eventTrigger" in thing:
        _trigger(call, thing["eventTrigger"], short)
    url = f"https://{short}-{google.number}.{call.names['location']}.run.app"
    number = google.next()
    service |= {
        "uri": url,
        "service": _service(call, short),
        "revision": f"{short}-{number:05d}-abc",
    }
    thing |= {"environment": "GEN_2", "state": "ACTIVE", "updateTime": google.now(), "url": url}
    _run(call, thing, short)


def _build(call: Call, build: Json, content: bytes) -> None:
    """Build as the buildpacks do: a runtime, the file that holds the function, requirements."""
    if build["runtime"] not in RUNTIMES:
        raise invalid(f"Runtime {build['runtime']} is not supported.")
    files = set(zipfile.ZipFile(io.BytesIO(content)).namelist())
    source = build.get("environmentVariables", {}).get("GOOGLE_FUNCTION_SOURCE", "main.py")
    if source not in files:
        raise invalid(f"Build failed: {source} does not exist.")
    if "requirements.txt" not in files:
        raise invalid("Build failed: requirements.txt does not exist.")
    account = f"serviceAccount:{build['serviceAccount'].split('/')[-1]}"
    bucket = f"gcf-v2-sources-{call.google.number}-{call.names['location']}"
    on = f"projects/_/buckets/{bucket}/objects/source.zip"
    google = call.google
    for permission, where in (
        ("logging.logEntries.create", ""),
        ("artifactregistry.repositories.uploadArtifacts", ""),
        ("storage.objects.get", on),
    ):
        if not google.may(account, permission, "storage", "", where):
            raise invalid(f"Build failed: {account} lacks {permission} {where}.")


def _trigger(call: Call, trigger: Json, short: str) -> None:
    google = call.google
    call.known(*TRIGGER, body=trigger)
    filters = {one["attribute"]: one["value"] for one in trigger["eventFilters"]}
    bucket = google.get("storage", f"buckets/{filters['bucket']}")
    if bucket["location"].lower() != trigger["triggerRegion"]:
        raise invalid("The trigger has to be where the bucket is.")
    account_must_be_there(call, trigger["serviceAccountEmail"])
    account = f"serviceAccount:{trigger['serviceAccountEmail']}"
    storage = f"serviceAccount:service-{google.number}@gs-project-accounts.iam.gserviceaccount.com"
    for member, permission in (
        (account, "eventarc.events.receiveEvent"),
        (storage, "pubsub.topics.publish"),
    ):
        if not google.may(member, permission, "", ""):
            raise invalid(f"Creating trigger failed: {member} lacks {permission}.")
    if "eventarc" not in google.enabled or "pubsub" not in google.enabled:
        raise invalid("Creating trigger failed: Eventarc or Pub/Sub is not enabled.")
    trigger["trigger"] = _name(call, short).replace("/functions/", "/triggers/")


# -- Cloud Run ------------------------------------------------------------


def _run(call: Call, function: Json, short: str) -> None:
    """Keep the service of a function: a new revision, which takes all calls."""
    google = call.google
    name = _service(call, short)
    kept = google.things.setdefault(
        ("run", name),
        {"name": name, "short": short, "revisions": [], "traffic": [], "latest": True},
    )
    revision = function["serviceConfig"]["revision"]
    kept["revisions"].append(
        {
            "name": revision,
            "variables": dict(function["serviceConfig"]["environmentVariables"]),
            "labels": dict(function.get("labels", {})),
        }
    )
    all_of_it = function["serviceConfig"].pop("allTrafficOnLatestRevision", False)
    if all_of_it or all(one.get("latestRevision") for one in kept["traffic"]):
        kept["traffic"] = [{"latestRevision": True, "percent": 100, "revisionName": revision}]


_RUN = "/v1/projects/{project}/locations/{location}/services/{id}"


@method("GET", "run", f"{_RUN}:getIamPolicy")
def service_policy(call: Call) -> Json:
    call.need("run.services.getIamPolicy", "run", _service(call))
    call.google.get("run", _service(call))
    version = int(call.query.get("options.requestedPolicyVersion", 1))
    return policies.read(call, "run", _service(call), version=version)


@method("POST", "run", f"{_RUN}:setIamPolicy")
def set_service_policy(call: Call) -> Json:
    call.need("run.services.setIamPolicy", "run", _service(call))
    call.google.get("run", _service(call))
    return policies.write(call, "run", _service(call), call.body["policy"])


def serving(call: Call, kept: Json) -> Json:
    """Return a service as the serving API (Knative) shows it."""
    google = call.google
    newest = kept["revisions"][-1]
    function = google.things["cloudfunctions", kept["name"].replace("/services/", "/functions/")]
    config = function["serviceConfig"]
    location = kept["name"].split("/")[3]
    traffic = kept["traffic"]
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {
            "name": kept["short"],
            "namespace": google.number,
            "generation": len(kept["revisions"]),
            "resourceVersion": kept.setdefault("version", "AAA="),
            "labels": {"cloud.googleapis.com/location": location, **newest["labels"]},
            "annotations": {
                "run.googleapis.com/ingress": "all"
                if "ALL" in config.get("ingressSettings", "")
                and "INTERNAL" not in config.get("ingressSettings", "")
                else "internal",
                "cloudfunctions.googleapis.com/function-id": kept["short"],
            },
        },
        "spec": {
            "template": {
                "metadata": {"name": newest["name"]},
                "spec": {
                    "serviceAccountName": config["serviceAccountEmail"],
                    "containers": [
                        {
                            "image": "gcf-artifacts/x",
                            "env": [
                                {"name": name, "value": value}
                                for name, value in newest["variables"].items()
                            ],
                        }
                    ],
                },
            },
            "traffic": [
                {
                    key: value
                    for key, value in one.items()
                    if not (key == "revisionName" and one.get("latestRevision"))
                }
                for one in traffic
            ],
        },
        "status": {
            "observedGeneration": len(kept["revisions"]),
            "url": config["uri"],
            "address": {"url": config["uri"]},
            "latestReadyRevisionName": newest["name"],
            "latestCreatedRevisionName": newest["name"],
            "traffic": traffic,
            "conditions": [
                {"type": kind, "status": "True"}
                for kind in ("Ready", "ConfigurationsReady", "RoutesReady")
            ],
        },
    }


_KNATIVE = "/apis/serving.knative.dev/v1/namespaces/{project}"


def _kept(call: Call) -> Json:
    for (at, name), kept in call.google.things.items():
        if at == "run" and name.endswith(f"/services/{call.names['id']}"):
            return kept
    raise not_found(f"Service '{call.names['id']}'")


@method("GET", "run", f"{_KNATIVE}/services/{{id}}", "run.services.get")
def run_service(call: Call) -> Json:
    return serving(call, _kept(call))


@method("GET", "run", f"{_KNATIVE}/services", "run.services.list")
def run_services(call: Call) -> Json:
    found = [kept for (at, _), kept in call.google.things.items() if at == "run"]
    return {"items": [serving(call, kept) for kept in found], "metadata": {}}


@method("PUT", "run", f"{_KNATIVE}/services/{{id}}", "run.services.update")
def replace_service(call: Call) -> Json:
    """Change the traffic of a service; only that is changed other than by a deployment."""
    kept = _kept(call)
    names = {one["name"] for one in kept["revisions"]}
    traffic: list[Any] = call.body["spec"]["traffic"]
    if sum(one.get("percent", 0) for one in traffic) != 100:
        raise invalid("The percentages of the traffic must be 100 together.")
    for one in traffic:
        if not one.get("latestRevision") and one["revisionName"] not in names:
            raise not_found(f"Revision {one['revisionName']}")
        if one.get("latestRevision"):
            one["revisionName"] = kept["revisions"][-1]["name"]
        if one.get("tag"):
            host = re.sub(r"^https://", "", serving(call, kept)["status"]["url"])
            one["url"] = f"https://{one['tag']}---{host}"
    kept["traffic"] = traffic
    return serving(call, kept)


@method("GET", "run", f"{_KNATIVE}/revisions", "run.revisions.list")
def revisions(call: Call) -> Json:
    wanted = call.query.get("labelSelector", "")
    match = re.search(r"serving\.knative\.dev/service\s*=\s*(\S+?)(,|$)", wanted)
    items = []
    for (at, _), kept in call.google.things.items():
        if at != "run" or (match and kept["short"] != match[1]):
            continue
        for number, one in enumerate(reversed(kept["revisions"])):
            items.append(_revision(call, kept, one, number))
    return {"items": items, "metadata": {}}


@method("GET", "run", f"{_KNATIVE}/revisions/{{id}}", "run.revisions.get")
def revision(call: Call) -> Json:
    for (at, _), kept in call.google.things.items():
        if at == "run":
            for number, one in enumerate(reversed(kept["revisions"])):
                if one["name"] == call.names["id"]:
                    return _revision(call, kept, one, number)
    raise not_found(f"Revision '{call.names['id']}'")


def _revision(call: Call, kept: Json, one: Json, number: int) -> Json:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Revision",
        "metadata": {
            "name": one["name"],
            "namespace": call.google.number,
            "creationTimestamp": f"2026-01-01T00:{59 - number:02d}:00Z",
            "labels": {
                "serving.knative.dev/service": kept["short"],
                "cloud.googleapis.com/location": kept["name"].split("/")[3],
                **one["labels"],
            },
            "annotations": {},
        },
        "spec": {"containers": [{"image": "gcf-artifacts/x"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
