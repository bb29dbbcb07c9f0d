"""The scripts of deploy/ without a cloud: dry runs, wrong usage, and a gcloud that fails.

What they do to a project is shown with the real gcloud in test_deploy_real_gcloud.py."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from shared.core.settings import ENVIRONMENT, Deployment
from tests.support.cloud import PROJECT, ROOT, SETUP, TEARDOWN, Cloud, role_lines, steps
from tests.support.gcloud_lines import Line, in_document, lint, read

FUNCTIONS = ("classify", "load", "status", "sweep")
GATEWAY = ("gateway/gateway.sh", "--project", PROJECT)


# -- failures of gcloud -----------------------------------------------------------------------


@pytest.mark.parametrize("command", [SETUP, TEARDOWN, ("deploy.sh", "monitoring")])
def test_a_missing_component_is_named(tmp_path: Path, command: tuple[str, ...]) -> None:
    """A gcloud without alpha and beta is noticed before anything is done."""
    cloud = Cloud(tmp_path)

    done = cloud.run(command, answer=f"{PROJECT}\n")

    assert (done.returncode, cloud.calls()) == (1, ["gcloud version"])
    assert "gcloud components install " in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        *(step for step in steps() if step[1] not in ("firestore", "monitoring")),
        ("deploy.sh", "rollback"),
        *((*GATEWAY, command) for command in ("setup", "deploy", "show", "teardown")),
        (*GATEWAY, "remove-retailer", "au-erp"),
    ],
)
def test_a_refusal_ends_it(tmp_path: Path, command: tuple[str, ...]) -> None:
    """A script ends with gcloud's words at its first refusal, and does nothing after that."""
    cloud = Cloud(tmp_path)

    done = cloud.run(command)

    assert (done.returncode, len(cloud.calls())) == (1, 1), cloud.calls()
    assert "PERMISSION_DENIED: the caller does not have permission\n" in done.stderr


def test_gcloud_is_missing(tmp_path: Path) -> None:
    """Without gcloud each script says where it comes from."""
    cloud = Cloud(tmp_path)
    for command in (SETUP, TEARDOWN, ("deploy.sh", "queue"), (*GATEWAY, "show")):
        done = cloud.run(command, answer=f"{PROJECT}\n", PATH=without_gcloud(tmp_path))

        assert done.returncode == 1
        assert "Install the Google Cloud CLI: https://" in done.stderr


def without_gcloud(folder: Path) -> str:
    """Make a folder of the programs that the scripts need before they need gcloud."""
    place = folder / "programs"
    place.mkdir(exist_ok=True)
    for name in ("bash", "dirname", "tr", "sed", "tail", "grep", "mktemp", "rm", "cut", "cat"):
        found = shutil.which(name)
        assert found
        if not (place / name).exists():
            (place / name).symlink_to(found)
    return str(place)


# -- what is shown ----------------------------------------------------------------------------


def test_names_of_accounts() -> None:
    """Google Cloud takes the names of the accounts: 6 to 30 characters."""
    names = {f"import-{who}" for who, *_ in role_lines()} - {"import-operators", "import-deployers"}

    assert set() == {name for name in names if not re.fullmatch(r"[a-z][a-z0-9-]{5,29}", name)}


def test_runtime(tmp_path: Path) -> None:
    """The functions run on the Python that the build names, which is one they are tested with."""
    cloud = Cloud(tmp_path)
    command = ("deploy.sh", "function", "load")

    for version in ("3.11", "3.12", "3.13"):
        shown = cloud.show(*command, DEPLOY_PYTHON=version)
        assert f"--runtime=python{version.replace('.', '')}" in shown
    refused = cloud.run(command, DEPLOY_PYTHON="3.10")

    assert refused.returncode != 0
    assert "The functions run on Python 3.11, 3.12 or 3.13, not 3.10." in refused.stderr


def test_another_database(tmp_path: Path) -> None:
    """The database that is made, backed up and deleted is the one of the settings."""
    shown = {}
    for name in ("(default)", "imports"):
        cloud = Cloud(tmp_path).with_settings(DATABASE=name)
        lines = cloud.show(*SETUP) + cloud.show(*TEARDOWN)
        words = [word for line in lines.splitlines() for word in shlex.split(line)]
        shown[name] = [word for word in words if word.startswith("--database=")]

    assert {name: [f"--database={name}"] * 4 for name in shown} == shown


def test_webhook_secret(tmp_path: Path) -> None:
    """The address of the webhook comes from the secret, for the functions that tell of alerts."""
    cloud = Cloud(tmp_path)
    told = {}
    for name in FUNCTIONS:
        shown = cloud.show("deploy.sh", "function", name, ALERT_WEBHOOK_SECRET="alert-webhook")
        told[name] = "--set-secrets=ALERT_WEBHOOK=alert-webhook:latest" in shown

    assert told == {"classify": False, "load": True, "status": False, "sweep": True}
    allowed = {who for who, _, on, _ in role_lines() if on == "secret/alert-webhook"}
    assert allowed == {name for name, tells in told.items() if tells}


