"""The app kit compiles, and reads the documents that the pipeline really writes."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shared.files.filetype import all_types
from tests.support import node
from tests.support.pipeline import Pipeline, customers_csv, orders_csv
from tests.support.waiting import PATIENCE
from tools.reference.app_kit import FOLDER, files, plain
from tools.reference.data_model import example_document

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
SCHEMAS = {
    type_.name: Draft202012Validator(
        json.loads(files()[f"schema/{type_.name}.json"]),
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )
    for type_ in all_types()
}

Document = dict[str, Any]


@pytest.fixture(scope="module")
def compiled() -> Iterator[Path]:
    """The TypeScript of the kit and the programs that use it, as the compiler makes them."""
    scripts = [*FOLDER.glob("*.ts"), *node.WANTED.glob("*.ts"), node.WANTED / "tsconfig.json"]
    with node.folder([*scripts, node.WANTED / "package.json"]) as place:
        compiler = place.parent / "node_modules" / "typescript" / "bin" / "tsc"
        made = subprocess.run(
            ["node", compiler], cwd=place, capture_output=True, text=True, timeout=PATIENCE
        )
        assert made.returncode == 0, made.stdout[-4000:]
        yield place


def test_compiles(compiled: Path) -> None:
    """Everything compiles under the strictest rules; what an app must not do does not."""
    made = {path.name for path in compiled.glob("*.js")}

    assert {"apparel21.js", "apparel21.zod.js", "read.js", "use.js"} <= made


def written(make: Callable[..., Pipeline]) -> list[tuple[str, Document]]:
    """Load the good samples, and files with all that is odd; gives every document."""
    pipeline = make(blank_means="keep")
    pipeline.clock.now = datetime(2024, 11, 21, tzinfo=UTC)
    for sample in sorted((SAMPLES / "good").glob("*.csv")):
        pipeline.upload(sample.name, sample.read_bytes())
    pipeline.upload(
        "au/customers_20230501T110000Z.csv",
        customers_csv({"PERIDX": "1"}, {"PERIDX": "2", "EMAIL": "A@B.CO", "OWN": "x"}),
    )
    pipeline.clock.advance(timedelta(hours=1))
    pipeline.run_due()
    pipeline.upload(
        "au/customers_20230501T113000Z.csv",
        customers_csv(
            {"PERIDX": "1", "EMAIL": "", "DOB": "24/04/1990", "CREATED_DATE": "2021-03-25T09:30:00"}
        ),
    )
    pipeline.upload(
        "au/orders_20230501T113500Z.csv",
        orders_csv(
            {"ORDER_NUMBER": "D1"},
            {"ORDER_NUMBER": "D1", "LINE_NUMBER": "2", "QUANTITY": "two"},
            *({"ORDER_NUMBER": f"E{n}", "ORDER_DATE": "2023-04-24T20:12:30"} for n in range(9)),
        ),
    )
    pipeline.clock.advance(timedelta(hours=1))
    pipeline.run_due()
    return [
        (type_.name, document)
        for type_ in all_types()
        for connection in ("main", "au")
        for document in pipeline.documents(type_.collection, connection).values()
    ]


def fields(value: Any, path: str = "") -> Iterator[str]:
    """Name every field of a document, entries of lists alike."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from fields(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from fields(inner, f"{path}[]")
    else:
        yield path


def marked(value: Any) -> Any:
    """Return a value for `read.ts`."""
    if isinstance(value, datetime):
        return {"$time": [int(value.timestamp()), value.microsecond * 1000]}
    if isinstance(value, dict):
        return {name: marked(inner) for name, inner in value.items()}
    return [marked(one) for one in value] if isinstance(value, list | tuple) else value


def told(value: Any) -> Any:
    """Return a value as `read.ts` prints it."""
    if isinstance(value, datetime):
        seconds, nanoseconds = marked(value)["$time"]
        return {
            "seconds": seconds,
            "nanoseconds": nanoseconds,
            "type": "firestore/timestamp/1.0",
        }
    if isinstance(value, dict):
        return {name: told(inner) for name, inner in value.items()}
    return [told(one) for one in value] if isinstance(value, list) else value


def read(compiled: Path, documents: Any) -> list[tuple[Any, Any]]:
    """Read documents in JavaScript; gives what the converter and what zod makes of each."""
    given = compiled / "documents.json"
    given.write_text(json.dumps(documents))
    found: list[tuple[Any, Any]] = json.loads(node.run("read.js", given, cwd=compiled))
    return found


