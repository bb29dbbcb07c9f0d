"""A project is set up, deployed, released, gone back from and taken down by the real gcloud.

Google's side is the stub of tests/support/google. It holds requests to Google's rules as far as
they are documented; that Google itself takes them is shown by a deployment only."""

from __future__ import annotations

import copy
import io
import json
import re
import shlex
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import yaml

from gateway.users import Users, UsersFile, verify_password
from shared.check.cli import main as check
from shared.core.settings import ENVIRONMENT, Deployment
from shared.files.names import ExportFile, read_name
from tests.integration.test_deployable import uploaded
from tests.support.cloud import DEPLOYERS, OPERATORS, ROOT, role_lines
from tests.support.project import (
    PROJECT,
    REGION,
    SETUP,
    TEARDOWN,
    Project,
    account,
    has_firebase,
    project,
    report,
)

FUNCTIONS = ("classify", "load", "status", "sweep")
SMOKE_FOLDERS = ("test", "processed", "rejected", "reports")
OPTIONS = "--old-clients --max-connections=300"
"""Options of the gateway in the cloud."""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGaVXKDDEfvkUAgZGvVEmTMDDQpHTK9jbPCTWtOn7T9r au"
NOT_FOR_ALL = "203.0.113.0/24"
GATEWAY = (
    *(f"setup --allow {NOT_FOR_ALL}", "deploy"),
    *("setup", f"deploy --gateway-options '{OPTIONS}'"),
    *("add-retailer au-erp --connection au --key au.pub", "add-retailer nz-erp --connection nz"),
    *("show", "remove-retailer au-erp"),
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
    """What commands printed that said something."""
    ran: list[list[str]] = field(default_factory=list)
    """The steps of each build."""
    calls: dict[str, list[str]] = field(default_factory=dict)
    """The command lines of gcloud that led to each stage."""
    shown: dict[str, list[str]] = field(default_factory=dict)
    """The command lines that dry runs showed of some stages."""
    firebase: bool = field(default_factory=has_firebase)
    """Whether the Firebase CLI is there."""

    def look(self, stage: str) -> None:
        """Keep what is there now, and the requests and command lines since the last look."""
        google = self.project.google
        before = sum(map(len, self.calls.values()))
        self.calls[stage] = self.project.calls()[before:]
        self.seen[stage] = {
            "things": {f"{at} {name}" for at, name in google.things if "/operations/" not in name},
            "policies": {
                thing: {name: part for name, part in policy.items() if name != "etag"}
                for thing, policy in copy.deepcopy(google.policies).items()
            },
            "requests": google.requests[:],
            "kept": copy.deepcopy(google.things),
            "objects": dict(google.objects),
        }
        google.requests.clear()

    def deploy(self, *arguments: str, code: int = 0, **variables: str) -> None:
        """Run deploy.sh as the account of the build, and keep what it says."""
        more: dict[str, Any] = {"PROJECT": PROJECT, "SMOKE_TRIES": "2", **variables}
        more["PROJECT_NUMBER"] = self.project.google.number
        more["FIREBASE_TOKEN"] = more["who"] = account("deploy")
        done = self.project.run("bash", "deploy/deploy.sh", *arguments, **more)
        assert code == done.returncode, (arguments, done.stdout, done.stderr)
        self.said[" ".join(arguments)] = done.stderr


def lead(made: Project) -> Life:
    """Lead a project through all of its life."""
    life, google = Life(made), made.google
    life.shown["set up"] = made.script(*SETUP, "--dry-run").splitlines()
    made.script(*SETUP, PYTHON="")
    life.look("set up")
    made.script(*SETUP)
    life.look("set up again")
    left_out = [] if life.firebase else ["firestore"]
    life.ran.append(made.build(without=left_out))
    life.shown["deployed"] = made.dry_run()
    life.look("deployed")
    life.deploy("rollback", code=1)
    life.said["rollback at first"] = life.said["rollback"]
    google.requests.clear()
    life.ran.append(made.build(without=left_out))
    life.look("deployed again")

    # A version that does not pass the smoke test, of one function.
    life.deploy("function", "load", VERSION="V1.2")
    life.deploy("smoke", code=1, VERSION="v1.2")
    life.said["smoke of a version"] = life.said["smoke"]
    life.look("load deployed")
    google.uploaded = lambda bucket, name: report(google, bucket, name, "rejected")
    life.deploy("release", code=1)
    life.said["release that fails"] = life.said["release"]
    life.look("not released")
    google.uploaded = lambda bucket, name: None
    life.deploy("smoke", code=1)
    life.said["smoke without a report"] = life.said["smoke"]

    def keep(bucket: str, name: str) -> None:
        if name.startswith("test/"):
            life.said["smoke file"] = name
            life.said["smoke content"] = google.objects[bucket, name].decode()
            report(google, bucket, name)

    google.uploaded = keep
    life.deploy("rollback")
    life.look("rolled back")
    life.deploy("release")
    life.look("released again")

    environment = made.tree / "deploy" / "environments" / "try.env"
    environment.write_text(f"PROJECT={PROJECT}\nDATABASE=shop\nPROCESSED_RETENTION=36h\n")
    life.deploy("bucket", PROJECT="", ENVIRONMENT="try")
    if life.firebase:
        where = ("--database=shop", f"--location={REGION}", f"--project={PROJECT}")
        made.do("gcloud", "firestore", "databases", "create", *where)
        life.deploy("firestore", PROJECT="", ENVIRONMENT="try")
    life.look("in another environment")
    if life.firebase:
        made.do("gcloud", "firestore", "databases", "delete", *where[::2], "--quiet")
    environment.write_text(f"PROJECT={PROJECT}\nCLEANUP=off\n")
    life.deploy("bucket", PROJECT="", ENVIRONMENT="try")
    life.look("without a lifecycle")

    (made.tree / "au.pub").write_text(KEY)
    for command in GATEWAY:
        words = ("gateway/gateway.sh", *shlex.split(command), "--project", PROJECT)
        life.said[command] = made.script(*words, answer="open sesame\n")
        life.look(command)
    life.said["twice"] = made.run(
        *("bash", "deploy/gateway/gateway.sh", *shlex.split(GATEWAY[5]), "--project", PROJECT),
        answer="sesame\n",
    ).stderr
    made.script("gateway/gateway.sh", "teardown", "--project", PROJECT)
    made.script(*TEARDOWN, answer=f"{PROJECT}\n")
    life.look("taken down")
    life.said["without accounts"] = made.run(
        "bash", "deploy/deploy.sh", "schedule", PROJECT=PROJECT
    ).stderr
    return life


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """A project's whole life, led once for all tests."""
    assert GCLOUD is not None
    with project(tmp_path_factory.mktemp("google"), GCLOUD) as made:
        yield lead(made)


def test_set_up_again(life: Life) -> None:
    """The second set-up makes nothing and gives nothing."""
    assert life.seen["set up"]["things"] == life.seen["set up again"]["things"]
    assert life.seen["set up"]["policies"] == life.seen["set up again"]["policies"]


def test_every_step(life: Life) -> None:
    """Each step of the build but the tests ends well, twice, as the account of the build."""
    build = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())
    wanted = [step["id"] for step in build["steps"] if step["id"] != "tests"]
    if not life.firebase:
        wanted.remove("firestore")

    assert [wanted, wanted] == life.ran


