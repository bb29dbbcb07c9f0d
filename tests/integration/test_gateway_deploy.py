"""The gateway in the cloud: what its scripts start there, and wrong usage.

What they do to a project is shown with the real gcloud in test_deploy_real_gcloud.py."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
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
    assert cloud.calls() == []


def machine() -> dict[str, str]:
    """Return the files that the machine is made with."""
    config = yaml.safe_load((DEPLOY / "cloud-init.yaml").read_text())
    return {Path(file["path"]).name: file["content"] for file in config["write_files"]}


TOLD = {
    "gateway-image": "registry.example/gateway:1",
    "gateway-bucket": "uploads",
    "gateway-project": PROJECT,
    "gateway-settings": "TIME_ZONE=Pacific/Auckland\nORDERS_DELAY=30m\n",
    "gateway-options": "\n",
}
"""What the deployment tells the machine."""


def container(folder: Path, **told: str) -> list[str]:
    """Run run.sh as the machine does; gives the words of its `docker run`."""
    programs = folder / "bin"
    programs.mkdir()
    for name, value in {**TOLD, **told}.items():
        (folder / name).write_text(value)
    for name, text in {
        "curl": f'cat "{folder}/${{!###*/}}"',
        "docker": f'[[ $1 != run ]] || printf "%s\\n" "$@" >"{folder}/words"',
        **dict.fromkeys(("docker-credential-gcr", "mkdir", "chown"), ":"),
    }.items():
        (programs / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "RUNTIME_DIRECTORY": str(folder)}
    subprocess.run(["bash", DEPLOY / "run.sh"], env=environment, check=True)
    return (folder / "words").read_text().splitlines()


def arguments(words: list[str]) -> list[str]:
    """Return the gateway's own command line."""
    return words[words.index(TOLD["gateway-image"]) + 1 :]


def test_the_container(tmp_path: Path) -> None:
    """The container may write nowhere but into the spool, has no rights, and understands its
    command line.
    """
    words = container(tmp_path)
    flags = words[: words.index(TOLD["gateway-image"])]

    assert "--read-only" in flags
    assert [
        flags[flags.index(flag) + 1] for flag in ("--cap-drop", "--security-opt", "--publish")
    ] == ["ALL", "no-new-privileges", "22:2222"]
    assert [flags[place + 1] for place, word in enumerate(flags) if word == "--volume"] == [
        "/var/spool/gateway:/spool"
    ]
    options = _server_parser().parse_args(arguments(words))
    assert (options.bucket, options.port, str(options.spool)) == ("uploads", 2222, "/spool")
    secrets = f"secret:projects/{PROJECT}/secrets"
    assert [f"{secrets}/gateway-users", f"{secrets}/gateway-host-key"] == [
        *(options.users, *options.host_key)
    ]


def test_time_to_drain(tmp_path: Path) -> None:
    """Uploads under way have their time before anything around them loses its patience."""
    words, unit = container(tmp_path), machine()["gateway.service"]
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


def test_its_settings(tmp_path: Path) -> None:
    """The container is given the settings and the options that the machine has been told."""
    words = container(tmp_path, **{"gateway-options": "--old-clients --max-connections=300\n"})
    settings = Path(words[words.index("--env-file") + 1]).read_text()
    options = _server_parser().parse_args(arguments(words))

    assert TOLD["gateway-settings"] == settings
    assert words.index("--env-file") < words.index(TOLD["gateway-image"])
    assert (options.old_clients, options.max_connections) == (True, 300)


def test_every_option_can_be_set(tmp_path: Path) -> None:
    """Each option of the gateway is in run.sh, or can be given to the deployment, but not both.

    Only the address that it listens on is neither: it is the container's.
    """
    words, cloud = container(tmp_path), Cloud(tmp_path)
    given = [
        word if isinstance(action, argparse._StoreTrueAction) else f"{word}=7"
        for action in _server_parser()._actions
        for word in action.option_strings
        if word.startswith("--") and word not in ("--help", "--host")
    ]
    fixed = [word for word in given if word.partition("=")[0] in words]
    free = [word for word in given if word not in fixed]

    cloud.show(*SCRIPT, "deploy", "--gateway-options", " ".join(free))
    _server_parser().parse_args([*arguments(words), *free])
    refused = [
        cloud.run((*SCRIPT, "deploy", "--dry-run", "--gateway-options", word)) for word in fixed
    ]
    assert [1] * len(fixed) == [one.returncode for one in refused]
    assert free
    assert fixed


def test_patched(tmp_path: Path) -> None:
    """The machine restarts with its updates once uploads under way have ended."""
    files, words = machine(), container(tmp_path)
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
