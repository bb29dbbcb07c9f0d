"""The functions run from just the files that are uploaded and the packages that are installed."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import google.cloud.storage as storage
import pytest
from google.auth.credentials import AnonymousCredentials

from local.identity import Key, load_key, mint
from shared.web.tokens import REMOVED
from tests.integration.conftest import Servers
from tests.support.pipeline import BUCKET
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(600)
"""The first run has to install the packages."""

FUNCTIONS = {"classify": "cloudevent", "load": "http", "sweep": "http", "status": "http"}
EVENT = {
    "ce-id": "1",
    "ce-specversion": "1.0",
    "ce-type": "google.cloud.storage.object.v1.finalized",
    "ce-source": f"//storage.googleapis.com/projects/_/buckets/{BUCKET}",
}
"""The headers of an event of the bucket."""


def uploaded() -> set[str]:
    """Name the files that .gcloudignore lets through; it leaves all out, then lets some in."""
    rules = [
        line
        for line in (ROOT / ".gcloudignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert rules[0] == "/*"
    let_in = [rule[1:].strip("/") for rule in rules if rule.startswith("!")]
    left_out = [rule.rstrip("/") for rule in rules[1:] if not rule.startswith("!")]
    files = set()
    for name in let_in:
        place = ROOT / name
        for file in [place] if place.is_file() else place.rglob("*"):
            parts = file.relative_to(ROOT).parts
            if file.is_file() and not any(
                fnmatch.fnmatch(part, rule) for part in parts for rule in left_out
            ):
                files.add("/".join(parts))
    return files


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay just these files out, as the build does."""
    folder = tmp_path_factory.mktemp("workspace")
    for name in uploaded():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


NEWER = "newer"