def test_everything_is_there(life: Life) -> None:
    """Each function, metric and alert policy that has a file is deployed."""
    files, there = ROOT / "deploy" / "monitoring", life.seen["deployed again"]["kept"]
    names = {(at, name.rpartition("/")[2]) for at, name in there}
    policies = {
        thing["userLabels"]["policy"] for (_, name), thing in there.items() if "/alertPol" in name
    }
    wanted = {("cloudfunctions", name) for name in FUNCTIONS}
    wanted |= {("logging", file.stem) for file in (files / "metrics").glob("*.json")}
    wanted |= {("cloudscheduler", "sweep"), ("cloudtasks", "imports"), ("firestore", "(default)")}
    wanted |= {("storage", f"{PROJECT}-uploads")}

    assert set() == wanted - names
    assert {file.stem for file in (files / "policies").glob("*.json")} == policies


def test_deployed_again(life: Life) -> None:
    """The second deployment makes nothing new but revisions."""
    first, second = life.seen["deployed"]["things"], life.seen["deployed again"]["things"]

    assert first == {name for name in second if "/builds/" not in name} | {
        name for name in first if "/builds/" in name
    }


@pytest.mark.parametrize("stage", ["set up", "deployed"])
def test_dry_run(life: Life, stage: str) -> None:
    """A dry run shows just what the first set-up and the first deployment do."""
    asked = re.compile(r" (version|info|list|describe|get-iam-policy|storage cat|builds submit)\b")

    def same(line: str) -> str:
        # Where a file lies for the moment, the time, and what a dry run cannot know.
        line = re.sub(r"[^ =]*/(?=[\w.-]+\.(json|yaml|csv))|\d{8}T\d{6}Z", "", line)
        line = line.replace(life.project.google.number, "PROJECT_NUMBER")
        line = re.sub(r"\w{6}-\w{6}-\w{6}", "BILLING_ACCOUNT", line)
        line = re.sub(r" --notification-channels=\S+", "", line)
        # The set-up has made the queue before the deployment comes to it.
        return " ".join(shlex.split(line.replace("queues update", "queues create")))

    assert [same(call) for call in life.calls[stage] if not asked.search(call)] == [
        same(line) for line in life.shown[stage] if line.startswith("gcloud ")
    ]


