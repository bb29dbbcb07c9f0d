"""The methods that are like no other."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import google_crc32c

from tests.support.google import policies
from tests.support.google.iam import ROLES
from tests.support.google.kinds import account_must_be_there, done
from tests.support.google.server import Bytes, Call, Json, Refused, invalid, method, not_found

# -- service usage, projects, billing -------------------------------------------------------------


@method(
    "POST",
    "serviceusage",
    "/v1/projects/{project}/services:batchEnable",
    "serviceusage.services.enable",
)
def enable(call: Call) -> Json:
    call.known("serviceIds")
    call.google.enabled |= {name.split(".")[0] for name in call.body["serviceIds"]}
    return done(call, {}, "operations")


@method(
    "POST",
    "serviceusage",
    "/v1/projects/{project}/services/{name}:enable",
    "serviceusage.services.enable",
)
def enable_one(call: Call) -> Json:
    call.google.enabled.add(call.names["name"].split(".")[0])
    return done(call, {}, "operations")


@method(
    "GET", "serviceusage", "/v1/projects/{project}/services/{name}", "serviceusage.services.get"
)
def is_enabled(call: Call) -> Json:
    on = call.names["name"].split(".")[0] in call.google.enabled
    return {"name": call.path[4:], "state": "ENABLED" if on else "DISABLED"}


AGENTS = {
    "eventarc": "gcp-sa-eventarc",
    "pubsub": "gcp-sa-pubsub",
    "storage": "gs-project-accounts",
}


@method(
    "POST",
    "serviceusage",
    "/v1/projects/{project}/services/{name}:generateServiceIdentity",
    "serviceusage.services.enable",
)
def identity(call: Call) -> Json:
    service = call.names["name"].split(".")[0]
    if service not in call.google.enabled:
        raise Refused(400, "FAILED_PRECONDITION", f"{service} is not enabled.")
    email = _agent(call, service)
    return done(call, {"email": email, "uniqueId": "1"}, "operations")


def _agent(call: Call, service: str) -> str:
    email = f"service-{call.google.number}@{AGENTS[service]}.iam.gserviceaccount.com"
    call.google.agents.add(email)
    return email


@method("GET", "cloudresourcemanager", "/v1/projects/{project}", "resourcemanager.projects.get")
def project(call: Call) -> Json:
    google = call.google
    return {"projectId": google.project, "projectNumber": google.number, "lifecycleState": "ACTIVE"}


@method(
    "POST",
    "cloudresourcemanager",
    "/v1/projects/{project}:getIamPolicy",
    "resourcemanager.projects.getIamPolicy",
)
def project_policy(call: Call) -> Json:
    version = call.body.get("options", {}).get("requestedPolicyVersion", 1)
    return policies.read(call, "", "", version=version)


@method(
    "POST",
    "cloudresourcemanager",
    "/v1/projects/{project}:setIamPolicy",
    "resourcemanager.projects.setIamPolicy",
)
def set_project_policy(call: Call) -> Json:
    return policies.write(call, "", "", call.body["policy"])


@method("POST", "cloudresourcemanager", "/v1/projects/{project}:testIamPermissions")
def test_permissions(call: Call) -> Json:
    asked = call.body["permissions"]
    return {"permissions": [one for one in asked if call.google.may(call.member, one, "", "")]}


@method("GET", "cloudbilling", "/v1/projects/{project}/billingInfo", "resourcemanager.projects.get")
def billing(call: Call) -> Json:
    return {
        "name": f"projects/{call.google.project}/billingInfo",
        "projectId": call.google.project,
        "billingAccountName": "billingAccounts/000000-AAAAAA-111111",
        "billingEnabled": True,
    }


# -- service accounts ------------------------------------------------------------


def _account_name(call: Call) -> str:
    return f"projects/{call.google.project}/serviceAccounts/{call.names['email']}"


@method("GET", "iam", "/v1/projects/{project}/serviceAccounts", "iam.serviceAccounts.list")
def accounts(call: Call) -> Json:
    return {"accounts": call.google.below("iam", f"projects/{call.google.project}/serviceAccounts")}


@method("POST", "iam", "/v1/projects/{project}/serviceAccounts", "iam.serviceAccounts.create")
def create_account(call: Call) -> Json:
    call.known("accountId", "serviceAccount")
    short = call.body["accountId"]
    if not re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", short):
        raise invalid(f"The account ID '{short}' does not have a valid length or form.")
    email = f"{short}@{call.google.project}.iam.gserviceaccount.com"
    name = f"projects/{call.google.project}/serviceAccounts/{email}"
    return call.google.put(
        "iam", name, {**call.body.get("serviceAccount", {}), "name": name, "email": email}
    )


@method(
    "DELETE", "iam", "/v1/projects/{project}/serviceAccounts/{email}", "iam.serviceAccounts.delete"
)
def delete_account(call: Call) -> Json:
    call.google.remove("iam", _account_name(call))
    return {}


@method(
    "POST",
    "iam",
    "/v1/projects/{project}/serviceAccounts/{email}:getIamPolicy",
    "iam.serviceAccounts.getIamPolicy",
)
def account_policy(call: Call) -> Json:
    call.google.get("iam", _account_name(call))
    version = int(call.query.get("options.requestedPolicyVersion", 1))
    return policies.read(call, "iam", _account_name(call), version=version)


@method(
    "POST",
    "iam",
    "/v1/projects/{project}/serviceAccounts/{email}:setIamPolicy",
    "iam.serviceAccounts.setIamPolicy",
)
def set_account_policy(call: Call) -> Json:
    call.google.get("iam", _account_name(call))
    return policies.write(call, "iam", _account_name(call), call.body["policy"])


@method("POST", "iam", "/v1/permissions:queryTestablePermissions")
def testable(call: Call) -> Json:
    known = sorted({one for given in ROLES.values() for one in given if "*" not in one})
    known += ["storage.buckets.update"]
    return {"permissions": [{"name": one, "stage": "GA"} for one in known]}


# -- Cloud Storage ------------------------------------------------------------

BUCKET = frozenset(
    {
        "name",
        "location",
        "storageClass",
        "iamConfiguration",
        "lifecycle",
        "softDeletePolicy",
        "labels",
    }
    | {
        "versioning",
        "etag",
        "id",
        "kind",
        "metageneration",
        "projectNumber",
        "timeCreated",
        "updated",
    }
    | {"selfLink", "locationType", "cors", "retentionPolicy", "autoclass", "logging"}
)


def _bucket(call: Call, permission: str, *, object_name: str = "") -> str:
    """Return a bucket's name, if the caller has that permission there."""
    bucket = call.names["bucket"]
    if object_name:
        on = f"projects/_/buckets/{bucket}/objects/{object_name}"
    else:
        on = f"projects/_/buckets/{bucket}"
    if ("storage", f"buckets/{bucket}") not in call.google.things:
        raise not_found(f"The bucket {bucket}")
    call.need(permission, "storage", f"buckets/{bucket}", condition_on=on)
    return bucket


