"""A project is set up, deployed, deployed again and taken down by the real gcloud.

Google's side is the stub of tests/support/google. It holds requests to Google's rules as far as
they are documented; that Google itself takes them is shown by a deployment only."""

from __future__ import annotations

import copy
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.integration.test_deployable import uploaded
from tests.support.cloud import ROOT
from tests.support.project import (
    PROJECT,
    REGION,
    SETUP,
    TEARDOWN,
    Project,
    account,
    has_firebase,
    project,
    steps,
)

FUNCTIONS = {"classify", "load", "status", "sweep"}
GATEWAY = (
    *("setup", "setup --allow 0.0.0.0/0", "deploy", "deploy --allow 0.0.0.0/0"),
    *("add-retailer au-erp --connection au", "show"),
)
GCLOUD = shutil.which("gcloud")
pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif(GCLOUD is None, reason="The Google Cloud CLI is not installed"),
]


@dataclass(slots=True)
class Life:
    """A project after its whole life, and what was there at each stage."""

    project: Project
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    """What the commands of the gateway printed."""
    ran: list[list[str]] = field(default_factory=list)
    firebase: bool = field(default_factory=has_firebase)
    """Whether the Firebase CLI is there."""

    def look(self, stage: str) -> None:
        """Keep what is there now, and the requests since the last look."""
        google = self.project.google
        self.seen[stage] = {
            "things": {f"{at} {name}" for at, name in google.things if "/operations/" not in name},
            "policies": {
                key: [dict(one) for one in policy["bindings"]]
                for key, policy in google.policies.items()
            },
            "requests": google.requests[:],
            "kept": copy.deepcopy(google.things),
            "objects": dict(google.objects),
        }
        google.requests.clear()


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """Lead a project through all of it, once for all tests."""
    assert GCLOUD is not None
    with project(tmp_path_factory.mktemp("google"), GCLOUD) as made:
        life = Life(made)
        made.script(*SETUP)
        life.look("set up")
        made.script(*SETUP)
        life.look("set up again")
        left_out = ["tests"] if life.firebase else ["tests", "firestore"]
        life.ran.append(made.build(without=left_out))
        life.look("deployed")
        life.ran.append(made.build(without=left_out))
        life.look("deployed again")
        where = {"PROJECT": PROJECT, "PROJECT_NUMBER": made.google.number}
        made.script("deploy.sh", "rollback", who=account("deploy"), **where)
        life.look("rolled back")
        for command in GATEWAY:
            life.said[command] = made.script(
                "gateway/gateway.sh", *command.split(), "--project", PROJECT, answer="open sesame\n"
            )
        life.look("with a gateway")
        made.script("gateway/gateway.sh", "teardown", "--project", PROJECT)
        made.script(*TEARDOWN, answer=f"{PROJECT}\n")
        life.look("taken down")
        yield life


def test_set_up_again(life: Life) -> None:
    """The second set-up makes nothing and gives nothing."""
    assert life.seen["set up"]["things"] == life.seen["set up again"]["things"]
    assert life.seen["set up"]["policies"] == life.seen["set up again"]["policies"]


def test_every_step(life: Life) -> None:
    """Each step of the build that calls gcloud ends well, twice, as the account of the build."""
    wanted = [name for name in steps() if name not in ("tests", "firestore")]

    assert [wanted, wanted] == [[name for name in ran if name != "firestore"] for ran in life.ran]


def test_firestore(life: Life) -> None:
    """The Firebase CLI releases the rules, and makes each index and field what the files say."""
    if not life.firebase:
        pytest.skip("The Firebase CLI is not there: npx cannot fetch it")
    things = life.seen["deployed again"]["kept"]
    release = things["firebaserules", f"projects/{PROJECT}/releases/cloud.firestore"]
    (file,) = things["firebaserules", release["rulesetName"]]["source"]["files"]
    wanted = json.loads((ROOT / "firestore.indexes.json").read_text())
    groups = {
        tuple(name.split("/")[5:])
        for at, name in things
        if at == "firestore" and "/collectionGroups/" in name
    }

    assert (ROOT / "firestore.rules").read_text() == file["content"]
    assert len(wanted["indexes"]) == sum("indexes" in name for name in groups)
    assert {(one["collectionGroup"], one["fieldPath"]) for one in wanted["fieldOverrides"]} == {
        (name[0], name[2]) for name in groups if "fields" in name
    }