def test_no_command_is_left_out(life: Life) -> None:
    """Every gcloud command in the text of a script has run here."""
    ran = [call for calls in life.calls.values() for call in calls]
    left_out = set()
    for script in sorted((ROOT / "deploy").rglob("*.sh")):
        text = re.sub(r"(^\s*(#|echo|fail|\")| # ).*", "", script.read_text(), flags=re.MULTILINE)
        for command in re.findall(r"\b(?:gcloud|ask) ((?:[a-z][a-z-]+ )+)", text):
            if not any(call.startswith(f"gcloud {command.strip()}") for call in ran):
                left_out.add(f"{script.name}: {command}")

    assert set() == left_out


# -- who may do what --------------------------------------------------------------------------


def member(life: Life, who: str) -> str:
    """Say who is meant by a name of roles.txt."""
    number = life.project.google.number
    match who:
        case "storage-agent":
            return f"serviceAccount:service-{number}@gs-project-accounts.iam.gserviceaccount.com"
        case "eventarc-agent":
            return f"serviceAccount:service-{number}@gcp-sa-eventarc.iam.gserviceaccount.com"
        case "operators":
            return OPERATORS
        case "deployers":
            return DEPLOYERS
        case _:
            return f"serviceAccount:{account(who)}"


def place(on: str) -> tuple[str, str, str]:
    """Say what a place of roles.txt is: the service, the name, and the condition's expression."""
    kind, _, name = on.partition("/")
    here, bucket = f"projects/{PROJECT}", f"{PROJECT}-uploads"
    only = 'resource.name.startsWith("projects/_/buckets/{}")'
    match kind:
        case "project":
            return "", "", ""
        case "functions-source":
            return "", "", only.format("gcf-v2-")
        case "bucket":
            return "storage", f"buckets/{bucket}", name and only.format(f"{bucket}/objects/{name}/")
        case "staging":
            return "storage", f"buckets/{PROJECT}_cloudbuild", ""
        case "queue":
            return "cloudtasks", f"{here}/locations/{REGION}/queues/imports", ""
        case "secret":
            return "secretmanager", f"{here}/secrets/{name}", ""
        case "account":
            return "iam", f"{here}/serviceAccounts/{account(name)}", ""
        case _:
            return "run", f"{here}/locations/{REGION}/services/{name}", ""


def test_roles(life: Life) -> None:
    """Just the roles of roles.txt are given, each on as little as it says."""
    wanted = {
        (*place(on), member(life, who), role.replace("own/", f"projects/{PROJECT}/roles/"))
        for who, role, on, _ in role_lines()
    }
    given = {
        (*thing, binding.get("condition", {}).get("expression", ""), one, binding["role"])
        for thing, policy in life.seen["deployed again"]["policies"].items()
        for binding in policy["bindings"]
        for one in binding["members"]
        if binding["role"] != "roles/owner"
    }

    assert wanted == given


def test_audit(life: Life) -> None:
    """Whoever reads or writes personal data is logged, but for the pipeline's own accounts."""
    policy = life.seen["set up"]["policies"]["", ""]
    exempted = {
        one
        for config in policy["auditConfigs"]
        for log in config["auditLogConfigs"]
        for one in log["exemptedMembers"]
    }

    assert {member(life, who) for who in (*FUNCTIONS, "gateway")} == exempted


def test_names_of_accounts() -> None:
    """Google Cloud takes the names of the accounts: 6 to 30 characters."""
    names = {f"import-{who}" for who, *_ in role_lines()} - {"import-operators", "import-deployers"}

    assert set() == {name for name in names if not re.fullmatch(r"[a-z][a-z0-9-]{5,29}", name)}