@method("GET", "storage", "/storage/v1/b", "storage.buckets.list")
def buckets(call: Call) -> Json:
    prefix = call.query.get("prefix", "")
    found = call.google.below("storage", "buckets")
    return {
        "kind": "storage#buckets",
        "items": [one for one in found if one["name"].startswith(prefix)],
    }


@method("POST", "storage", "/storage/v1/b", "storage.buckets.create")
def create_bucket(call: Call) -> Json:
    call.known(*BUCKET)
    name = call.body["name"]
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", name):
        raise invalid(f"Invalid bucket name: '{name}'")
    made = {
        "kind": "storage#bucket",
        "id": name,
        "projectNumber": call.google.number,
        "metageneration": "1",
        "storageClass": "STANDARD",
        "timeCreated": call.google.now(),
        "updated": call.google.now(),
        "etag": "CAE=",
        **call.body,
    }
    made["location"] = call.body.get("location", "US").upper()
    return call.google.put("storage", f"buckets/{name}", made)


@method("GET", "storage", "/storage/v1/b/{bucket}")
def bucket(call: Call) -> Json:
    return call.google.get("storage", f"buckets/{_bucket(call, 'storage.buckets.get')}")


@method("PATCH", "storage", "/storage/v1/b/{bucket}")
def patch_bucket(call: Call) -> Json:
    call.known(*BUCKET)
    kept = bucket_of(call, "storage.buckets.update")
    if call.body.get("location", kept["location"]).upper() != kept["location"]:
        raise invalid("The location of a bucket cannot be changed.")
    for name, value in call.body.items():
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = value
    kept["metageneration"] = str(int(kept["metageneration"]) + 1)
    return kept


