"""The gateway in the cloud: its scripts against a stand-in for gcloud, and what they start."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest
import yaml

from gateway.__main__ import _server_parser
from gateway.users import Users, UsersFile, verify_password
from tests.support.gcloud_lines import lint, read

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy" / "gateway"
COMMANDS = (
    *("setup", "deploy", "show", "teardown", "add-retailer au-erp --connection au"),
    "remove-retailer au-erp",
)

STAND_IN = """#!/usr/bin/env bash
# Remembers each command line; secrets are files, and what is listed is what `there` says.
printf '%q ' "$@" >>"$CLOUD/calls" && echo >>"$CLOUD/calls"
for word in "$@"; do
    case $word in
        --secret=*) name=${word#*=} ;;
        --out-file=*) out=${word#*=} ;;
        --data-file=*) data=${word#*=} ;;
    esac
done
case "$*" in
    *'secrets versions access'*) cp "$CLOUD/secret-$name" "$out" ;;
    *'secrets versions add'*) cp "$data" "$CLOUD/secret-$4" ;;
    *'secrets versions list'*) [[ ! -e $CLOUD/secret-$4 ]] || echo 1 ;;
    *' list'*) cat "$CLOUD/there" ;;
    *'firewall-rules describe'*) cat "$CLOUD/ranges" ;;
    *'addresses describe'*) echo 203.0.113.9 ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Cloud:
    """A project that is none."""

    folder: Path

    def run(self, command: str, *, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of the script."""
        return subprocess.run(
            ["bash", DEPLOY / "gateway.sh", *shlex.split(command), "--project", "shop"],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={
                "PATH": f"{self.folder}:{os.environ['PATH']}",
                "HOME": str(self.folder),
                "CLOUD": str(self.folder),
                "PYTHON": sys.executable,
                "PAUSE": "0",
            },
        )

    def calls(self) -> list[str]:
        """Give every command line so far."""
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    (tmp_path / "gcloud").write_text(STAND_IN)
    (tmp_path / "gcloud").chmod(0o755)
    (tmp_path / "there").touch()
    (tmp_path / "calls").touch()
    (tmp_path / "ranges").write_text("0.0.0.0/0\n")
    return Cloud(tmp_path)


def done(outcome: subprocess.CompletedProcess[str]) -> str:
    assert 0 == outcome.returncode, outcome.stderr
    return outcome.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_dry_run(cloud: Cloud, command: str) -> None:
    """A dry run shows command lines and asks and changes nothing."""
    said = done(cloud.run(f"{command} --dry-run"))

    assert [] == cloud.calls()
    assert "gcloud " in said


def test_every_line_is_one_that_gcloud_takes(cloud: Cloud) -> None:
    """gcloud's own check of command lines has nothing to say against any of the script's."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        pytest.skip("The Google Cloud CLI is not installed.")
    (cloud.folder / "there").write_text("import-gateway\n")
    shown = "".join(done(cloud.run(f"{command} --dry-run")) for command in COMMANDS)
    for command in ("setup", "deploy", "teardown"):
        done(cloud.run(command))
    asked = "".join(f"gcloud {call}\n" for call in cloud.calls())
    lines = list(read(shown + asked, "gateway.sh"))
    (ROOT / "build").mkdir(exist_ok=True)
    wrong = lint(gcloud, lines, ROOT / "build" / "gcloud-gateway.json")

    assert {} == {shlex.join(line.words): why for line, why in wrong.items()}
    assert len({line.words[1:4] for line in lines}) >= 20


def test_set_up_again(cloud: Cloud) -> None:
    """The host key is made once, kept, and can be told to retailers; nothing is made twice."""
    done(cloud.run("setup"))
    key = (cloud.folder / "secret-gateway-host-key").read_bytes()
    (cloud.folder / "there").write_text("import-gateway\ngateway-users\ngateway-host-key\n")
    before = len(cloud.calls())

    done(cloud.run("setup --allow 203.0.113.0/24"))

    assert key == (cloud.folder / "secret-gateway-host-key").read_bytes()
    again = cloud.calls()[before:]
    assert [] == [call for call in again if " create " in call or "versions add" in call]
    assert any("firewall-rules update" in call and "203.0.113.0/24" in call for call in again)
    fingerprint = asyncssh.import_private_key(key).get_fingerprint()
    told = done(cloud.run("show"))
    assert fingerprint in told
    assert "203.0.113.9, port 22" in told
    assert "PRIVATE KEY" not in told


def test_a_retailer(cloud: Cloud, tmp_path: Path) -> None:
    """One command lets a retailer in, with a key or a password, and one locks it out."""
    done(cloud.run("setup"))
    key = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "au.pub").write_bytes(key.export_public_key())

    done(cloud.run("add-retailer au-erp --connection au --key au.pub"))
    done(cloud.run("add-retailer nz-erp --connection nz", stdin="open sesame\n"))

    secret = cloud.folder / "secret-gateway-users"
    users = Users(UsersFile(secret), warn=lambda text: None)
    au, nz = users.find("au-erp"), users.find("nz-erp")
    assert au is not None
    assert {key.public_data} == au.keys
    assert nz is not None
    assert ("nz", True) == (nz.connection, verify_password(nz, "open sesame"))
    kept = secret.read_text()
    again = cloud.run("add-retailer au-erp --connection nz --key au.pub")
    assert (2, kept) == (again.returncode, secret.read_text())
    assert "is there twice" in again.stderr

    done(cloud.run("remove-retailer au-erp"))
    assert ["nz-erp"] == [row["name"] for row in json.loads(secret.read_text())["users"]]


