"""The gateway in the cloud: what its scripts start there, and wrong usage.

What they do to a project is shown with the real gcloud in test_deploy_real_gcloud.py."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest
import yaml

from gateway.__main__ import _server_parser
from tests.support.cloud import PROJECT, ROOT, Cloud

DEPLOY = ROOT / "deploy" / "gateway"
SCRIPT = ("gateway/gateway.sh", "--project", PROJECT)


@pytest.mark.parametrize(
    "command",
    [
        *("setup", "deploy", "show", "teardown", "add-retailer au-erp --connection au"),
        "remove-retailer au-erp",
    ],
)
def test_dry_run(tmp_path: Path, command: str) -> None:
    """A dry run shows command lines and asks and changes nothing."""
    assert "gcloud " in Cloud(tmp_path).show(*SCRIPT, *command.split())


@pytest.mark.parametrize(
    "command",
    [
        *("", "fly", "deploy --what", "add-retailer", "add-retailer x"),
        *(
            f"deploy --gateway-options {word}"
            for word in ("--drain=5", "--max-size=5G", "x", "'*'")
        ),
    ],
)
def test_a_wrong_command(tmp_path: Path, command: str) -> None:
    """What makes no sense ends with an exit code and a word, before anything is done."""
    cloud = Cloud(tmp_path)

    outcome = cloud.run((*SCRIPT, *shlex.split(command)))

    assert outcome.returncode in (1, 2)
    assert outcome.stderr
    assert [] == cloud.calls()


def machine() -> dict[str, str]:
    """Return the files that the machine is made with."""
    config = yaml.safe_load((DEPLOY / "cloud-init.yaml").read_text())
    return {Path(file["path"]).name: file["content"] for file in config["write_files"]}


def container() -> list[str]:
    """Return the words of the `docker run` on the machine, `$` names left as they are."""
    text = (DEPLOY / "run.sh").read_text().replace("\\\n", " ")
    line = next(line for line in text.splitlines() if line.startswith("exec docker run"))
    return shlex.split(line)


def arguments() -> list[str]:
    """Return the command line of the gateway on the machine, without the options that are set."""
    words = container()
    *found, given = words[words.index("$image") + 1 :]
    assert "${options[@]+${options[@]}}" == given
    return found


def test_the_container() -> None:
    """The container may write nowhere but into the spool, has no rights, and understands its
    command line.
    """
    words = container()
    flags = words[: words.index("$image")]

    assert "--read-only" in flags
    assert ["ALL", "no-new-privileges", "22:2222"] == [
        flags[flags.index(flag) + 1] for flag in ("--cap-drop", "--security-opt", "--publish")
    ]
    assert ["/var/spool/gateway:/spool"] == [
        flags[place + 1] for place, word in enumerate(flags) if word == "--volume"
    ]
    options = _server_parser().parse_args(arguments())
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


def test_every_option_can_be_set(tmp_path: Path) -> None:
    """Each option of the gateway is in run.sh, or can be given to the deployment.

    Only the address that it listens on cannot: it is the container's.
    """
    options = {
        word: action
        for action in _server_parser()._actions
        for word in action.option_strings
        if word.startswith("--") and word not in ("--help", "--host")
    }
    said = {word for word in container() if word in options}
    given = []
    for word, action in options.items():
        if word not in said:
            flag = isinstance(action, argparse._StoreTrueAction)
            given.append(word if flag else f"{word}=7")

    assert "gcloud" in Cloud(tmp_path).show(*SCRIPT, "deploy", "--gateway-options", " ".join(given))
    _server_parser().parse_args([*arguments(), *given])
    for word in said:
        assert (
            1
            == Cloud(tmp_path).run((*SCRIPT, "deploy", "--gateway-options", f"{word}=7")).returncode
        )


def test_its_settings() -> None:
    """The container is given the settings that the machine has been told."""
    text, words = (DEPLOY / "run.sh").read_text(), container()
    file = words[words.index("--env-file") + 1]

    assert f"metadata gateway-settings >{file}\n" in text
    assert words.index("--env-file") < words.index("$image")


def test_patched() -> None:
    """The machine restarts with its updates once uploads under way have ended."""
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
