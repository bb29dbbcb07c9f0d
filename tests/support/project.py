"""A project in the stub of Google Cloud, and the project's own files on their way into it."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tests.support.google  # noqa: F401 - it registers what the stub answers
from tests.support.cloud import DEPLOYERS, PROJECT, ROOT, SETUP, TEARDOWN
from tests.support.google import fork
from tests.support.google.server import Google, serving

OWNER = Google.OWNER
DEPLOYER = DEPLOYERS.partition(":")[2]
OPERATOR = "imports@example.com"
REGION = "australia-southeast1"

__all__ = ["DEPLOYER", "OPERATOR", "OWNER", "PROJECT", "REGION", "SETUP", "TEARDOWN", "Project"]


def account(name: str) -> str:
    """Return the e-mail of an account of the pipeline."""
    return f"import-{name}@{PROJECT}.iam.gserviceaccount.com"


@dataclass(frozen=True, slots=True)
class Project:
    """A fresh clone of the project's files, and the Google Cloud project that it goes to."""

    google: Google
    tree: Path
    folder: Path
    environment: dict[str, str]

    def run(
        self,
        *command: str,
        who: str = OWNER,
        answer: str = "",
        tree: Path | None = None,
        **more: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone, or in another folder, as somebody."""
        token = self.folder / f"token-{who}"
        token.write_text(who)
        return subprocess.run(
            command,
            cwd=tree or self.tree,
            env={
                **self.environment,
                "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
                "CLOUDSDK_CORE_ACCOUNT": who,
                **more,
            },
            input=answer,
            capture_output=True,
            text=True,
            timeout=600,
        )

    def do(self, *command: str, who: str = OWNER, answer: str = "", **more: Any) -> str:
        """Run a command that must succeed and ask for nothing that the stub does not know."""
        done = self.run(*command, who=who, answer=answer, **more)
        assert self.google.unknown == [], self.google.unknown
        refused = [one for one in self.google.requests if one.status == 403]
        assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-3000:], refused)
        return done.stdout

    def script(self, name: str, *arguments: str, **more: Any) -> str:
        """Run a script of deploy/ that must succeed."""
        return self.do("bash", f"deploy/{name}", *arguments, **more)

    def submit(self) -> Path:
        """Submit the build as whoever deploys; gives the folder that the build finds."""
        self.do(
            *("gcloud", "builds", "submit", "--ignore-file=deploy/upload.gcloudignore"),
            *(f"--project={PROJECT}", f"--substitutions=_OPERATORS=group:{OPERATOR}"),
            who=DEPLOYER,
        )
        source = self.builds()[-1]["source"]["storageSource"]
        workspace = self.folder / f"workspace-{len(self.builds())}"
        content = self.google.objects[source["bucket"], source["object"]]
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(workspace, filter="data")
        return workspace

    def builds(self) -> list[dict[str, Any]]:
        """Return the builds that were submitted, oldest first."""
        return [
            thing
            for (at, name), thing in self.google.things.items()
            if at == "cloudbuild" and "/builds/" in name
        ]

    def build(self, *, without: Sequence[str] = ()) -> list[str]:
        """Submit the build and run what its steps run of deploy/, as its account; gives their ids.

        Args:
            without: ids of steps that are left out.
        """
        workspace = self.submit()
        ran = []
        for step in self._deploying():
            if step["id"] not in without:
                self.do(
                    step["entrypoint"],
                    *step["args"],
                    who=account("deploy"),
                    tree=workspace,
                    **self.variables(),
                )
                ran.append(step["id"])
        return ran

    def dry_run(self) -> list[str]:
        """Return the command lines that a dry run of the last build's steps shows."""
        return [
            line
            for step in self._deploying()
            for line in self.do(
                step["entrypoint"], *step["args"], "--dry-run", **self.variables()
            ).splitlines()
        ]

    def variables(self) -> dict[str, str]:
        """Return what the last build tells its steps."""
        submitted = self.builds()[-1]
        values = {
            "PROJECT_ID": PROJECT,
            "PROJECT_NUMBER": self.google.number,
            "COMMIT_SHA": "",
            "BUILD_ID": submitted["id"],
            **submitted.get("substitutions", {}),
        }

        def filled(text: str) -> str:
            return re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], text)

        who = filled(submitted["serviceAccount"]).split("/")[-1]
        assert who == account("deploy")
        lines = (filled(line).split("=", 1) for line in submitted["options"]["env"])
        return {"FIREBASE_TOKEN": who, **dict(lines)}

    def _deploying(self) -> list[dict[str, Any]]:
        """Return the steps of the last build that run a script of deploy/."""
        return [step for step in self.builds()[-1]["steps"] if "args" in step]

    def calls(self) -> list[str]:
        """Return every command line of gcloud so far."""
        return (self.folder / "calls").read_text().splitlines()