def bucket_of(call: Call, permission: str) -> Json:
    """Return a bucket that the caller has that permission on."""
    return call.google.get("storage", f"buckets/{_bucket(call, permission)}")


@method("GET", "storage", "/storage/v1/b/{bucket}/storageLayout")
def layout(call: Call) -> Json:
    bucket = _bucket(call, "storage.objects.list")
    return {"kind": "storage#storageLayout", "bucket": bucket, "locationType": "region"}


@method("GET", "storage", "/storage/v1/b/{bucket}/managedFolders")
def folders(call: Call) -> Json:
    _bucket(call, "storage.managedFolders.list")
    return {"kind": "storage#managedFolders"}


@method("DELETE", "storage", "/storage/v1/b/{bucket}")
def delete_bucket(call: Call) -> Bytes:
    name = _bucket(call, "storage.buckets.delete")
    if any(at == name for at, _ in call.google.objects):
        raise Refused(409, "CONFLICT", "The bucket you tried to delete is not empty.")
    call.google.remove("storage", f"buckets/{name}")
    return Bytes(b"")


@method("GET", "storage", "/storage/v1/b/{bucket}/iam")
def bucket_policy(call: Call) -> Json:
    name = _bucket(call, "storage.buckets.getIamPolicy")
    version = int(call.query.get("optionsRequestedPolicyVersion", 1))
    return {
        "kind": "storage#policy",
        **policies.read(call, "storage", f"buckets/{name}", version=version),
    }


@method("PUT", "storage", "/storage/v1/b/{bucket}/iam")
def set_bucket_policy(call: Call) -> Json:
    name = _bucket(call, "storage.buckets.setIamPolicy")
    access = call.google.get("storage", f"buckets/{name}").get("iamConfiguration", {})
    uniform = access.get("uniformBucketLevelAccess", {}).get("enabled", False)
    return policies.write(call, "storage", f"buckets/{name}", call.body, conditions=uniform)


@method(
    "GET",
    "storage",
    "/storage/v1/projects/{project}/serviceAccount",
    "resourcemanager.projects.get",
)
def storage_agent(call: Call) -> Json:
    return {"kind": "storage#serviceAccount", "email_address": _agent(call, "storage")}


def _object(call: Call, bucket: str, name: str, content: bytes) -> Json:
    return {
        "kind": "storage#object",
        "bucket": bucket,
        "name": name,
        "generation": "1",
        "metageneration": "1",
        "size": str(len(content)),
        "contentType": "application/octet-stream",
        "md5Hash": base64.b64encode(hashlib.md5(content).digest()).decode(),
        "timeCreated": call.google.now(),
        "updated": call.google.now(),
        "etag": "CAE=",
        "id": f"{bucket}/{name}/1",
        "mediaLink": f"https://storage.googleapis.com/download/storage/v1/b/{bucket}/o/{name}?alt=media",
        "storageClass": "STANDARD",
    }


@method("POST", "storage", "/upload/storage/v1/b/{bucket}/o")
@method("POST", "storage", "/resumable/upload/storage/v1/b/{bucket}/o")
def upload(call: Call) -> Any:
    name = call.query.get("name", "")
    content = call.raw
    kind = call.query.get("uploadType")
    if kind == "multipart":
        name, content = _multipart(call, name)
    elif kind == "resumable":
        name = name or json.loads(call.raw or b"{}").get("name", "")
        where = f"https://storage.googleapis.com/upload/storage/v1/b/{call.names['bucket']}/o"
        _bucket(call, "storage.objects.create", object_name=name)
        return Bytes(b"", {"Location": f"{where}?uploadType=session&name={name}"})
    bucket = _bucket(call, "storage.objects.create", object_name=name)
    call.google.objects[bucket, name] = content
    call.google.uploaded(bucket, name)
    return _object(call, bucket, name, content)


