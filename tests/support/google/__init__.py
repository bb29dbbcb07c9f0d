"""A small Google Cloud, one project of it, that the real gcloud and the real Firebase CLI talk to.

`server.Google` is a proxy (`HTTPS_PROXY`) that answers for Google's hosts itself, with a
certificate of its own authority, and lets nothing else through. So the tools run as they are, and
nothing reaches the network.

It is strict where Google is strict. It refuses an API that is not enabled, a permission that the
caller lacks, an unknown member of a body, an old etag, a thing that is there already or is not
there, a role, an account or a condition that cannot be, and a change of what cannot be changed.
The token of a caller is its e-mail address. Everything is in memory.

**To add an API.** For a usual collection (list, create, get, patch, delete, IAM policy), add a
`Kind` to `kinds.py`. For a method of its own, write a function with `@method(...)` in
`methods.py`; it gets a `Call` and returns the JSON of the answer:

    @method("POST", "monitoring", "/v3/projects/{project}/snoozes", "monitoring.snoozes.create")
    def create_snooze(call: Call) -> Json:
        call.known("displayName", "criteria", "interval")
        name = f"projects/{call.google.project}/snoozes/{call.google.next()}"
        return call.google.put("monitoring", name, {**call.body, "name": name})

The permission of a `Kind` is its prefix and the verb, such as `cloudtasks.queues.create`. What a
role includes is in `ROLES` in `iam.py`; add to it only what Google documents.

What is asked and not known is answered 400 and listed in `google.unknown`, which the tests want
empty. `google.requests` has each request: who asked, the permissions that it took, the answer's
status. `tests/support/project.py` runs the scripts and the build against it.
"""

from tests.support.google import compute, firebase, functions, kinds, methods

__all__ = ["compute", "firebase", "functions", "kinds", "methods"]