def test_nobody_is_refused(life: Life) -> None:
    """Everybody had the permissions that their steps take, from the roles of roles.txt."""
    refused = [
        (one.member, one.method, one.path, one.permissions)
        for seen in life.seen.values()
        for one in seen["requests"]
        if one.status == 403
    ]

    assert refused == []
    assert set() == life.project.google.outside


def test_a_missing_account_stops_it(life: Life) -> None:
    """A part that lacks what the set-up makes ends with gcloud's words."""
    assert "NOT_FOUND" in life.said["without accounts"]
    assert account("scheduler") in life.said["without accounts"]


# -- what is deployed -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "database", "name"),
    [
        ("deployed again", "(default)", "cloud.firestore"),
        ("in another environment", "shop", "cloud.firestore/shop"),
    ],
)
def test_firestore(life: Life, stage: str, database: str, name: str) -> None:
    """The Firebase CLI releases the rules, and makes each index and field what the files say, in
    the database of the settings.
    """
    if not life.firebase:
        pytest.skip("The Firebase CLI is not there: npx cannot fetch it")
    things = life.seen[stage]["kept"]
    release = things["firebaserules", f"projects/{PROJECT}/releases/{name}"]
    (file,) = things["firebaserules", release["rulesetName"]]["source"]["files"]
    wanted = json.loads((ROOT / "firestore.indexes.json").read_text())
    groups = {
        tuple(name.split("/")[5:])
        for at, name in things
        if at == "firestore" and f"/databases/{database}/collectionGroups/" in name
    }

    assert (ROOT / "firestore.rules").read_text() == file["content"]
    assert len(wanted["indexes"]) == sum("indexes" in name for name in groups)
    assert {(one["collectionGroup"], one["fieldPath"]) for one in wanted["fieldOverrides"]} == {
        (name[0], name[2]) for name in groups if "fields" in name
    }


def function(life: Life, name: str) -> Any:
    """Return a function as it is after two deployments."""
    where = f"projects/{PROJECT}/locations/{REGION}/functions/{name}"
    return life.seen["deployed again"]["kept"]["cloudfunctions", where]


def settings(life: Life) -> dict[str, str]:
    """Return the settings of deploy/settings.env that are no defaults, as a project has them."""
    text = (ROOT / "deploy" / "settings.env").read_text()
    places = {
        "PROJECT_NUMBER": life.project.google.number,
        "PROJECT": PROJECT,
        "REGION": REGION,
        "BUCKET": f"{PROJECT}-uploads",
        "QUEUE": "imports",
    }
    return {
        name: re.sub(r"\$([A-Z_]+)", lambda match: places[match[1]], value)
        for name, value in re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE)
    }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_files(life: Life, name: str) -> None:
    """Each function has the files that the tests of the functions run from."""
    source = function(life, name)["buildConfig"]["source"]["storageSource"]
    content = life.seen["deployed again"]["objects"][source["bucket"], source["object"]]
    files = zipfile.ZipFile(io.BytesIO(content)).namelist()

    assert uploaded() == {one for one in files if not one.endswith("/")}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_variables(life: Life, name: str) -> None:
    """A function is told all settings, each with a value that it takes."""
    variables = dict(function(life, name)["serviceConfig"]["environmentVariables"])

    assert variables.pop("PYTHONPATH") == "/workspace"
    variables.pop("LOG_EXECUTION_ID", None)  # gcloud's own
    assert settings(life) == variables
    assert set() == set(variables) - set(ENVIRONMENT.values())
    deployment = Deployment.from_environment(variables)
    assert (PROJECT, f"{PROJECT}-uploads") == (deployment.project, deployment.bucket)
    assert account("tasks") == deployment.tasks_service_account
    assert function(life, "load")["serviceConfig"]["uri"] == deployment.load_url


@pytest.mark.parametrize("name", FUNCTIONS)
def test_private(life: Life, name: str) -> None:
    """No function is public, and only the status page can be reached from outside at all."""
    service = ("run", f"projects/{PROJECT}/locations/{REGION}/services/{name}")
    policy = life.seen["deployed again"]["policies"][service]
    config = function(life, name)["serviceConfig"]

    assert account(name) == config["serviceAccountEmail"]
    assert ("ALLOW_ALL" if name == "status" else "ALLOW_INTERNAL_ONLY") == config["ingressSettings"]
    assert not any("allUsers" in binding["members"] for binding in policy["bindings"])


