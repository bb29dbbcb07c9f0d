"""What the functions log is what the metrics count and Error Reporting groups."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.cloud import ROOT
from tests.support.course import SECRET_OF_A_ROW, Course

SEVERITIES = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL")
_TERM = re.compile(r'(NOT )?([\w.]+(?:\."[^"]+")?)(=~|>=|=)(.+)')


def field_of(entry: Mapping[str, Any], path: str) -> Any:
    """Return a field of a log entry, None where there is none."""
    value: Any = entry
    for part in re.findall(r'"[^"]+"|\w+', path):
        value = value.get(part.strip('"')) if isinstance(value, Mapping) else None
    return value


def matches(filter: str, entry: Mapping[str, Any]) -> bool:
    """Whether a log entry passes a filter, of the part of the language that is used here."""
    for term in filter.split(" AND "):
        if term.startswith("("):
            either = re.split(r" OR (?=jsonPayload)", term[1:-1])
            if not any(matches(one, entry) for one in either):
                return False
            continue
        match = _TERM.fullmatch(term)
        assert match, f"cannot be read: {term}"
        no, path, operator, text = match.groups()
        value = field_of(entry, path)
        wanted = (
            [json.loads(one) for one in text.strip("()").split(" OR ")]
            if (path != "severity")
            else [text]
        )
        if operator == "=":
            passed = value in wanted
        elif operator == "=~":
            passed = isinstance(value, str) and re.search(wanted[0], value) is not None
        elif path == "severity":
            passed = SEVERITIES.index(str(value)) >= SEVERITIES.index(text)
        else:
            passed = value is not None and value >= wanted[0]
        if passed == bool(no):
            return False
    return True


def entries(course: Course) -> list[dict[str, Any]]:
    """Make of the lines what Cloud Logging makes of them."""
    return [
        {
            "resource": {"type": "cloud_run_revision", "labels": {"service_name": who}},
            "severity": line["severity"],
            "jsonPayload": {name: value for name, value in line.items() if name != "severity"},
        }
        for who, line in course.lines
        if who != "operators"
    ]


METRICS = {
    file.stem: json.loads(file.read_text())
    for file in sorted((ROOT / "deploy" / "monitoring" / "metrics").glob("*.json"))
}


@pytest.mark.parametrize("name", sorted(set(METRICS) - {"gateway_failures", "schedule_failures"}))
def test_metric_counts(course: Course, name: str) -> None:
    """A metric finds lines that the code writes, and in each the labels and the value it takes."""
    metric = METRICS[name]
    found = [entry for entry in entries(course) if matches(metric["filter"], entry)]

    assert found
    extractors = [*metric["labelExtractors"].values(), metric.get("valueExtractor")]
    for extractor in filter(None, extractors):
        path = re.fullmatch(r"EXTRACT\((.+)\)", extractor)
        assert path
        values = [field_of(entry, path[1]) for entry in found]
        assert None not in values, (name, extractor)


def test_imports_ended(course: Course) -> None:
    """imports_ended tells imports apart by the status that they ended with."""
    found = [
        entry for entry in entries(course) if matches(METRICS["imports_ended"]["filter"], entry)
    ]

    ended = {entry["jsonPayload"]["status"] for entry in found}
    assert {"loaded", "loaded_with_rejects", "checked", "failed"} <= ended


def test_alerts(course: Course) -> None:
    """import_alerts counts each kind of alert."""
    found = [
        entry for entry in entries(course) if matches(METRICS["import_alerts"]["filter"], entry)
    ]

    assert {"overdue", "failed", "late"} <= {entry["jsonPayload"]["code"] for entry in found}


def test_a_failure_can_be_grouped(course: Course) -> None:
    """An unforeseen error has the stack trace that Error Reporting groups by, and no cell."""
    found = [
        entry["jsonPayload"]
        for entry in entries(course)
        if matches(METRICS["import_failures"]["filter"], entry)
    ]

    trace = found[0]["stack_trace"]
    assert trace.startswith("Traceback (most recent call last):\n  File ")
    assert re.search(r'File ".*/shared/loading/\w+\.py", line \d+, in \w+\n', trace)
    assert trace.splitlines()[-1].startswith("KeyError: ")
    assert SECRET_OF_A_ROW not in json.dumps(course.lines)


@pytest.mark.parametrize(
    ("job", "severity", "counted"),
    [("sweep", "ERROR", True), ("sweep", "INFO", False), ("other", "ERROR", False)],
)
def test_schedule_failures(job: str, severity: str, counted: bool) -> None:
    """schedule_failures counts calls of sweep that have failed, as Cloud Scheduler logs them."""
    entry = {
        "resource": {"type": "cloud_scheduler_job", "labels": {"job_id": job}},
        "severity": severity,
        "jsonPayload": {"jobName": f"projects/shop/locations/here/jobs/{job}"},
    }

    assert counted == matches(METRICS["schedule_failures"]["filter"], entry)


def test_gateway_events() -> None:
    """gateway_failures counts just what the gateway logs as an error, taken apart or as a text."""
    filter = METRICS["gateway_failures"]["filter"]
    page = (ROOT / "docs" / "gateway.md").read_text()
    events = re.findall(r"^\|(`.+?`)\|(\w+)\|", page, re.MULTILINE)
    severities = {name: severity for names, severity in events for name in names.split("`")[1::2]}

    assert {"upload_failed", "upload_lost"} <= set(severities)
    for name, severity in severities.items():
        line = {"severity": severity, "message": "…", "event": name, "user": "au-erp"}
        for payload in (line, {"message": json.dumps(line)}):
            entry = {"resource": {"type": "gce_instance"}, "jsonPayload": payload}
            assert (severity in ("ERROR", "CRITICAL")) == matches(filter, entry), name