@method("PUT", "storage", "/upload/storage/v1/b/{bucket}/o")
@method("PUT", "storage", "/resumable/upload/storage/v1/b/{bucket}/o")
def upload_session(call: Call) -> Json:
    bucket, name = call.names["bucket"], call.query["name"]
    call.google.objects[bucket, name] = call.raw
    call.google.uploaded(bucket, name)
    return _object(call, bucket, name, call.raw)


def _multipart(call: Call, name: str) -> tuple[str, bytes]:
    boundary = re.search(r"boundary=['\"]?([^'\";]+)", call.headers["content-type"])
    assert boundary
    mark = b"--" + boundary[1].encode()
    end = b"\r\n" if call.raw.startswith(mark + b"\r\n") else b"\n"
    _, described, sent, *_ = (end + call.raw).split(end + mark)
    contents = [part.split(end + end, 1)[1] for part in (described, sent)]
    return name or json.loads(contents[0])["name"], contents[1]


@method("GET", "storage", "/storage/v1/b/{bucket}/o")
def objects(call: Call) -> Json:
    bucket = _bucket(call, "storage.objects.list")
    prefix = call.query.get("prefix", "")
    found = [
        _object(call, bucket, name, content)
        for (at, name), content in call.google.objects.items()
        if at == bucket and name.startswith(prefix)
    ]
    return {"kind": "storage#objects", **({"items": found} if found else {})}


@method("GET", "storage", "/storage/v1/b/{bucket}/o/{name}")
@method("GET", "storage", "/download/storage/v1/b/{bucket}/o/{name*}")
def read_object(call: Call) -> Any:
    bucket = _bucket(call, "storage.objects.get", object_name=call.names["name"])
    content = call.google.objects.get((bucket, call.names["name"]))
    if content is None:
        raise not_found(f"No such object: {bucket}/{call.names['name']}")
    if call.query.get("alt") == "media":
        return Bytes(content)
    return _object(call, bucket, call.names["name"], content)


@method("DELETE", "storage", "/storage/v1/b/{bucket}/o/{name}")
def delete_object(call: Call) -> Bytes:
    bucket = _bucket(call, "storage.objects.delete", object_name=call.names["name"])
    if call.google.objects.pop((bucket, call.names["name"]), None) is None:
        raise not_found(f"No such object: {bucket}/{call.names['name']}")
    return Bytes(b"")


# -- secrets ------------------------------------------------------------


def _secret(call: Call) -> str:
    name = f"projects/{call.google.project}/secrets/{call.names['secret']}"
    call.google.get("secretmanager", name)
    return name


@method(
    "GET",
    "secretmanager",
    "/v1/projects/{project}/secrets/{secret}/versions",
    "secretmanager.versions.list",
)
def versions(call: Call) -> Json:
    found = call.google.below("secretmanager", f"{_secret(call)}/versions")
    state = call.query.get("filter", "").lower()
    return {
        "versions": [
            one for one in reversed(found) if "enabled" not in state or one["state"] == "ENABLED"
        ]
    }


@method(
    "POST",
    "secretmanager",
    "/v1/projects/{project}/secrets/{secret}:addVersion",
    "secretmanager.versions.add",
)
def add_version(call: Call) -> Json:
    secret = _secret(call)
    number = len(call.google.below("secretmanager", f"{secret}/versions")) + 1
    name = f"{secret}/versions/{number}"
    call.known("payload")
    payload = call.body["payload"]
    content = base64.b64decode(payload["data"])
    if int(payload.get("dataCrc32c", google_crc32c.value(content))) != google_crc32c.value(content):
        raise invalid("The checksum is not that of the data.")
    call.google.objects["secretmanager", name] = content
    version = {
        "name": name,
        "state": "ENABLED",
        "createTime": call.google.now(),
        "clientSpecifiedPayloadChecksum": "dataCrc32c" in payload,
    }
    return call.google.put("secretmanager", name, version)


