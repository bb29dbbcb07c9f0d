"""The files that are deployed hold to what the services take."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from google.cloud import monitoring_dashboard_v1, monitoring_v3
from google.cloud.logging_v2.types import LogMetric
from google.protobuf import json_format

from tests.support.cloud import FAILING, ROOT, steps

BUILD = ROOT / "cloudbuild.yaml"
MONITORING = ROOT / "deploy" / "monitoring"
METRICS = sorted((MONITORING / "metrics").glob("*.json"))
POLICIES = sorted((MONITORING / "policies").glob("*.json"))

FIREBASE: dict[str, Any] = {
    "type": "object",
    "required": ["firestore"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string"},
        "firestore": {
            "type": "object",
            "required": ["rules", "indexes"],
            "additionalProperties": False,
            "properties": {
                name: {"type": "string"}
                for name in ("database", "location", "edition", "rules", "indexes")
            },
        },
    },
}
"""The part that is used here of schema/firebase-config.json in the npm package firebase-tools."""

_INDEXED = {"order": {"enum": ["ASCENDING", "DESCENDING"]}, "arrayConfig": {"enum": ["CONTAINS"]}}
_SCOPE = {"enum": ["COLLECTION", "COLLECTION_GROUP"]}
INDEXES: dict[str, Any] = {
    "type": "object",
    "required": ["indexes", "fieldOverrides"],
    "additionalProperties": False,
    "properties": {
        "indexes": {
            "type": "array",
            "uniqueItems": True,
            "items": {
                "type": "object",
                "required": ["collectionGroup", "queryScope", "fields"],
                "additionalProperties": False,
                "properties": {
                    "collectionGroup": {"type": "string"},
                    "queryScope": _SCOPE,
                    "fields": {
                        "type": "array",
                        "minItems": 2,
                        "items": {
                            "type": "object",
                            "required": ["fieldPath"],
                            "minProperties": 2,
                            "maxProperties": 2,
                            "additionalProperties": False,
                            "properties": {"fieldPath": {"type": "string"}, **_INDEXED},
                        },
                    },
                },
            },
        },
        "fieldOverrides": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["collectionGroup", "fieldPath", "indexes"],
                "additionalProperties": False,
                "properties": {
                    "collectionGroup": {"type": "string"},
                    "fieldPath": {"type": "string"},
                    "ttl": {"type": "boolean"},
                    "indexes": {
                        "type": "array",
                        "uniqueItems": True,
                        "items": {
                            "type": "object",
                            "required": ["queryScope"],
                            "minProperties": 2,
                            "maxProperties": 2,
                            "additionalProperties": False,
                            "properties": {"queryScope": _SCOPE, **_INDEXED},
                        },
                    },
                },
            },
        },
    },
}
"""What the Firebase CLI takes of firestore.indexes.json (its firestore/api, validateSpec)."""


def test_cloudbuild() -> None:
    """cloudbuild.yaml holds to the published schema."""
    schemas = resources.files("check_jsonschema.builtin_schemas") / "vendor"
    schema = json.loads((schemas / "cloudbuild.json").read_text())

    jsonschema.validate(yaml.safe_load(BUILD.read_text()), schema)


def test_firebase() -> None:
    """firebase.json holds to the Firebase CLI's schema, and the files it names are there."""
    config = json.loads((ROOT / "firebase.json").read_text())

    jsonschema.validate(config, FIREBASE)
    assert (ROOT / config["firestore"]["rules"]).is_file()
    jsonschema.validate(json.loads((ROOT / config["firestore"]["indexes"]).read_text()), INDEXES)


def test_one_override_a_field() -> None:
    """No field is spoken of twice, which the Firebase CLI would take and half of it would count."""
    overrides = json.loads((ROOT / "firestore.indexes.json").read_text())["fieldOverrides"]
    fields = [(one["collectionGroup"], one["fieldPath"]) for one in overrides]

    assert len(set(fields)) == len(fields)


def test_what_expires_is_deleted() -> None:
    """Each collection whose documents carry expireAt has the TTL policy, on a field without index.

    An indexed time that rises would hold a collection to 500 writes a second.
    """
    overrides = json.loads((ROOT / "firestore.indexes.json").read_text())["fieldOverrides"]
    ttl = {
        one["collectionGroup"]: one["indexes"]
        for one in overrides
        if one.get("ttl") and one["fieldPath"] == "expireAt"
    }

    # An import, the records of superseded uploads below it, and shards that were never loaded.
    assert ttl == {"imports": [], "generations": [], "shards": []}


@pytest.mark.parametrize("file", METRICS, ids=lambda file: file.stem)
def test_metric(file: Path) -> None:
    """A metric is one that Cloud Logging takes, named like its file, its labels all extracted."""
    metric = json.loads(file.read_text())

    json_format.ParseDict(metric, LogMetric.pb()())
    assert file.stem == metric["name"]
    labels = [label["key"] for label in metric["metricDescriptor"]["labels"]]
    assert labels == list(metric["labelExtractors"])
    assert ("valueExtractor" in metric) == (
        metric["metricDescriptor"]["valueType"] == "DISTRIBUTION"
    )


@pytest.mark.parametrize("file", POLICIES, ids=lambda file: file.stem)
def test_policy(file: Path) -> None:
    """An alert policy is one that Cloud Monitoring takes, and carries its file's name."""
    policy = json.loads(file.read_text())

    json_format.ParseDict(policy, monitoring_v3.AlertPolicy.pb()())
    assert {"policy": file.stem} == policy["userLabels"]