@pytest.fixture(scope="module", params=["here", NEWER])
def python(request: pytest.FixtureRequest) -> Path:
    """An environment made from requirements.txt and nothing else; kept until that changes.

    One has the Python that runs the tests, another one the newest that the machine has besides.
    """
    interpreter = Path(sys.executable)
    if request.param == NEWER:
        found = newer_python()
        if found is None:
            pytest.skip("No newer Python is installed that functions can be deployed with")
        interpreter = found
    requirements = ROOT / "requirements.txt"
    version = subprocess.check_output((str(interpreter), "-VV"))
    known = hashlib.sha256(requirements.read_bytes() + version).hexdigest()[:12]
    place = ROOT / "build" / f"deployed-{request.param}-{known}"
    if not place.is_dir():
        place.parent.mkdir(exist_ok=True)
        for old in place.parent.glob(f"deployed-{request.param}-*"):
            shutil.rmtree(old, ignore_errors=True)
        made = Path(tempfile.mkdtemp(dir=place.parent))
        python = made / "bin" / "python"
        pip = (sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet")
        options = ("--no-compile", "--disable-pip-version-check", "--require-hashes")
        for command in (
            (str(interpreter), "-m", "venv", "--without-pip", str(made)),
            (*pip, *options, "-r", str(requirements)),
        ):
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        made.rename(place)
    return place / "bin" / "python"


def newer_python() -> Path | None:
    """Find the newest other Python that functions can be deployed with: on the PATH or pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for minor in range(13, sys.version_info.minor, -1):
        name = f"python3.{minor}"
        places = sorted(pyenv.glob(f"3.{minor}.*/bin/{name}"))
        if on_path := shutil.which(name):
            places.insert(0, Path(on_path))
        for place in places:
            # pyenv puts names on the PATH that stand for nothing.
            works = subprocess.run((str(place), "-c", "import venv, ssl"), capture_output=True)
            if works.returncode == 0:
                return place
    return None


def test_gcloud_agrees() -> None:
    """gcloud would upload just the files that these tests run from."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        pytest.skip("The Google Cloud CLI is not installed: its own list is left out")
    listed = subprocess.run(
        [gcloud, "meta", "list-files-for-upload", str(ROOT)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert uploaded() == set(listed.stdout.split())


def test_gcloud_takes_the_folder() -> None:
    """gcloud deploys a Python folder only if it has these two files, uploaded or not."""
    assert {"main.py", "requirements.txt"} <= {file.name for file in ROOT.iterdir()}


def test_no_rule_is_about_folders_alone() -> None:
    """No rule of .gcloudignore ends in a slash.

    gcloud functions deploy asks the rules about a folder as if it were a file, unlike all else in
    gcloud. A rule for folders alone does not let that folder in, so its files would be missing.
    """
    rules = (ROOT / ".gcloudignore").read_text().splitlines()

    assert [rule for rule in rules if rule.endswith("/")] == []


def test_the_build_has_what_it_needs() -> None:
    """What gcloud builds submit uploads leaves out nothing that the project keeps.

    The rules of its ignore file, unlike those of .gcloudignore, are names alone; they must leave
    out what git leaves out, and of what git keeps nothing.
    """
    rules = {
        line.rstrip("/")
        for line in (ROOT / "deploy" / "upload.gcloudignore").read_text().splitlines()
        if line and not line.startswith("#")
    }
    kept = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True
    ).stdout.splitlines()
    if not kept:
        pytest.skip("This is no checkout of git, so nothing says what the project keeps")
    left_out = {
        name
        for name in kept
        if any(fnmatch.fnmatch(part, rule) for part in name.split("/") for rule in rules)
    }

    assert set() == left_out
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {rule.strip("/") for rule in ignored} <= rules


def test_nothing_else_is_uploaded() -> None:
    """Tests, samples and what runs on one machine stay at home."""
    assert {"functions", "shared", "requirements.txt"} == {
        name.split("/")[0] for name in uploaded()
    }


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    """Make the key that tokens are signed with before the signature is taken off."""
    return load_key(tmp_path_factory.mktemp("identity"))


@contextmanager
def running(name: str, workspace: Path, servers: Servers, python: Path) -> Iterator[str]:
    """Run a function as the cloud does; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(workspace),
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": str(workspace),
        "GOOGLE_CLOUD_PROJECT": f"deployed-{name}",
        "BUCKET": BUCKET,
        "LOAD_URL": "http://127.0.0.1:9/",
        "TASKS_SERVICE_ACCOUNT": "tasks@example.com",
        "SWEEP_URL": "http://127.0.0.1:9/sweep",
        "SCHEDULER_SERVICE_ACCOUNT": "scheduler@example.com",
        "K_SERVICE": name,
        "FIRESTORE_EMULATOR_HOST": servers.firestore,
        "STORAGE_EMULATOR_HOST": servers.storage,
        "CLOUD_TASKS_EMULATOR_HOST": "127.0.0.1:9",
    }
    process = subprocess.Popen(
        [
            *(str(python), "-m", "functions_framework", "--host", "127.0.0.1"),
            *("--port", str(port), "--source", f"functions/{name}.py", "--target", name),
            *("--signature-type", FUNCTIONS[name]),
        ],
        cwd=workspace,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            assert process.poll() is None, process.communicate()[0]
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "The function does not listen."
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=PATIENCE)


def caller(email: str, audience: str, key: Key) -> dict[str, str]:
    """Give the header of a caller that Cloud Run has let through: without the signature."""
    token = mint(key=key, audience=audience, email=email, now=datetime.now(UTC))
    return {"Authorization": f"Bearer {token.rpartition('.')[0]}.{REMOVED}"}


def post(url: str, body: object, **headers: str) -> tuple[int, str]:
    """Post JSON; gives the status and the text of the answer."""
    request = urllib.request.Request(
        url,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **headers},
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def put(servers: Servers, name: str) -> None:
    """Put an object into the bucket."""
    bucket = storage.Client(
        project="deployable",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": servers.storage},
    ).bucket(BUCKET)
    bucket.blob(name).upload_from_string(b"PERIDX\n1\n")


def test_classify(workspace: Path, servers: Servers, python: Path) -> None:
    """classify takes an event that it has nothing to do with, and answers that it is done."""
    event = {
        "bucket": BUCKET,
        "name": "customers_20230501T115500Z.csv.part",
        "generation": "1",
        "size": "3",
        "crc32c": "AAAAAA==",
        "timeCreated": "2023-05-01T12:00:00Z",
    }
    with running("classify", workspace, servers, python) as url:
        status, _ = post(url, event, **EVENT)

    assert status == 200


def test_load(workspace: Path, servers: Servers, python: Path, key: Key) -> None:
    """load refuses strangers and what is no task, and answers one of an unknown import as done."""
    tasks = caller("tasks@example.com", "http://127.0.0.1:9/", key)
    task = {"connection": "main", "import": "orders_x", "generation": 1, "number": 1}
    with running("load", workspace, servers, python) as url:
        stranger = post(url, task)
        bad = post(url, {"import": "x"}, **tasks)
        unknown = post(url, task, **tasks)

    assert stranger[0] == 401
    assert bad[0] == 400
    assert (unknown[0], json.loads(unknown[1])) == (200, {"result": "unknown import"})


def test_sweep(workspace: Path, servers: Servers, python: Path, key: Key) -> None:
    """sweep finds nothing to do in an empty ledger."""
    scheduler = caller("scheduler@example.com", "http://127.0.0.1:9/sweep", key)
    with running("sweep", workspace, servers, python) as url:
        status, text = post(url, {}, **scheduler)

    assert (status, json.loads(text)["revived"]) == (200, {})


def test_status(workspace: Path, servers: Servers, python: Path, key: Key) -> None:
    """status shows a page, and refuses to do anything but show."""
    person = caller("ana@example.com", "32555940559.apps.googleusercontent.com", key)
    with running("status", workspace, servers, python) as url:
        request = urllib.request.Request(f"{url}?connection=au", headers=person)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            text = answer.read().decode()
        refused, _ = post(url, {}, **person)

    assert "No imports found." in text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert refused == 405


def test_classify_answers_503(workspace: Path, servers: Servers, python: Path) -> None:
    """classify asks for an event again when the queue is out of reach, and says so in one line."""
    name = "customers_20230501T115500Z.csv"
    event = {
        "bucket": BUCKET,
        "name": name,
        "generation": "1",
        "size": "3",
        "crc32c": "AAAAAA==",
        "timeCreated": "2023-05-01T12:00:00Z",
    }
    put(servers, name)
    with running("classify", workspace, servers, python) as url:
        status, text = post(url, event, **EVENT)

    assert status == 503
    assert "Traceback" not in text