def test_sweep_is_called(life: Life) -> None:
    """The scheduler calls the address that sweep has and expects in its callers' tokens."""
    things = life.seen["deployed again"]["kept"]
    job = things["cloudscheduler", f"projects/{PROJECT}/locations/{REGION}/jobs/sweep"]
    config = function(life, "sweep")["serviceConfig"]

    assert config["uri"] == job["httpTarget"]["uri"]
    assert config["uri"] == job["httpTarget"]["oidcToken"]["audience"]
    assert config["uri"] == config["environmentVariables"]["SWEEP_URL"]


@pytest.mark.parametrize(
    ("stage", "days"),
    [
        ("deployed again", {"processed/": 30, "rejected/": 90, "reports/": 90, "refusals/": 7}),
        (
            "in another environment",
            {"processed/": 2, "rejected/": 90, "reports/": 90, "refusals/": 7},
        ),
        ("without a lifecycle", {}),
    ],
)
def test_lifecycle(life: Life, stage: str, days: dict[str, int]) -> None:
    """The bucket forgets processed files and reports in the time that is set, and nothing else."""
    bucket = life.seen[stage]["kept"]["storage", f"buckets/{PROJECT}-uploads"]
    conditions = [rule["condition"] for rule in bucket.get("lifecycle", {}).get("rule", ())]

    assert days == {prefix: one["age"] for one in conditions for prefix in one["matchesPrefix"]}


# -- releases ---------------------------------------------------------------------------------


def serving(life: Life, stage: str) -> dict[str, int]:
    """Return the revision of each function that calls go to, by its number in their order."""
    found = {}
    for (at, name), service in life.seen[stage]["kept"].items():
        if at == "run" and "/services/" in name:
            revisions = [one["name"] for one in service["revisions"]]
            (now,) = [one["revisionName"] for one in service["traffic"] if one.get("percent")]
            found[name.rpartition("/")[2]] = revisions.index(now) + 1
    return found


def test_released(life: Life) -> None:
    """A build sends all calls to what it has deployed; without a release they stay."""
    assert dict.fromkeys(FUNCTIONS, 1) == serving(life, "deployed")
    assert dict.fromkeys(FUNCTIONS, 2) == serving(life, "deployed again")
    assert dict.fromkeys(FUNCTIONS, 2) == serving(life, "load deployed")


def test_a_release_that_does_not_work(life: Life) -> None:
    """A release that fails the smoke test names the log to read, and takes back what it changed."""
    said = life.said["release that fails"]

    assert "Smoke test failed: The file test/smoke-test/" in said
    assert "was not accepted" in said
    assert "Look at the logs of classify and load: gcloud logging read " in said
    assert "Going back to load-" in said
    assert dict.fromkeys(FUNCTIONS, 2) == serving(life, "not released")


def test_rolled_back(life: Life) -> None:
    """A rollback sends all calls to the revisions before; the next release works from there."""
    back = {"load": 2} | dict.fromkeys(("classify", "status", "sweep"), 1)
    assert back == serving(life, "rolled back")
    assert {"load": 3} | dict.fromkeys(("classify", "status", "sweep"), 2) == serving(
        life, "released again"
    )


def test_nothing_to_go_back_to(life: Life) -> None:
    """After a first deployment a rollback changes nothing and says why."""
    assert life.said["rollback at first"] == "There is no version of load to go back to.\n"


def test_smoke(life: Life, tmp_path: Path) -> None:
    """The smoke test's file can be loaded, goes to test/ of its own connection, and is removed."""
    named = read_name(life.said["smoke file"])
    left = {name for bucket, name in life.seen["released again"]["objects"] if "smoke" in name}

    assert re.fullmatch(r"Smoke test passed in \d+ s: .*", life.said["release"].splitlines()[-1])
    assert isinstance(named, ExportFile)
    assert (named.connection, named.mode, named.type) == ("smoke-test", "test", "customers")
    (file := tmp_path / named.file).write_text(life.said["smoke content"], newline="")
    assert check([str(file)]) == 0
    assert set() == left


def test_a_version_that_was_not_deployed(life: Life) -> None:
    """The smoke test fails where a function carries another version than was deployed."""
    said = life.said["smoke of a version"]

    assert re.search(r"Smoke test failed: sweep is version [\w-]+, not v1-2\. ", said)
    assert "Look at step sweep" in said


def test_no_report(life: Life) -> None:
    """The smoke test fails where no report comes, and says where to look."""
    assert "No report on test/smoke-test/" in life.said["smoke without a report"]


