"""What the Firebase CLI asks for when it deploys the rules and the indexes of Firestore."""

from __future__ import annotations

import re

from tests.support.google.kinds import done
from tests.support.google.server import Call, Json, Refused, invalid, method


@method("POST", "www", "/oauth2/v3/token")
def token(call: Call) -> Json:
    """Return a token: the e-mail of who asks is the refresh token, too."""
    match = re.search(rb"[\w.-]+@[\w.-]+", call.raw)
    assert match
    email = match[0].decode()
    return {"access_token": email, "expires_in": 3600, "token_type": "Bearer"}


@method("GET", "firebase-public", "/cli.json")
def news(call: Call) -> Json:
    """Return the Firebase CLI's news: none."""
    return {}


_RULES = "/v1/projects/{project}"


@method("POST", "firebaserules", f"{_RULES}:test", "firebaserules.rulesets.test")
def check(call: Call) -> Json:
    """Return what is wrong with rules: nothing, as far as the stub reads them."""
    for file in call.body["source"]["files"]:
        if "service cloud.firestore" not in file["content"]:
            raise invalid("These are no rules of Firestore.")
    return {}


@method("POST", "firebaserules", f"{_RULES}/rulesets", "firebaserules.rulesets.create")
def ruleset(call: Call) -> Json:
    call.known("source", "attachmentPoint", "attachment_point", "metadata")
    name = f"projects/{call.google.project}/rulesets/{call.google.next()}"
    thing = {**call.body, "name": name, "createTime": call.google.now()}
    return call.google.put("firebaserules", name, thing)


@method("GET", "firebaserules", f"{_RULES}/rulesets/{{id}}", "firebaserules.rulesets.get")
def get_ruleset(call: Call) -> Json:
    name = f"projects/{call.google.project}/rulesets/{call.names['id']}"
    return call.google.get("firebaserules", name)


def _release(call: Call) -> str:
    return f"projects/{call.google.project}/releases/{call.names['name']}"


@method("GET", "firebaserules", f"{_RULES}/releases", "firebaserules.releases.list")
def releases(call: Call) -> Json:
    things = call.google.things.items()
    return {"releases": [one for (_, name), one in things if "/releases/" in name]}


@method("PATCH", "firebaserules", f"{_RULES}/releases/{{name*}}", "firebaserules.releases.update")
def update_release(call: Call) -> Json:
    call.known("release", "updateMask")
    kept = call.google.get("firebaserules", _release(call))
    call.google.get("firebaserules", call.body["release"]["rulesetName"])
    kept["rulesetName"] = call.body["release"]["rulesetName"]
    return kept


@method("POST", "firebaserules", f"{_RULES}/releases", "firebaserules.releases.create")
def create_release(call: Call) -> Json:
    call.known("name", "rulesetName")
    call.google.get("firebaserules", call.body["rulesetName"])
    return call.google.put("firebaserules", call.body["name"], dict(call.body))


_GROUP = "/v1/projects/{project}/databases/{database}/collectionGroups/{group}"


def _name(call: Call) -> str:
    return call.path.partition("/")[2].partition("/")[2]


def _below(call: Call, name: str) -> bool:
    """Whether a name is one of the call's kind and database, in whatever collection group."""
    return name.startswith(_name(call).split("collectionGroups/")[0]) and (
        f"/{call.path.split('/')[-1]}/" in name
    )


@method("GET", "firestore", f"{_GROUP}/indexes", "datastore.indexes.list")
def indexes(call: Call) -> Json:
    things = call.google.things.items()
    found = [one for (at, name), one in things if at == "firestore" and _below(call, name)]
    return {"indexes": found} if found else {}


@method("POST", "firestore", f"{_GROUP}/indexes", "datastore.indexes.create")
def create_index(call: Call) -> Json:
    call.known("queryScope", "fields", "apiScope", "density", "multikey", "unique")
    for one in call.google.below("firestore", _name(call)):
        if one["given"] == call.body:
            raise Refused(409, "ALREADY_EXISTS", "index already exists")
    name = f"{_name(call)}/{call.google.next()}"
    order = call.body["fields"][-1].get("order", "ASCENDING")
    fields = [*call.body["fields"], {"fieldPath": "__name__", "order": order}]
    thing = {**call.body, "fields": fields, "name": name, "state": "READY", "given": call.body}
    call.google.put("firestore", name, thing)
    return done(call, thing)


@method("GET", "firestore", f"{_GROUP}/fields", "datastore.indexes.list")
def fields(call: Call) -> Json:
    things = call.google.things.items()
    found = [one for (at, name), one in things if at == "firestore" and _below(call, name)]
    if "ttlConfig" in call.query.get("filter", "") and "OR" not in call.query["filter"]:
        found = [one for one in found if "ttlConfig" in one]
    return {"fields": found} if found else {}


@method("PATCH", "firestore", f"{_GROUP}/fields/{{field}}", "datastore.indexes.update")
def change_field(call: Call) -> Json:
    call.known("name", "indexConfig", "ttlConfig")
    key = ("firestore", _name(call))
    thing = call.google.things.setdefault(key, {"name": _name(call)})
    asked = call.query.get("updateMask", "").split(",")
    for part in ("indexConfig", "ttlConfig"):
        if part in asked or not asked[0]:
            thing.pop(part, None)
            if part in call.body:
                thing[part] = call.body[part]
    if "ttlConfig" in thing:
        thing["ttlConfig"] = {"state": "ACTIVE"}
    for index in thing.get("indexConfig", {}).get("indexes", ()):
        index.setdefault("queryScope", "COLLECTION")
        index["state"] = "READY"
    return done(call, thing)