def test_documents_of_the_pipeline(make: Callable[..., Pipeline], compiled: Path) -> None:
    """Each is valid by its schema; the converter and zod read every field of it."""
    documents = written(make)

    faults = [
        (name, error.json_path, error.message)
        for name, document in documents
        for error in SCHEMAS[name].iter_errors(plain(document))
    ]
    assert [] == faults
    assert len(documents) > 200
    assert {"orders", "rewards", "customers"} == {name for name, _ in documents}
    some = {f"{name}{path}" for name, document in documents for path in fields(document)}
    assert {
        *("customers.emailLower", "customers.source.kept.email", "customers.source.open[]"),
        *("orders.incomplete", "orders.orderedAt", "customers.extra.OWN"),
        "rewards.rewards[].rewardId",
    } <= some
    results = read(compiled, [*map(list, marked(documents))])
    for (name, document), (converted, parsed) in zip(documents, results, strict=True):
        lists = {"orders": "lines", "rewards": "rewards"}
        usual: Document = {lists[name]: []} if name in lists else {}
        source = {"open": [], **document["source"]}
        source.pop("content", None)  # The pipeline's own, and left out of the kit.
        assert converted == parsed == told({**usual, **document, "source": source})


WRONG: dict[type, Any] = {
    str: 5,
    bool: "true",
    int: "5",
    float: "5.0",
    datetime: "2023-04-24T20:12:30",
    list: "x",
    dict: "x",
}


def spoiled(document: Document) -> Iterator[tuple[str, Document]]:
    """Give the document with each of its fields in turn of a wrong type."""

    def inside(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        if path:
            yield path
        if isinstance(value, dict):
            for name, one in value.items():
                yield from inside(one, (*path, name))
        elif isinstance(value, list):
            for place, one in enumerate(value):
                yield from inside(one, (*path, place))

    for path in inside(document, ()):
        other = copy.deepcopy(document)
        place: Any = other
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = WRONG[type(place[path[-1]])]
        yield ".".join(map(str, path)), other


@pytest.mark.parametrize("name", SCHEMAS)
def test_wrong_types(name: str, compiled: Path) -> None:
    """A field of a wrong type is refused by schema and zod, and absent for the converter."""
    (type_,) = (one for one in all_types() if one.name == name)
    document = example_document(type_)
    document["source"] |= {
        "open": ["mobile"],
        "kept": {"email": datetime(2023, 4, 24, tzinfo=UTC)},
        "keptGenerations": {"email": 1},
    }
    document["extra"] = {"OWN": "x"}
    assert [] == list(SCHEMAS[name].iter_errors(plain(document)))
    broken = list(spoiled(document))

    results = read(compiled, marked([(name, one) for _, one in broken]))

    for (path, one), (converted, parsed) in zip(broken, results, strict=True):
        assert not SCHEMAS[name].is_valid(plain(one)), path
        assert parsed == "refused: ZodError", path
        assert converted == "refused: TypeError" or converted != told(one), path


NO = "permission-denied: That does not match our records."
TOO_MANY = "resource-exhausted: Too many attempts. Try again in an hour."
SIGN_IN = "unauthenticated: Sign in with a verified e-mail address."


def test_claiming_a_person(compiled: Path, servers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample gives a person's claims for the address and the code sent to the mobile alone.

    An unknown address, one of a family and one without a mobile get the same answers.
    """
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", servers.firestore)

    found = json.loads(node.run("claim.js", "claiming", cwd=compiled))

    same = {
        f"{who}: {what}": answer
        for who in ("unknown", "shared", "no mobile")
        for what, answer in (("begin", "done"), ("texts", 0), ("finish", NO))
    }
    claims = {"connection": "main", "person": "1"}
    assert found == same | {
        "wrong code": NO,
        "a code of another account": NO,
        "the loyalty level": NO,
        "nothing else": NO,
        "right code": "done",
        "the same code again": NO,
        "claims": [["u1", claims]],
        "staff": NO,
        "retailer": NO,
        "too late": NO,
        "after five wrong codes": NO,
        "the eleventh attempt": TOO_MANY,
        "of another account": TOO_MANY,
        "of an unknown address": "done",
        "asked": [{"uid": "u", "email": "ana@example.com", "claims": {"person": "1"}}, "main"],
        "not verified": SIGN_IN,
        "not signed in": SIGN_IN,
        "another shop": "invalid-argument: No such shop.",
        "set": 1,
    }
