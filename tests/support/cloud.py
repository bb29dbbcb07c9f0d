"""A Google Cloud project that is none: the scripts of deploy/ run against a stand-in for gcloud."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / "tests" / "support" / "bin"
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


@dataclass(slots=True)
class Cloud:
    """One project, empty at first."""

    folder: Path
    scripts: Path = field(default=ROOT / "deploy")
    """Where the scripts are; a copy of deploy/ may be changed."""

    def __post_init__(self) -> None:
        for name in ("things", "roles", "calls"):
            (self.folder / name).touch()
        (self.folder / "verdict").write_text('{"status": "checked"}')

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
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "HOME": str(self.folder),
                "TMPDIR": str(self.folder),
                "CLOUD": str(self.folder),
                "PAUSE": "0",
                "SMOKE_PAUSE": "0",
                **({"PROJECT": PROJECT, "OPERATORS": OPERATORS} if script == "deploy.sh" else {}),
                **environment,
            },
        )

    def do(self, *commands: Sequence[str]) -> list[str]:
        """Run scripts that must succeed; gives the gcloud command lines they have run."""
        before = len(self.calls())
        for command in commands:
            done = self.run(command)
            assert done.returncode == 0, f"{command}: {done.stderr}"
        return self.calls()[before:]

    def calls(self) -> list[str]:
        """Give every command line so far."""
        return (self.folder / "calls").read_text().splitlines()

    def things(self) -> set[str]:
        """Give what is there, a "kind name" each."""
        return set((self.folder / "things").read_text().splitlines())

    def roles(self) -> set[tuple[str, ...]]:
        """Give the roles that were given: on what, to whom, which."""
        return {tuple(line.split(" ")) for line in (self.folder / "roles").read_text().splitlines()}

    def with_settings(self, **settings: str) -> Cloud:
        """Take a copy of deploy/ with other settings."""
        scripts = self.folder / "deploy"
        shutil.copytree(ROOT / "deploy", scripts, dirs_exist_ok=True)
        lines = (ROOT / "deploy" / "settings.env").read_text().splitlines()
        kept = [line for line in lines if line.lstrip("#").split("=")[0] not in settings]
        lines = [*kept, *(f"{name}={value}" for name, value in settings.items())]
        (scripts / "settings.env").write_text("\n".join(lines) + "\n")
        return Cloud(self.folder, scripts)