@method("GET", "secretmanager", "/v1/projects/{project}/secrets/{secret}/versions/{number}:access")
def access(call: Call) -> Json:
    secret = _secret(call)
    call.need("secretmanager.versions.access", "secretmanager", secret)
    number = call.names["number"]
    if number == "latest":
        number = str(len(call.google.below("secretmanager", f"{secret}/versions")))
    content = call.google.objects.get(("secretmanager", f"{secret}/versions/{number}"))
    if content is None:
        raise not_found(f"Secret Version [{secret}/versions/{number}]")
    return {
        "name": f"{secret}/versions/{number}",
        "payload": {
            "data": base64.b64encode(content).decode(),
            "dataCrc32c": str(google_crc32c.value(content)),
        },
    }


# -- operations ------------------------------------------------------------


def operation(call: Call) -> Json:
    """Return how an operation went."""
    return call.google.get(call.service, call.path.split("/", 2)[2])


for _service in (
    "serviceusage",
    "firestore",
    "artifactregistry",
    "cloudfunctions",
    "cloudbuild",
    "run",
):
    method("GET", _service, "/v1/operations/{id}")(operation)
    method("GET", _service, "/v1/projects/{project}/locations/{location}/operations/{id}")(
        operation
    )

method("GET", "firestore", "/v1/projects/{project}/databases/{database}/operations/{id}")(operation)


# -- Cloud Build ------------------------------------------------------------


@method("POST", "cloudbuild", "/v1/projects/{project}/builds")
@method("POST", "cloudbuild", "/v1/projects/{project}/locations/{location}/builds")
def submit(call: Call) -> Json:
    call.need("cloudbuild.builds.create", "cloudbuild", "")
    call.need("serviceusage.services.use", "serviceusage", "")
    call.known(
        *("source", "steps", "images", "timeout", "options", "substitutions", "serviceAccount"),
        *("tags", "logsBucket", "artifacts", "queueTtl", "availableSecrets", "secrets"),
    )
    google = call.google
    email = call.body["serviceAccount"].split("/")[-1].replace("${PROJECT_ID}", google.project)
    account_must_be_there(call, email)
    source = call.body["source"]["storageSource"]
    on = f"projects/_/buckets/{source['bucket']}/objects/{source['object']}"
    member = f"serviceAccount:{email}"
    for permission, service, name in (
        ("storage.objects.get", "storage", f"buckets/{source['bucket']}"),
        ("logging.logEntries.create", "", ""),
    ):
        if not google.may(member, permission, service, name, on):
            raise invalid(f"The build's account {email} lacks {permission}.")
    if call.body["options"].get("logging") != "CLOUD_LOGGING_ONLY":
        raise invalid("A build as an account of one's own has to say where its log goes.")
    short = f"build-{google.next()}"
    name = f"projects/{google.project}/locations/global/builds/{short}"
    build = google.put(
        "cloudbuild",
        name,
        {
            **call.body,
            "id": short,
            "name": name,
            "status": "SUCCESS",
            "projectId": google.project,
            "createTime": google.now(),
            "startTime": google.now(),
            "finishTime": google.now(),
            "logUrl": "https://console.cloud.google.com/",
        },
    )
    answer = done(call, {}, f"projects/{google.project}/locations/global")
    answer["metadata"] = {
        "@type": "type.googleapis.com/google.devtools.cloudbuild.v1.BuildOperationMetadata",
        "build": build,
    }
    return answer


@method("GET", "cloudbuild", "/v1/projects/{project}/builds/{id}", "cloudbuild.builds.get")
@method(
    "GET",
    "cloudbuild",
    "/v1/projects/{project}/locations/{location}/builds/{id}",
    "cloudbuild.builds.get",
)
def get_build(call: Call) -> Json:
    name = f"projects/{call.google.project}/locations/global/builds/{call.names['id']}"
    return call.google.get("cloudbuild", name)