# -- the gateway ------------------------------------------------------------------------------


def secret(life: Life, name: str, *, version: int) -> bytes:
    """Return a version of a secret, as it is before the tear-down."""
    where = f"projects/{PROJECT}/secrets/{name}/versions/{version}"
    content: bytes = life.seen[GATEWAY[-1]]["objects"]["secretmanager", where]
    return content


def instance(life: Life, stage: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the gateway's machine, and what it has been told."""
    machine = life.seen[stage]["kept"]["compute", f"{REGION}-a/instances/import-gateway"]
    return machine, {one["key"]: one["value"] for one in machine["metadata"]["items"]}


def test_gateway(life: Life) -> None:
    """The machine runs the second image as its own account, and takes updates of its system."""
    machine, told = instance(life, GATEWAY[-1])
    things = life.seen[GATEWAY[-1]]["kept"]
    *_, build = [thing for (at, name), thing in things.items() if "/builds/" in name]

    assert machine["status"] == "RUNNING"
    assert [account("gateway")] == [one["email"] for one in machine["serviceAccounts"]]
    assert build["substitutions"]["_IMAGE"] == told["gateway-image"]
    assert told["cos-update-strategy"] == "update_enabled"


def test_settings_of_the_gateway(life: Life) -> None:
    """The machine is told all settings that the functions are told, and the options given."""
    for deployed, options in ((GATEWAY[1], ""), (GATEWAY[3], OPTIONS)):
        _, told = instance(life, deployed)
        assert settings(life) == dict(
            line.split("=", 1) for line in told["gateway-settings"].splitlines()
        )
        assert f"{options}\n" == told["gateway-options"]


def test_gateway_set_up_again(life: Life) -> None:
    """A second set-up makes nothing and keeps the host key; who may connect is changed."""
    before, again = life.seen[GATEWAY[1]], life.seen[GATEWAY[2]]
    ranges = [
        next(thing for (_, name), thing in seen["kept"].items() if "firewalls/" in name)
        for seen in (before, again)
    ]
    key = asyncssh.import_private_key(secret(life, "gateway-host-key", version=1))

    assert before["things"] == again["things"]
    assert [one["sourceRanges"] for one in ranges] == [[NOT_FOR_ALL], ["0.0.0.0/0"]]
    assert "203.0.113.9, port 22" in life.said["show"]
    assert key.get_fingerprint() in life.said["show"]
    assert "PRIVATE KEY" not in life.said["show"]


def test_gateway_deployed_again(life: Life) -> None:
    """The first deployment makes the machine; the next one stops it to drain, and starts it."""
    words = [shlex.split(call)[1:4] for call in life.calls[GATEWAY[3]]]

    assert any(" instances create import-gateway" in call for call in life.calls[GATEWAY[1]])
    assert [
        word[2] for word in words if word[:2] == ["compute", "instances"] and word[2] != "list"
    ] == ["add-metadata", "stop", "start"]


def test_uptime_check(life: Life) -> None:
    """Google looks from outside whether the port answers, where it may; else that is said."""
    opened, closed = (life.seen[stage]["things"] for stage in (GATEWAY[3], GATEWAY[1]))

    assert "No uptime check: port 22 is not open to Google's." in life.said[GATEWAY[1]]
    assert not any("uptimeCheckConfigs" in name for name in closed)
    assert "No uptime check" not in life.said[GATEWAY[3]]
    assert any("uptimeCheckConfigs" in name for name in opened)


def test_retailers(life: Life, tmp_path: Path) -> None:
    """One command lets a retailer in, with a key or a password, and one locks it out."""
    (file := tmp_path / "users.json").write_bytes(secret(life, "gateway-users", version=3))
    users = Users(UsersFile(file), warn=lambda text: None)
    au, nz = users.find("au-erp"), users.find("nz-erp")

    assert au is not None
    assert {asyncssh.import_public_key(KEY).public_data} == au.keys
    assert nz is not None
    assert (nz.connection, verify_password(nz, "open sesame")) == ("nz", True)
    assert "is there twice" in life.said["twice"]
    last = json.loads(secret(life, "gateway-users", version=4))
    assert [row["name"] for row in last["users"]] == ["nz-erp"]


# -- the end ----------------------------------------------------------------------------------


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
    project = life.seen["taken down"]["policies"]["", ""]["bindings"]
    assert [binding["role"] for binding in project] == ["roles/owner"]
