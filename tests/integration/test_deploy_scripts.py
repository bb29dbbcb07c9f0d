"""A project is set up, deployed, deployed again and taken down, against a stand-in for gcloud."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from shared.check.cli import main as check
from shared.names import ExportFile, read_name
from shared.settings import ENVIRONMENT, Deployment
from tests.support.cloud import DEPLOYERS, OPERATORS, PROJECT, ROOT, SETUP, TEARDOWN, Cloud, steps
from tests.support.gcloud_lines import Line, in_document, lint, read

FUNCTIONS = ("classify", "load", "status", "sweep")
SMOKE_FOLDERS = ("test", "processed", "rejected", "reports")
CREATED = re.compile(r"^gcloud .*\bcreate\b")


@dataclass(frozen=True, slots=True)
class Life:
    """What happened to a project: the command lines of each stage."""

    cloud: Cloud
    setup: list[str]
    setup_again: list[str]
    deployed: list[str]
    deployed_again: list[str]
    things: set[str]
    roles: set[tuple[str, ...]]
    teardown: list[str]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Lead a project through all of it, once for all tests."""
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    setup = cloud.do(SETUP)
    setup_again = cloud.do(SETUP)
    deployed = cloud.do(*steps())
    deployed_again = cloud.do(*steps())
    things, roles = cloud.things(), cloud.roles()
    before = len(cloud.calls())
    done = cloud.run(TEARDOWN, answer=f"{PROJECT}\n")
    assert done.returncode == 0, done.stderr
    return Life(
        cloud=cloud,
        setup=setup,
        setup_again=setup_again,
        deployed=deployed,
        deployed_again=deployed_again,
        things=things,
        roles=roles,
        teardown=cloud.calls()[before:],
    )


def role_lines() -> list[tuple[str, str, str, str]]:
    """Read deploy/roles.txt."""
    lines = (ROOT / "deploy" / "roles.txt").read_text().splitlines()
    rows = [
        tuple(cell.strip() for cell in line.split("|"))
        for line in lines
        if line and not line.startswith("#")
    ]
    return [(who, role, on, why) for who, role, on, why in rows]


def member(who: str) -> str:
    """Say who is meant by a name of roles.txt."""
    match who:
        case "storage-agent":
            return "serviceAccount:service-123456@gs-project-accounts.iam.gserviceaccount.com"
        case "eventarc-agent":
            return "serviceAccount:service-123456@gcp-sa-eventarc.iam.gserviceaccount.com"
        case "operators":
            return OPERATORS
        case "deployers":
            return DEPLOYERS
        case _:
            return f"serviceAccount:import-{who}@{PROJECT}.iam.gserviceaccount.com"


def test_setup_again(life: Life) -> None:
    """The second set-up makes nothing."""
    assert any(CREATED.match(call) for call in life.setup)
    assert [] == [
        call
        for call in life.setup_again
        if re.search(r"\bcreate\b", call) and "identity create" not in call
    ]


def test_deployed_again(life: Life) -> None:
    """The first deployment and the second are the same steps, and the second makes nothing."""
    assert any(CREATED.match(call) for call in life.deployed)
    assert [] == [call for call in life.deployed_again if re.search(r"\bcreate\b", call)]


def test_everything_is_there(life: Life) -> None:
    """Each function, metric and alert policy that has a file is deployed."""
    monitoring = ROOT / "deploy" / "monitoring"
    wanted = {f"function {name}" for name in FUNCTIONS}
    wanted |= {f"metric {file.stem}" for file in (monitoring / "metrics").glob("*.json")}
    wanted |= {f"policy {file.stem}" for file in (monitoring / "policies").glob("*.json")}
    wanted |= {"job sweep", "queue imports", f"bucket {PROJECT}-uploads", "database (default)"}

    assert set() == wanted - life.things