def test_deployed_again(life: Life) -> None:
    """The second deployment makes nothing new but revisions."""
    first, second = life.seen["deployed"]["things"], life.seen["deployed again"]["things"]

    assert first == {name for name in second if "/builds/" not in name} | {
        name for name in first if "/builds/" in name
    }


def test_functions(life: Life) -> None:
    """Each function has the files that the tests of the functions run from, and its variables."""
    seen, number = life.seen["deployed again"], life.project.google.number
    for name in FUNCTIONS:
        place = f"projects/{PROJECT}/locations/{REGION}/functions/{name}"
        function = seen["kept"]["cloudfunctions", place]
        source = function["buildConfig"]["source"]["storageSource"]
        archive = zipfile.ZipFile(io.BytesIO(seen["objects"][source["bucket"], source["object"]]))
        files = {one for one in archive.namelist() if not one.endswith("/")}
        variables = function["serviceConfig"]["environmentVariables"]

        assert uploaded() == files
        assert f"https://load-{number}.{REGION}.run.app" == variables["LOAD_URL"]
        assert account(name) == function["serviceConfig"]["serviceAccountEmail"]


def test_sweep_is_called(life: Life) -> None:
    """The scheduler calls the address that sweep has and expects in its callers' tokens."""
    things = life.seen["deployed again"]["kept"]
    place = f"projects/{PROJECT}/locations/{REGION}"
    job = things["cloudscheduler", f"{place}/jobs/sweep"]
    function = things["cloudfunctions", f"{place}/functions/sweep"]["serviceConfig"]

    assert function["uri"] == job["httpTarget"]["uri"]
    assert function["uri"] == job["httpTarget"]["oidcToken"]["audience"]
    assert function["uri"] == function["environmentVariables"]["SWEEP_URL"]


def test_rolled_back(life: Life) -> None:
    """A rollback, as the account of the build, sends all calls to the revisions before."""
    services = {
        name: thing
        for (at, name), thing in life.seen["rolled back"]["kept"].items()
        if at == "run" and "/services/" in name
    }

    assert len(FUNCTIONS) == len(services)
    for service in services.values():
        before, _ = [one["name"] for one in service["revisions"]]
        serving = [one["revisionName"] for one in service["traffic"] if one.get("percent")]
        assert [before] == serving


def test_gateway(life: Life) -> None:
    """The gateway is set up twice and deployed twice; its machine runs the second image."""
    things = life.seen["with a gateway"]["kept"]
    machine = things["compute", f"{REGION}-a/instances/import-gateway"]
    items = {one["key"]: one["value"] for one in machine["metadata"]["items"]}
    *_, build = [thing for (at, name), thing in things.items() if "/builds/" in name]
    secrets = f"projects/{PROJECT}/secrets"

    assert "RUNNING" == machine["status"]
    assert [account("gateway")] == [one["email"] for one in machine["serviceAccounts"]]
    assert build["substitutions"]["_IMAGE"] == items["gateway-image"]
    assert ("secretmanager", f"{secrets}/gateway-host-key/versions/1") in things
    assert ("secretmanager", f"{secrets}/gateway-host-key/versions/2") not in things
    assert "203.0.113.9, port 22" in life.said["show"]
    assert "ssh-ed25519 " in life.said["show"]


def test_taken_down(life: Life) -> None:
    """What is left after a tear-down of everything is what the pages say."""
    left = {
        name.split(f"projects/{PROJECT}/")[-1]
        for at, name in life.seen["taken down"]["kept"]
        if "/operations/" not in name
        and at not in ("cloudbuild", "billingbudgets", "firebaserules")
    }
    left = {"notificationChannels" if "Channels" in name else name for name in left}

    assert {
        f"locations/{REGION}/buckets/imports",
        f"locations/{REGION}/repositories/gcf-artifacts",
        f"locations/{REGION}/repositories/import-gateway",
        f"{REGION}/addresses/import-gateway",
        "notificationChannels",
        "roles/importBucketSettings",
        "secrets/gateway-host-key",
        "secrets/gateway-host-key/versions/1",
        "sinks/_Default",
    } == left
    project = life.seen["taken down"]["policies"]["", ""]
    assert ["roles/owner"] == [binding["role"] for binding in project]


def test_nobody_is_refused(life: Life) -> None:
    """Everybody had the permissions that their steps take, from the roles of roles.txt."""
    refused = [
        (one.member, one.method, one.path, one.permissions)
        for seen in life.seen.values()
        for one in seen["requests"]
        if one.status == 403
    ]

    assert [] == refused
    assert set() == life.project.google.outside