@pytest.mark.parametrize("file", POLICIES, ids=lambda file: file.stem)
def test_trouble_that_comes_again_is_mailed_again(file: Path) -> None:
    """An incident about something counted closes as soon as nothing is counted any more."""
    policy = json.loads(file.read_text())

    assert policy["alertStrategy"]["autoClose"] == "1800s"
    for condition in policy["conditions"]:
        threshold = condition.get("conditionThreshold", {})
        if "/user/" in threshold.get("filter", ""):
            assert threshold["evaluationMissingData"] == "EVALUATION_MISSING_DATA_INACTIVE"
            # The least with which Cloud Monitoring takes that.
            assert threshold["duration"] == "60s"


def test_a_sweep_that_has_never_succeeded() -> None:
    """An alert policy needs no earlier success of the sweep to miss one.

    Cloud Monitoring's own condition for absence fires for a metric that was once there only.
    """
    policy = json.loads((MONITORING / "policies" / "sweep-silent.json").read_text())

    query = policy["conditions"][0]["conditionPrometheusQueryLanguage"]
    assert query["query"].startswith("absent(sum(increase(run_googleapis_com:request_count{")
    assert 'service_name="sweep"' in query["query"]
    assert query["disableMetricValidation"]  # at the first deployment there is none yet
    assert "conditionAbsent" not in json.dumps([json.loads(file.read_text()) for file in POLICIES])


def test_dashboard() -> None:
    """The dashboard is one that Cloud Monitoring takes, and begins as deploy.sh expects it."""
    text = (MONITORING / "dashboard.json").read_text()
    dashboard = json.loads(text)

    json_format.ParseDict(dashboard, monitoring_dashboard_v1.Dashboard.pb()())
    assert text.startswith("{\n")
    assert f'displayName="{dashboard["displayName"]}"' in (ROOT / "deploy/deploy.sh").read_text()


def test_metrics_that_are_spoken_of() -> None:
    """Policies and dashboard speak of metrics and labels that there are, and of each of them."""
    metrics = {file.stem: json.loads(file.read_text()) for file in METRICS}
    spoken: set[str] = set()
    for file in [*POLICIES, MONITORING / "dashboard.json"]:
        text = file.read_text()
        spoken |= set(re.findall(r"logging\.googleapis\.com/user/(\w+)", text))
    for part in _parts_with_a_filter():
        for name in re.findall(r"logging\.googleapis\.com/user/(\w+)", part["filter"]):
            aggregation = part.get("aggregation") or part["aggregations"][0]
            for field in aggregation.get("groupByFields", []):
                scope, _, label = field.rpartition(".")
                labels = metrics[name]["labelExtractors"]
                assert scope == "resource.label" or label in labels, (name, field)

    assert set(metrics) == spoken


def _parts_with_a_filter() -> list[dict[str, Any]]:
    found = []

    def walk(part: Any) -> None:
        if isinstance(part, dict):
            if "filter" in part:
                found.append(part)
            for value in part.values():
                walk(value)
        elif isinstance(part, list):
            for value in part:
                walk(value)

    for file in [*POLICIES, MONITORING / "dashboard.json"]:
        walk(json.loads(file.read_text()))
    return found


def test_steps() -> None:
    """The build runs every part of deploy.sh, once for each function, and all after the tests."""
    build = yaml.safe_load(BUILD.read_text())
    functions = {file.stem for file in (ROOT / "functions").glob("*.py") if file.stem != "__init__"}
    parts = {"firestore", "queue", "bucket", "schedule", "metrics", "monitoring", "release"}
    wanted: list[tuple[str, ...]] = [("deploy.sh", part) for part in parts]
    wanted += [("deploy.sh", "function", name) for name in functions]

    assert sorted(wanted) == sorted(steps())
    known: set[str] = set()
    for number, step in enumerate(build["steps"]):
        assert known >= set(step.get("waitFor", [])), step["id"]
        assert number == 0 or step.get("waitFor"), f"{step['id']} waits for nothing"
        known.add(step["id"])
    assert build["steps"][0]["id"] == "tests"
    # Nothing is released unless everything is deployed.
    assert set() == known - {"release"} - _before("release", build["steps"])


def _before(id: str, steps: list[dict[str, Any]]) -> set[str]:
    """Give all steps that have ended when a step begins."""
    waits = {step["id"]: step.get("waitFor", []) for step in steps}
    return {one for first in waits[id] for one in (first, *_before(first, steps))}


def test_substitutions() -> None:
    """Each substitution is explained, has a default and is used."""
    text = BUILD.read_text()
    build = yaml.safe_load(text)

    for name in build["substitutions"]:
        assert re.search(rf"^  # .*\n  {name}: ", text, re.MULTILINE), name
        assert f"${{{name}}}" in text, name
    handed_on = {line.split("=")[0] for line in build["options"]["env"]}
    asked_for = set(re.findall(r"\$\{?([A-Z][A-Z_]*)", text.split("steps:")[1]))
    assert asked_for <= handed_on


NEWER = re.compile(
    r"\$\{\w+(\^|,,?\}|@[A-Z]|\[-)|\b(declare|local) -[An]|\b(mapfile|readarray|coproc)\b|\|&|&>>"
)
"""What bash 3.2, which macOS has, does not know."""


def test_old_bash() -> None:
    """The scripts use nothing that is newer than bash 3.2."""
    scripts = sorted((ROOT / "deploy").rglob("*.sh"))
    newer = {
        f"{script.name}: {line.strip()}"
        for script in scripts
        for line in script.read_text().splitlines()
        if NEWER.search(line.partition(" #")[0]) and not line.startswith("#")
    }

    assert set() == newer


def test_shell_scripts() -> None:
    """shellcheck has nothing to say of any script."""
    scripts = sorted((ROOT / "deploy").rglob("*.sh"))
    checker = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run(
        [checker, "-x", *scripts, FAILING / "gcloud"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stdout) == (0, "")
