"""IAM policies of things: reading one, and what a new one has to be like."""

from __future__ import annotations

from tests.support.google import iam
from tests.support.google.server import Call, Json, Refused, invalid


def read(call: Call, service: str, name: str, *, version: int) -> Json:
    """Return the policy of a thing; who does not ask for version 3 sees no conditions."""
    policy = call.google.policies.setdefault((service, name), {"etag": "ACAB", "bindings": []})
    bindings = [dict(binding) for binding in policy["bindings"]]
    if version < 3:
        for number, binding in enumerate(bindings):
            if binding.pop("condition", None):
                binding["role"] += f"_withcond_{number:020x}"
    conditional = any("condition" in binding for binding in bindings)
    answer: Json = {"version": 3 if conditional else 1, "etag": policy["etag"]}
    if bindings:
        answer["bindings"] = bindings
    if "auditConfigs" in policy:
        answer["auditConfigs"] = policy["auditConfigs"]
    return answer


def write(call: Call, service: str, name: str, policy: Json, *, conditions: bool = True) -> Json:
    """Keep a new policy of a thing.

    Args:
        call: the request.
        service: the API that keeps the thing.
        name: the thing.
        policy: the new policy.
        conditions: whether such things know conditions.
    """
    google = call.google
    call.known("bindings", "etag", "version", "kind", "resourceId", "auditConfigs", body=policy)
    kept = google.policies.setdefault((service, name), {"etag": "ACAB", "bindings": []})
    if policy.get("etag") and policy["etag"] != kept["etag"]:
        raise Refused(
            409,
            "ABORTED",
            "There were concurrent policy changes. Please retry the whole "
            "read-modify-write with exponential backoff.",
        )
    conditional = [one for one in policy.get("bindings", ()) if "condition" in one]
    if conditional and policy.get("version", 0) != 3:
        raise invalid("Specified policy version is invalid: conditions take version 3.")
    if any("condition" in one for one in kept["bindings"]) and policy.get("version", 0) != 3:
        raise invalid("A policy with conditions is changed with version 3 only.")
    if conditional and not conditions:
        raise invalid("Conditions are not supported on this kind of resource.")
    custom = {thing for at, thing in google.things if at == "iam" and "/roles/" in thing}
    for binding in policy.get("bindings", ()):
        call.known("role", "members", "condition", body=binding)
        role = binding["role"]
        if role not in iam.ROLES and role not in custom | iam.BASIC:
            raise invalid(f"Role {role} is not supported for this resource.")
        if "condition" in binding:
            wrong = iam.wrong_condition(binding["condition"])
            if role in iam.BASIC:
                wrong = f"{role} takes no condition."
            if wrong:
                raise invalid(wrong)
        for member in binding.get("members", ()):
            if not member.startswith(("user:", "group:", "serviceAccount:", "domain:", "allUsers")):
                raise invalid(f"Invalid member: {member}")
            was = any(member in one["members"] for one in kept["bindings"])
            if not was and not google.exists(member):
                raise invalid(f"Service account {member.partition(':')[2]} does not exist.")
    kept["bindings"] = [one for one in policy.get("bindings", ()) if one.get("members")]
    if "auditConfigs" in policy:
        kept["auditConfigs"] = policy["auditConfigs"]
    kept["etag"] = google.etag()
    return read(call, service, name, version=3)
