"""Compute Engine: addresses, networks, firewall rules and machines."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.google.server import Call, Json, Refused, invalid, method, not_found


@dataclass(frozen=True, slots=True)
class Part:
    """One collection: `where` is global, regional or zonal."""

    name: str
    where: str
    members: frozenset[str]

    @property
    def path(self) -> str:
        """Return where the collection is."""
        place = {
            "global": "global",
            "region": "regions/{region}",
            "zone": "zones/{zone}",
        }[self.where]
        return f"/compute/v1/projects/{{project}}/{place}/{self.name}"

    def register(self) -> None:
        """Register the methods."""
        method("GET", "compute", self.path)(self.list_all)
        method("POST", "compute", self.path)(self.create)
        method("GET", "compute", f"{self.path}/{{id}}")(self.get)
        method("PATCH", "compute", f"{self.path}/{{id}}")(self.patch)
        method("DELETE", "compute", f"{self.path}/{{id}}")(self.delete)
        if self.where != "global":
            every = f"/compute/v1/projects/{{project}}/aggregated/{self.name}"
            method("GET", "compute", every)(self.aggregated)

    def key(self, call: Call, short: str = "") -> str:
        """Return the name of a thing."""
        place = call.names.get("region") or call.names.get("zone") or "global"
        return f"{place}/{self.name}/{short or call.names['id']}"

    def need(self, call: Call, verb: str) -> None:
        """Ask for the permission."""
        call.need(f"compute.{self.name}.{verb}", "compute", "")

    def list_all(self, call: Call) -> Json:
        self.need(call, "list")
        return {"items": call.google.below("compute", self.key(call, "x").rpartition("/")[0])}

    def aggregated(self, call: Call) -> Json:
        self.need(call, "list")
        items: Json = {}
        for (at, name), thing in call.google.things.items():
            if at == "compute" and name.split("/")[1] == self.name:
                place = f"{self.where}s/{name.split('/')[0]}"
                items.setdefault(place, {self.name: []})[self.name].append(thing)
        return {"items": items}

    def create(self, call: Call) -> Json:
        self.need(call, "create")
        call.known("name", *self.members)
        google = call.google
        name = self.key(call, call.body["name"])
        link = f"https://www.googleapis.com{call.path}/{call.body['name']}"
        thing = {**call.body, "id": str(google.next()), "selfLink": link, "kind": "compute#thing"}
        if self.where != "global":
            thing[self.where] = f"https://www.googleapis.com{call.path.rpartition('/')[0]}"
        _made(call, self.name, thing)
        google.put("compute", name, thing)
        return operation(call, link)

    def get(self, call: Call) -> Json:
        self.need(call, "get")
        return call.google.get("compute", self.key(call))

    def patch(self, call: Call) -> Json:
        self.need(call, "update")
        call.known("name", *self.members)
        thing = call.google.get("compute", self.key(call))
        if call.body.get("network", thing.get("network")) != thing.get("network"):
            raise invalid("The network of a thing cannot be changed.")
        thing |= call.body
        return operation(call, thing["selfLink"])

    def delete(self, call: Call) -> Json:
        self.need(call, "delete")
        thing = call.google.get("compute", self.key(call))
        link = str(thing["selfLink"])
        for (at, name), other in call.google.things.items():
            users = [other.get("network"), other.get("subnetwork")]
            users += [one.get("subnetwork") for one in other.get("networkInterfaces", ())]
            if at == "compute" and any(_same(link, one) for one in users):
                raise Refused(400, "INVALID_ARGUMENT", f"{link} is used by {name}.")
        call.google.remove("compute", self.key(call))
        return operation(call, link, "delete")


def _same(link: str, other: object) -> bool:
    return (
        isinstance(other, str)
        and link.partition("/projects/")[2] == other.partition("/projects/")[2]
    )


def _made(call: Call, kind: str, thing: Json) -> None:
    if kind == "addresses":
        thing |= {"address": "203.0.113.9", "status": "RESERVED", "addressType": "EXTERNAL"}
    if kind in ("subnetworks", "firewalls"):
        short = thing["network"].rpartition("/")[2]
        call.google.get("compute", f"global/networks/{short}")
    if kind == "instances":
        thing["status"] = "RUNNING"
        for account in thing.get("serviceAccounts", ()):
            if not call.google.exists(f"serviceAccount:{account['email']}"):
                raise not_found(f"Service account {account['email']}")
        thing.setdefault("metadata", {})["fingerprint"] = call.google.etag()


def operation(call: Call, link: str, kind: str = "update") -> Json:
    """Return an operation that has ended well."""
    place = call.path.partition("/projects/")[2].split("/")[1:]
    where = "/".join(place[: 1 if place[0] == "global" else 2])
    short = f"operation-{call.google.next()}"
    at = f"projects/{call.google.project}/{where}"
    thing = {
        "kind": "compute#operation",
        "name": short,
        "status": "DONE",
        "progress": 100,
        "targetLink": link,
        "operationType": kind,
        "selfLink": f"https://www.googleapis.com/compute/v1/{at}/operations/{short}",
    }
    for part in ("zone", "region"):
        if where.startswith(part):
            thing[part] = f"https://www.googleapis.com/compute/v1/{at}"
    call.google.things["compute", f"{where}/operations/{short}"] = thing
    return thing


def _operation(call: Call) -> Json:
    where = call.path.partition("/projects/")[2].partition("/")[2]
    return call.google.get("compute", where.removesuffix("/wait"))


for _where in ("global", "regions/{region}", "zones/{zone}"):
    _path = f"/compute/v1/projects/{{project}}/{_where}/operations/{{id}}"
    method("GET", "compute", _path)(_operation)
    method("POST", "compute", f"{_path}/wait")(_operation)

PARTS = [
    Part("addresses", "region", frozenset({"description", "networkTier", "addressType"})),
    Part(
        "networks",
        "global",
        frozenset({"autoCreateSubnetworks", "routingConfig", "description", "mtu"}),
    ),
    Part(
        "subnetworks",
        "region",
        frozenset(
            {"network", "ipCidrRange", "privateIpGoogleAccess", "region", "purpose", "role"}
            | {"description", "logConfig", "enableFlowLogs", "stackType"}
        ),
    ),
    Part(
        "firewalls",
        "global",
        frozenset(
            {"network", "direction", "allowed", "denied", "sourceRanges", "targetTags", "priority"}
            | {"description", "disabled", "logConfig", "sourceTags", "selfLink", "id", "kind"}
        ),
    ),
    Part(
        "instances",
        "zone",
        frozenset(
            {"machineType", "disks", "networkInterfaces", "metadata", "tags", "serviceAccounts"}
            | {"scheduling", "shieldedInstanceConfig", "canIpForward", "deletionProtection"}
            | {"description", "labels", "minCpuPlatform", "confidentialInstanceConfig"}
        ),
    ),
]
for _part in PARTS:
    _part.register()

_INSTANCE = "/compute/v1/projects/{project}/zones/{zone}/instances/{id}"


def _instance(call: Call) -> Json:
    return call.google.get("compute", f"{call.names['zone']}/instances/{call.names['id']}")


@method("POST", "compute", f"{_INSTANCE}/setMetadata", "compute.instances.setMetadata")
def set_metadata(call: Call) -> Json:
    call.known("items", "fingerprint", "kind")
    thing = _instance(call)
    if call.body.get("fingerprint") != thing["metadata"]["fingerprint"]:
        raise Refused(412, "CONDITION_NOT_MET", "Supplied fingerprint does not match.")
    thing["metadata"] = {**call.body, "fingerprint": call.google.etag()}
    return operation(call, thing["selfLink"])


@method("POST", "compute", f"{_INSTANCE}/stop", "compute.instances.stop")
def stop(call: Call) -> Json:
    _instance(call)["status"] = "TERMINATED"
    return operation(call, _instance(call)["selfLink"])


@method("POST", "compute", f"{_INSTANCE}/start", "compute.instances.start")
def start(call: Call) -> Json:
    _instance(call)["status"] = "RUNNING"
    return operation(call, _instance(call)["selfLink"])


@method("GET", "compute", "/compute/v1/projects/{any}/global/images/family/{family}")
def image(call: Call) -> Json:
    link = f"https://www.googleapis.com/compute/v1/projects/{call.names['any']}/global/images/cos-1"
    return {"name": "cos-1", "selfLink": link, "family": call.names["family"], "diskSizeGb": "10"}


@method("GET", "compute", "/compute/v1/projects/{project}", "compute.projects.get")
def project(call: Call) -> Json:
    return {"name": call.google.project, "defaultServiceAccount": ""}


@method("GET", "compute", "/compute/v1/projects/{project}/zones/{zone}", "compute.zones.get")
def zone(call: Call) -> Json:
    return {"name": call.names["zone"], "status": "UP"}