def test_audit(life: Life) -> None:
    """Whoever reads or writes personal data is logged, but for the pipeline's own accounts."""
    policy = json.loads((life.cloud.folder / "policy.json").read_text())
    exempted = {
        one
        for config in policy["auditConfigs"]
        for log in config["auditLogConfigs"]
        for one in log["exemptedMembers"]
    }

    assert "e1" == policy["etag"]
    assert {member(who) for who in ("classify", "load", "sweep", "status", "gateway")} == exempted


def test_roles(life: Life) -> None:
    """Just the roles of roles.txt are given."""
    wanted = set()
    for who, role, on, _ in role_lines():
        match on.split("/"):
            case ["functions-source"]:
                on = "project"
            case ["bucket", *_] | ["staging"]:
                on = "bucket"
            case ["account", name]:
                on = f"account/import-{name}@{PROJECT}.iam.gserviceaccount.com"
            case _:
                pass
        wanted.add((on, member(who), role.replace("own/", f"projects/{PROJECT}/roles/")))

    assert wanted == life.roles


def test_every_condition_is_said(life: Life) -> None:
    """A binding says that it has no condition, without which gcloud refuses it beside one that has.

    Queues know no conditions.
    """
    bindings = [call for call in life.cloud.calls() if " add-iam-policy-binding " in call]

    assert bindings
    assert [] == [
        call for call in bindings if "--condition=" not in call and " tasks queues " not in call
    ]