def has_firebase() -> bool:
    """Whether npm has the Firebase CLI that deploy.sh pins; it is fetched once."""
    text = (ROOT / "deploy" / "deploy.sh").read_text()
    match = re.search(r"npx --yes (firebase-tools@\S+)", text)
    assert match
    if shutil.which("npx") is None:
        return False
    tried = subprocess.run(["npx", "--yes", match[1], "--version"], capture_output=True)
    return tried.returncode == 0


def npm_cache() -> str:
    """Return the folder in which npm keeps what it has fetched."""
    return os.environ.get("NPM_CONFIG_CACHE") or str(Path.home() / ".npm")


def clone(place: Path) -> None:
    """Copy the project's files, without what was made from them."""
    left_out = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()]
    shutil.copytree(ROOT, place, ignore=shutil.ignore_patterns(".git", *left_out), symlinks=True)


def report(google: Google, bucket: str, name: str, status: str = "checked") -> None:
    """Do what the pipeline does with a file in test/: report what has become of it."""
    if name.startswith("test/"):
        folder, _, file = name.removeprefix("test/").rpartition("/")
        top = "reports" if status == "checked" else "rejected"
        place = f"{top}/{folder}/test/{file.removesuffix('.csv')}.report.json"
        google.objects[bucket, place] = f'{{"status": "{status}"}}'.encode()


@contextmanager
def project(folder: Path, gcloud: str) -> Iterator[Project]:
    """Give an empty project, and gcloud's commands in it.

    Args:
        folder: where all of it is kept.
        gcloud: the real gcloud.
    """
    google = Google(PROJECT)
    google.uploaded = lambda bucket, name: report(google, bucket, name)
    tree = folder / "clone"
    clone(tree)
    library = Path(gcloud).resolve().parents[1] / "lib"
    bundled = library.parent / "platform" / "bundledpythonunix" / "bin" / "python3"
    python = str(bundled) if bundled.exists() else sys.executable
    place = str(folder / "socket")
    (folder / "bin").mkdir()
    script = folder / "bin" / "gcloud"
    script.write_text(
        f'#!/bin/sh\nexec "{python}" -IS "{fork.__file__}" call "{place}" gcloud "$@"\n'
    )
    script.chmod(0o755)
    server = subprocess.Popen(
        [python, "-S", fork.__file__, "serve", place, str(library)],
        stdout=subprocess.PIPE,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "CLOUDSDK_CONFIG": str(folder / "x")},
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        with serving(google, folder) as environment:
            yield Project(
                google,
                tree,
                folder,
                {
                    "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
                    "HOME": str(folder),
                    "TMPDIR": str(folder),
                    "PAUSE": "0",
                    "SMOKE_PAUSE": "0",
                    "npm_config_cache": npm_cache(),
                    "npm_config_offline": "true",
                    "npm_config_update_notifier": "false",
                    "NO_UPDATE_NOTIFIER": "1",
                    "PYTHON": sys.executable,
                    **environment,
                },
            )
    finally:
        server.terminate()
        server.communicate()