def test_mail_secret(tmp_path: Path) -> None:
    """The mail server comes from the secret, for the functions that mail; they need a sender."""
    cloud = Cloud(tmp_path).with_settings(MAIL_FROM="Imports <imports@example.com>")
    mails = {}
    for name in FUNCTIONS:
        shown = cloud.show("deploy.sh", "function", name, MAIL_URL_SECRET="mail-url")
        mails[name] = "--set-secrets=MAIL_URL=mail-url:latest" in shown

    assert mails == {"classify": True, "load": True, "status": False, "sweep": True}
    allowed = {who for who, _, on, _ in role_lines() if on == "secret/mail-url"}
    assert allowed == {name for name, sends in mails.items() if sends}
    both = {"MAIL_URL_SECRET": "mail-url", "ALERT_WEBHOOK_SECRET": "alert-webhook"}
    words = shlex.split(cloud.show("deploy.sh", "function", "load", **both))
    assert "--set-secrets=ALERT_WEBHOOK=alert-webhook:latest,MAIL_URL=mail-url:latest" in words


def test_mail_without_a_sender(tmp_path: Path) -> None:
    """A deployment that could not send is refused before anything is changed."""
    cloud = Cloud(tmp_path)

    refused = cloud.run(
        ("deploy.sh", "--dry-run", "function", "load"),
        PROJECT="shop",
        MAIL_URL_SECRET="mail-url",
    )

    assert refused.returncode == 1
    assert "MAIL_FROM is missing" in refused.stderr


@pytest.mark.parametrize("answer", ["", "yes\n", "shop2\n"])
def test_teardown_asks(tmp_path: Path, answer: str) -> None:
    """A tear-down does nothing unless the name of the project is typed."""
    cloud = Cloud(tmp_path)

    assert cloud.run(TEARDOWN, answer=answer).returncode == 1
    assert cloud.calls() == []


def test_every_setting_can_be_set(tmp_path: Path) -> None:
    """Each setting but the secrets reaches the functions, with the value that is set."""
    secrets = ("ALERT_WEBHOOK", "MAIL_URL")
    wanted = {name: f"value of {name}" for name in ENVIRONMENT.values() if name not in secrets}

    cloud = Cloud(tmp_path).with_settings(**wanted)

    assert wanted == exported(cloud.show("deploy.sh", "variables"))


@pytest.mark.parametrize("script", ["setup.sh", "deploy.sh", "teardown.sh", "gateway/gateway.sh"])
def test_usage(tmp_path: Path, script: str) -> None:
    """--help says how; a word that is not known is refused before anything is done."""
    cloud = Cloud(tmp_path)

    assert "Usage: deploy/" in cloud.run((script, "--help")).stdout
    refused = cloud.run((script, "--sesame"))
    assert (refused.returncode, cloud.calls()) == (2, [])


def written() -> list[Line]:
    """Give every gcloud line of the documents."""
    files = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")])
    return [line for file in files for line in in_document(file)]


def test_every_line_is_one_that_gcloud_takes() -> None:
    """gcloud accepts each command line of the documents."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        pytest.skip("The Google Cloud CLI is not installed: its check of command lines is left out")
    (ROOT / "build").mkdir(exist_ok=True)
    wrong = lint(gcloud, written(), ROOT / "build" / "gcloud-lines.json")

    assert {f"{line.place}: {' '.join(line.words)}": why for line, why in wrong.items()} == {}


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

    assert len(wrong) == 4, wrong


# -- environments -----------------------------------------------------------------------------


def with_environment(tmp_path: Path, text: str) -> Cloud:
    """Take a project whose environment `try` is that text."""
    cloud = Cloud(tmp_path).with_settings()
    (cloud.scripts / "environments" / "try.env").write_text(text)
    return cloud


def exported(shown: str) -> dict[str, str]:
    """Read what `deploy.sh variables` has shown."""
    lines = re.findall(r"^export (\w+)=(.*)$", shown, re.MULTILINE)
    return {name: "".join(shlex.split(value)) for name, value in lines}


def test_environment(tmp_path: Path) -> None:
    """An environment says where and with which settings, whatever a shell says of another one."""
    cloud = with_environment(tmp_path, f"PROJECT={PROJECT}\nQUEUE=q2\nORDERS_DELAY=1m\n")

    variables = exported(
        cloud.show("deploy.sh", "variables", ENVIRONMENT="try", BUCKET="other", PROJECT="")
    )

    assert (f"{PROJECT}-uploads", "q2", "1m", "Australia/Sydney") == tuple(
        variables[name] for name in ("BUCKET", "QUEUE", "ORDERS_DELAY", "TIME_ZONE")
    )
    for script in ("setup.sh", "teardown.sh"):
        assert f"--project={PROJECT}" in cloud.show(script, "--environment", "try")


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

    assert (done.returncode, cloud.calls()) == (1, [])
    assert said in done.stderr


@pytest.mark.parametrize("name", ["production", "staging"])
def test_environments(tmp_path: Path, name: str) -> None:
    """The environments that come with the project hold settings that the functions take."""
    variables = exported(
        Cloud(tmp_path).show("deploy.sh", "variables", ENVIRONMENT=name, PROJECT="")
    )

    assert variables["GOOGLE_CLOUD_PROJECT"].startswith("shop-imports")
    Deployment.from_environment(variables)