@pytest.mark.parametrize("command", [SETUP, TEARDOWN, ("deploy.sh", "monitoring")])
def test_a_missing_component_is_named(tmp_path: Path, command: tuple[str, ...]) -> None:
    """A gcloud without alpha and beta is noticed before anything is done."""
    cloud = Cloud(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gcloud").write_text("#!/bin/sh\necho Google Cloud SDK 528.0.0\n")
    (tmp_path / "bin" / "gcloud").chmod(0o755)

    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    done = cloud.run(command, answer=f"{PROJECT}\n", PATH=path)

    assert 1 == done.returncode
    assert "gcloud components install " in done.stderr


def test_names_of_accounts() -> None:
    """Google Cloud takes the names of the accounts: 6 to 30 characters."""
    names = {f"import-{who}" for who, *_ in role_lines()} - {"import-operators", "import-deployers"}

    assert set() == {name for name in names if not re.fullmatch(r"[a-z][a-z0-9-]{5,29}", name)}


def test_narrow_roles(life: Life) -> None:
    """A role on a folder or on some buckets carries the condition that makes it one."""
    conditions = {
        call.split("--condition=")[1].split("expression=")[1].split(" ")[0].replace("\\", "")
        for call in life.setup
        if "--condition=title" in call
    }

    folders = ("rejected", *(f"{one}/smoke-test" for one in SMOKE_FOLDERS))
    assert {
        *(
            f'resource.name.startsWith("projects/_/buckets/{PROJECT}-uploads/objects/{folder}/")'
            for folder in folders
        ),
        'resource.name.startsWith("projects/_/buckets/gcf-v2-")',
    } == conditions


@pytest.mark.parametrize("name", FUNCTIONS)
def test_variables(life: Life, name: str) -> None:
    """A function is told settings it knows, each with a value that it takes."""
    variables = yaml.safe_load((life.cloud.folder / f"{name}.yaml").read_text())

    assert "/workspace" == variables.pop("PYTHONPATH")
    assert set() == set(variables) - set(ENVIRONMENT.values())
    deployment = Deployment.from_environment(variables)
    assert "https://load-123456.australia-southeast1.run.app" == deployment.load_url
    assert f"import-tasks@{PROJECT}.iam.gserviceaccount.com" == deployment.tasks_service_account
    assert (PROJECT, f"{PROJECT}-uploads") == (deployment.project, deployment.bucket)


def test_private(life: Life) -> None:
    """No function is public, and only the status page can be reached from outside at all."""
    deploys = [shlex.split(call) for call in life.deployed if " functions deploy " in call]

    assert len(FUNCTIONS) == len(deploys)
    for words in deploys:
        name = words[3]
        assert "--no-allow-unauthenticated" in words or "--retry" in words
        ingress = "all" if name == "status" else "internal-only"
        assert f"--ingress-settings={ingress}" in words
    assert not any("allUsers" in call for call in life.cloud.calls())


def test_lifecycle(tmp_path: Path) -> None:
    """The bucket forgets processed files and reports in their time, and nothing else ever."""
    cloud = Cloud(tmp_path).with_settings(PROCESSED_RETENTION="30d", REPORTS_RETENTION="90d")
    (tmp_path / "things").write_text(f"bucket {PROJECT}-uploads\n")

    cloud.do(("deploy.sh", "bucket"))
    rules = json.loads((tmp_path / "lifecycle.json").read_text())["rule"]
    assert [(["processed/"], 30), (["rejected/"], 90)] == [
        (rule["condition"]["matchesPrefix"], rule["condition"]["age"]) for rule in rules
    ]


def test_lifecycle_follows_the_settings(tmp_path: Path) -> None:
    """A retention in hours keeps files for whole days; CLEANUP=off takes the lifecycle away."""
    cloud = Cloud(tmp_path).with_settings(PROCESSED_RETENTION="36h", REPORTS_RETENTION="7d")
    (tmp_path / "things").write_text(f"bucket {PROJECT}-uploads\n")

    cloud.do(("deploy.sh", "bucket"))
    rules = json.loads((tmp_path / "lifecycle.json").read_text())["rule"]
    assert [2, 7] == [rule["condition"]["age"] for rule in rules]

    (call,) = cloud.with_settings(CLEANUP="off").do(("deploy.sh", "bucket"))
    assert "--clear-lifecycle" in call


def test_runtime(tmp_path: Path) -> None:
    """The functions run on the Python that the build names, which is one they are tested with."""
    cloud = Cloud(tmp_path)
    command = ("deploy.sh", "function", "load", "--dry-run")

    for version in ("3.11", "3.12", "3.13"):
        done = cloud.run(command, DEPLOY_PYTHON=version)
        assert f"--runtime=python{version.replace('.', '')}" in done.stdout
    refused = cloud.run(command, DEPLOY_PYTHON="3.10")

    assert refused.returncode != 0
    assert "The functions run on Python 3.11, 3.12 or 3.13, not 3.10." in refused.stderr


@pytest.mark.parametrize("script", ["setup.sh", "deploy.sh", "teardown.sh"])
def test_another_database(tmp_path: Path, script: str) -> None:
    """A database that the scripts would not set up is refused before anything is done."""
    cloud = Cloud(tmp_path).with_settings(DATABASE="shop")
    arguments = ("bucket",) if script == "deploy.sh" else ("--project", "shop-imports")

    done = cloud.run((script, *arguments, "--dry-run"))

    assert done.returncode != 0
    assert "DATABASE is shop, but these scripts set up the database (default) alone." in done.stderr


def test_webhook_secret(tmp_path: Path) -> None:
    """The address of the webhook comes from the secret, for the functions that tell of alerts."""
    cloud = Cloud(tmp_path)
    told = {}
    for name in FUNCTIONS:
        done = cloud.run(
            ("deploy.sh", "function", name, "--dry-run"), ALERT_WEBHOOK_SECRET="alert-webhook"
        )
        told[name] = "--set-secrets=ALERT_WEBHOOK=alert-webhook:latest" in done.stdout

    assert {"classify": False, "load": True, "status": False, "sweep": True} == told
    allowed = {who for who, _, on, _ in role_lines() if on == "secret/alert-webhook"}
    assert allowed == {name for name, tells in told.items() if tells}


def test_teardown(life: Life) -> None:
    """What is left after a tear-down is what costs nothing."""
    left = {thing for thing in life.cloud.things() if not thing.startswith("api ")}

    assert {
        "role importBucketSettings",
        "channel imports@example.com",
        f"budget Imports {PROJECT}",
        "backups daily",
        "logbucket imports",
        "repository gcf-artifacts",
    } == left
    assert not [role for role in life.cloud.roles() if role[0] == "project"]


@pytest.mark.parametrize("answer", ["", "yes\n", "shop2\n"])
def test_teardown_asks(tmp_path: Path, answer: str) -> None:
    """A tear-down does nothing unless the name of the project is typed."""
    cloud = Cloud(tmp_path)

    assert 1 == cloud.run(TEARDOWN, answer=answer).returncode
    assert [] == cloud.calls()


def test_dry_run(tmp_path: Path, life: Life) -> None:
    """A dry run calls nothing, and shows just what a first run does."""
    cloud = Cloud(tmp_path)
    shown = []
    for command in (SETUP, *steps()):
        done = cloud.run((*command, "--dry-run"))
        assert done.returncode == 0, done.stderr
        shown += done.stdout.splitlines()

    assert [] == cloud.calls()
    asked = re.compile(r" (version|info|list|describe|get-iam-policy|storage cat)\b")
    did = [call for call in (*life.setup, *life.deployed) if not asked.search(call)]
    files = re.compile(
        rf"{re.escape(str(life.cloud.folder))}|{re.escape(str(tmp_path))}|tmp\.\w+|\d{{8}}T\d{{6}}Z"
    )
    # What a first run has to ask for is a placeholder in a dry run.
    shown = [
        line.replace("PROJECT_NUMBER", "123456").replace("BILLING_ACCOUNT", "000000-AAAAAA-111111")
        for line in shown
    ]
    channel = re.compile(r" --notification-channels=\S+")
    # The set-up has made the queue before the deployment comes to it.
    did = [channel.sub("", call).replace("queues update", "queues create") for call in did]
    assert [files.sub("", " ".join(shlex.split(line))) for line in did] == [
        files.sub("", " ".join(shlex.split(line))) for line in shown
    ]


@pytest.mark.parametrize("script", ["setup.sh", "deploy.sh", "teardown.sh"])
def test_usage(tmp_path: Path, script: str) -> None:
    """--help says how; a word that is not known is refused before anything is done."""
    cloud = Cloud(tmp_path)

    assert "Usage: deploy/" in cloud.run((script, "--help")).stdout
    refused = cloud.run((script, "--sesame"))
    assert (2, []) == (refused.returncode, cloud.calls())


def test_a_missing_account_stops_it(tmp_path: Path) -> None:
    """A failure of gcloud ends the script with its words, not with a half-done project."""
    cloud = Cloud(tmp_path)

    done = cloud.run(("deploy.sh", "schedule"))

    assert 1 == done.returncode
    assert "NOT_FOUND: account import-scheduler@shop.iam.gserviceaccount.com" in done.stderr


def written() -> list[Line]:
    """Give every gcloud line of the documents."""
    files = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")])
    return [line for file in files for line in in_document(file)]


def test_every_line_is_one_that_gcloud_takes(life: Life) -> None:
    """gcloud accepts each command line of the scripts and of the documents."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        pytest.skip("The Google Cloud CLI is not installed: its check of command lines is left out")
    run = [line for call in life.cloud.calls() for line in read(call, "deploy/")]
    (ROOT / "build").mkdir(exist_ok=True)
    wrong = lint(gcloud, [*run, *written()], ROOT / "build" / "gcloud-lines.json")

    assert {} == {f"{line.place}: {' '.join(line.words)}": why for line, why in wrong.items()}


def test_no_command_is_left_out(life: Life) -> None:
    """Every gcloud command in the text of a script is among those that ran here."""
    ran = {" ".join(shlex.split(call)) for call in life.cloud.calls()}
    left_out = set()
    for script in sorted((ROOT / "deploy").glob("*.sh")):
        text = re.sub(r"(^\s*(#|echo|fail|\")| # ).*", "", script.read_text(), flags=re.MULTILINE)
        for command in re.findall(r"\b(?:gcloud|ask) ((?:[a-z][a-z-]+ )+)", text):
            if not any(call.startswith(f"gcloud {command.strip()}") for call in ran):
                left_out.add(f"{script.name}: {command}")

    assert set() == left_out


def test_a_wrong_line_is_found(tmp_path: Path) -> None:
    """gcloud's own check refuses a flag, a value and a command that there are not."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        pytest.skip("The Google Cloud CLI is not installed: its check of command lines is left out")
    text = """
        gcloud functions deploy load --region=r --sesame
        gcloud functions deploy load --region=r --timeout=soon
        gcloud functions undeploy load
        gcloud functions list && gcloud storage sesame
    """

    wrong = lint(gcloud, read(text, "here"), tmp_path / "known.json")

    assert 4 == len(wrong), wrong


# -- releases ---------------------------------------------------------------------------------


def serving(cloud: Cloud) -> dict[str, str]:
    """Give the revision of each function that calls go to."""
    return {name: (cloud.folder / f"serving-{name}").read_text().strip() for name in FUNCTIONS}


@pytest.fixture
def released(tmp_path: Path) -> Cloud:
    """A project with two versions of the functions: calls go to the second since its release."""
    cloud = Cloud(tmp_path)
    cloud.do(SETUP, *steps())
    deployed = [("deploy.sh", "function", name) for name in FUNCTIONS]
    cloud.do(*deployed)
    assert dict.fromkeys(FUNCTIONS, "1") == serving(cloud)  # as long as nothing is released
    cloud.do(("deploy.sh", "release"))
    assert dict.fromkeys(FUNCTIONS, "2") == serving(cloud)
    return cloud


def test_rollback(released: Cloud) -> None:
    """A rollback sends all calls to the version before, and the next release works from there."""
    calls = released.do(("deploy.sh", "rollback"))

    assert dict.fromkeys(FUNCTIONS, "1") == serving(released)
    assert 2 * len(FUNCTIONS) == len(calls)
    released.do(*[("deploy.sh", "function", name) for name in FUNCTIONS])
    assert dict.fromkeys(FUNCTIONS, "1") == serving(released)
    released.do(("deploy.sh", "release"), ("deploy.sh", "rollback"))
    assert dict.fromkeys(FUNCTIONS, "1") == serving(released)


def test_nothing_to_go_back_to(tmp_path: Path) -> None:
    """After a first deployment a rollback changes nothing and says why."""
    cloud = Cloud(tmp_path)
    cloud.do(SETUP, *steps())

    done = cloud.run(("deploy.sh", "rollback"))

    assert (1, "There is no version of load to go back to.\n") == (done.returncode, done.stderr)
    assert dict.fromkeys(FUNCTIONS, "1") == serving(cloud)


@pytest.mark.parametrize(
    ("verdict", "said"),
    [("", "No report on test/smoke-test/"), ('{"status": "rejected"}', "was not accepted")],
)
def test_a_release_that_does_not_work(released: Cloud, verdict: str, said: str) -> None:
    """A release that fails the smoke test fails the build, names the log to read, and goes back."""
    released.do(*[("deploy.sh", "function", name) for name in FUNCTIONS])
    (released.folder / "verdict").write_text(verdict)

    done = released.run(("deploy.sh", "release"), SMOKE_TRIES="2")

    assert 1 == done.returncode
    assert said in done.stderr
    assert "Look at the logs of classify and load: gcloud logging read " in done.stderr
    assert dict.fromkeys(FUNCTIONS, "2") == serving(released)


def test_smoke(released: Cloud, tmp_path: Path) -> None:
    """The smoke test's file can be loaded, goes to test/ of its own connection, and is removed."""
    done = released.run(("deploy.sh", "smoke"))

    assert 0 == done.returncode
    assert re.fullmatch(r"Smoke test passed in \d+ s: .*\n", done.stderr)
    name = (
        (released.folder / "uploaded").read_text().strip().removeprefix(f"gs://{PROJECT}-uploads/")
    )
    named = read_name(name)
    assert isinstance(named, ExportFile)
    assert ("smoke-test", "test", "customers") == (named.connection, named.mode, named.type)
    (file := tmp_path / named.file).write_bytes((released.folder / "uploaded.csv").read_bytes())
    assert 0 == check([str(file)])
    removed = [call for call in released.calls() if " storage rm " in call][-len(SMOKE_FOLDERS) :]
    for folder in SMOKE_FOLDERS:
        place = f"gs://{PROJECT}-uploads/{folder}/smoke-test"
        assert any(place in call for call in removed), place


def test_a_version_that_was_not_deployed(released: Cloud) -> None:
    """The smoke test fails where a function carries another version than was deployed."""
    for name in FUNCTIONS:
        done = released.run(
            ("deploy.sh", "function", name), VERSION="V1.2" if name != "sweep" else ""
        )
        assert 0 == done.returncode, done.stderr

    done = released.run(("deploy.sh", "smoke"), VERSION="v1.2")

    assert 1 == done.returncode
    assert (
        "Smoke test failed: sweep is version unknown, not v1-2. Look at step sweep" in done.stderr
    )


# -- environments -----------------------------------------------------------------------------


def with_environment(tmp_path: Path, text: str) -> Cloud:
    """Take a project whose environment `try` is that text."""
    cloud = Cloud(tmp_path).with_settings()
    (cloud.scripts / "environments" / "try.env").write_text(text)
    return cloud


def test_environment(tmp_path: Path) -> None:
    """An environment says where and with which settings, whatever a shell says of another one."""
    cloud = with_environment(tmp_path, f"PROJECT={PROJECT}\nQUEUE=q2\nORDERS_DELAY=1m\n")

    done = cloud.run(("deploy.sh", "variables", "--dry-run"), ENVIRONMENT="try", BUCKET="other")

    variables = dict(re.findall(r"^export (\w+)=(.*)$", done.stdout, re.MULTILINE))
    assert (f"{PROJECT}-uploads", "q2", "1m", "Australia/Sydney") == tuple(
        variables[name] for name in ("BUCKET", "QUEUE", "ORDERS_DELAY", "TIME_ZONE")
    )
    for command in (("setup.sh", "--environment", "try"), ("teardown.sh", "--environment", "try")):
        done = cloud.run((*command, "--dry-run"))
        assert 0 == done.returncode, done.stderr
        assert f"--project={PROJECT}" in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("PROJECT=another\n", "The environment try is the project another, not shop."),
        (f"PROJECT={PROJECT}\nORDER_DELAY=1m\n", "try.env: unknown setting ORDER_DELAY."),
        (None, "There is no environment try: deploy/environments/try.env is missing."),
    ],
)
def test_a_wrong_environment(tmp_path: Path, text: str | None, said: str) -> None:
    """An environment that is another project, is not there or has a misspelt line is refused."""
    cloud = with_environment(tmp_path, text or "")
    if text is None:
        (cloud.scripts / "environments" / "try.env").unlink()

    done = cloud.run(("deploy.sh", "queue"), ENVIRONMENT="try")

    assert 1 == done.returncode
    assert said in done.stderr
    assert not any("queues" in call for call in cloud.calls())


@pytest.mark.parametrize("name", ["production", "staging"])
def test_environments(tmp_path: Path, name: str) -> None:
    """The environments that come with the project hold settings that the functions take."""
    done = Cloud(tmp_path).run(
        ("deploy.sh", "variables", "--dry-run"), ENVIRONMENT=name, PROJECT=""
    )

    variables = {
        key: shlex.split(value)[0]
        for key, value in re.findall(r"^export (\w+)=(.*)$", done.stdout, re.MULTILINE)
    }
    assert variables["GOOGLE_CLOUD_PROJECT"].startswith("shop-imports")
    Deployment.from_environment(variables)
