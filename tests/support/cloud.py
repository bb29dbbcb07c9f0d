"""The scripts of deploy/ without a cloud: their dry runs, and how they end if gcloud fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
FAILING = ROOT / "tests" / "support" / "failing"
"""The folder of a gcloud that fails."""
PROJECT = "shop"
OPERATORS = "group:imports@example.com"
DEPLOYERS = "user:ann@example.com"

SETUP = (
    *("setup.sh", "--project", PROJECT, "--operators", OPERATORS),
    *("--alert-email", "imports@example.com", "--budget", "50AUD", "--deployers", DEPLOYERS),
)
TEARDOWN = (
    *("teardown.sh", "--project", PROJECT, "--operators", OPERATORS),
    *("--deployers", DEPLOYERS, "--delete-data"),
)


def steps() -> list[tuple[str, ...]]:
    """Return what the steps of cloudbuild.yaml run of deploy/, in their order."""
    build = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())
    calls = [step.get("args", ()) for step in build["steps"]]
    return [("deploy.sh", *args[1:]) for args in calls if args[:1] == ["deploy/deploy.sh"]]


def role_lines() -> list[tuple[str, str, str, str]]:
    """Return the lines of deploy/roles.txt: who, role, on what and why."""
    lines = (ROOT / "deploy" / "roles.txt").read_text().splitlines()
    rows = [line.split("|") for line in lines if line and not line.startswith("#")]
    return [(who.strip(), role.strip(), on.strip(), why.strip()) for who, role, on, why in rows]


@dataclass(slots=True)
class Cloud:
    """A project that gcloud does not reach."""

    folder: Path
    scripts: Path = field(default=ROOT / "deploy")
    """Where the scripts are; a copy of deploy/ may be changed."""

    def __post_init__(self) -> None:
        (self.folder / "calls").touch()

    def run(
        self, command: Sequence[str], *, answer: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of deploy/ with the variables that the build gives it."""
        script, *arguments = command
        return subprocess.run(
            ["bash", str(self.scripts / script), *arguments],
            cwd=ROOT,
            input=answer,
            capture_output=True,
            text=True,
            env={
                "PATH": f"{FAILING}:{os.environ['PATH']}",
                "HOME": str(self.folder),
                "TMPDIR": str(self.folder),
                "CLOUD": str(self.folder),
                "PYTHON": sys.executable,
                "PAUSE": "0",
                **({"PROJECT": PROJECT, "OPERATORS": OPERATORS} if script == "deploy.sh" else {}),
                **environment,
            },
        )

    def show(self, *command: str, **environment: str) -> str:
        """Return the command lines that a dry run of a script shows."""
        done = self.run((*command, "--dry-run"), **environment)
        assert (done.returncode, self.calls()) == (0, []), done.stderr
        return done.stdout

    def calls(self) -> list[str]:
        """Give every command line of gcloud so far."""
        return (self.folder / "calls").read_text().splitlines()

    def with_settings(self, **settings: str) -> Cloud:
        """Take a copy of deploy/ with other settings."""
        scripts = self.folder / "deploy"
        shutil.copytree(ROOT / "deploy", scripts, dirs_exist_ok=True)
        lines = (ROOT / "deploy" / "settings.env").read_text().splitlines()
        kept = [line for line in lines if line.lstrip("#").split("=")[0] not in settings]
        lines = [*kept, *(f"{name}={value}" for name, value in settings.items())]
        (scripts / "settings.env").write_text("\n".join(lines) + "\n")
        return Cloud(self.folder, scripts)