def test_deployed_again(cloud: Cloud) -> None:
    """The first deployment makes the machine; the next one stops it to drain, and starts it."""
    done(cloud.run("deploy"))
    assert any("compute instances create import-gateway" in call for call in cloud.calls())
    (cloud.folder / "there").write_text("import-gateway\n")
    before = len(cloud.calls())

    done(cloud.run("deploy"))

    words = [call.split()[:3] for call in cloud.calls()[before:]]
    assert ["compute", "instances", "create"] not in words
    assert [
        ["compute", "instances", "add-metadata"],
        ["compute", "instances", "stop"],
        ["compute", "instances", "start"],
    ] == [call for call in words if call[:2] == ["compute", "instances"] and call[2] != "list"]


def test_uptime_check(cloud: Cloud) -> None:
    """Google looks from outside whether the port answers, where it may; else that is said."""
    (cloud.folder / "ranges").write_text("0.0.0.0/0\n")
    said = done(cloud.run("deploy"))
    assert any("uptime create" in call for call in cloud.calls())
    assert "No uptime check" not in said
    before = len(cloud.calls())

    (cloud.folder / "ranges").write_text("203.0.113.0/24\n")
    said = done(cloud.run("deploy"))

    assert not any("uptime create" in call for call in cloud.calls()[before:])
    assert "No uptime check: port 22 is not open to Google's." in said


@pytest.mark.parametrize("command", ["", "fly", "deploy --what", "add-retailer", "add-retailer x"])
def test_a_wrong_command(cloud: Cloud, command: str) -> None:
    """What makes no sense ends with an exit code and a word, before anything is done."""
    outcome = cloud.run(command)

    assert outcome.returncode in (1, 2)
    assert outcome.stderr
    assert [] == cloud.calls()


def test_scripts() -> None:
    """shellcheck has nothing to say of the scripts."""
    checker = Path(sys.executable).with_name("shellcheck")
    checked = subprocess.run(
        [checker, "-x", *DEPLOY.glob("*.sh")], cwd=ROOT, capture_output=True, text=True
    )

    assert (0, "") == (checked.returncode, checked.stdout)


def machine() -> dict[str, str]:
    """Return the files that the machine is made with."""
    config = yaml.safe_load((DEPLOY / "cloud-init.yaml").read_text())
    return {Path(file["path"]).name: file["content"] for file in config["write_files"]}


def container() -> list[str]:
    """Return the words of the `docker run` on the machine, `$` names left as they are."""
    text = (DEPLOY / "run.sh").read_text().replace("\\\n", " ")
    line = next(line for line in text.splitlines() if line.startswith("exec docker run"))
    return shlex.split(line)


def test_the_container() -> None:
    """The container may write nowhere but into the spool, has no rights, and understands its
    command line.
    """
    words = container()
    image = words.index("$image")
    flags, arguments = words[:image], words[image + 1 :]

    assert "--read-only" in flags
    assert ["ALL", "no-new-privileges", "22:2222"] == [
        flags[flags.index(flag) + 1] for flag in ("--cap-drop", "--security-opt", "--publish")
    ]
    assert ["/var/spool/gateway:/spool"] == [
        flags[place + 1] for place, word in enumerate(flags) if word == "--volume"
    ]
    options = _server_parser().parse_args(arguments)
    assert (2222, "/spool") == (options.port, str(options.spool))
    assert all(place.startswith("$secrets/") for place in [options.users, *options.host_key])


def test_time_to_drain() -> None:
    """Uploads under way have their time before anything around them loses its patience."""
    words, unit = container(), machine()["gateway.service"]
    drain = int(words[words.index("--drain") + 1])
    docker = int(words[words.index("--stop-timeout") + 1])
    stop = int(re.findall(r"docker stop -t (\d+)", unit)[0])
    systemd = int(re.findall(r"TimeoutStopSec=(\d+)", unit)[0])

    # The gateway needs some seconds more for what has not come to an end; Compute Engine gives 90.
    assert drain + 10 <= docker == stop < systemd < 90


def test_kept_running() -> None:
    """The service comes back by itself, and is restarted when its container is not well."""
    files = machine()

    assert "Restart=always" in files["gateway.service"]
    assert "systemctl restart gateway.service" in files["gateway-health.service"]
    assert "HEALTHCHECK" in (ROOT / "gateway" / "Dockerfile").read_text()
    assert "systemctl start gateway-health.timer" in (DEPLOY / "cloud-init.yaml").read_text()


def test_patched(cloud: Cloud) -> None:
    """The machine fetches its updates and restarts with them, once uploads under way have ended."""
    done(cloud.run("deploy"))
    (created,) = [call for call in cloud.calls() if "compute instances create" in call]
    assert "cos-update-strategy=update_enabled" in created
    files, words = machine(), container()
    update = files["gateway-update.service"]
    drain = int(words[words.index("--long-drain") + 1])
    waits = int(re.findall(r"timeout (\d+) docker wait gateway", update)[0])

    # The gateway needs some seconds more for what has not come to an end.
    assert drain + 10 <= waits
    before, after = update.split("docker kill --signal HUP gateway")
    assert "stop gateway-health.timer" in before
    assert "systemctl reboot" in after
    assert "OnCalendar=Sun" in files["gateway-update.timer"]
    assert "systemctl start gateway-update.timer" in (DEPLOY / "cloud-init.yaml").read_text()
