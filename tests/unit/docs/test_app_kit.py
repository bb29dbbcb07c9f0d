"""The app kit in docs/app/ says what the tables say."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from shared.files.filetype import all_types, file_type
from tools.reference.app_kit import FOLDER, files, plain
from tools.reference.data_model import example_document


def test_is_up_to_date() -> None:
    """Every generated file is what the tables come to: else run `make kit`."""
    kept = {
        str(path.relative_to(FOLDER)): path.read_text(encoding="utf-8")
        for path in FOLDER.rglob("*")
        if path.is_file() and "make kit" in path.read_text(encoding="utf-8").partition(" Do ")[0]
    }

    assert files() == kept


@pytest.mark.parametrize("name", [type_.name for type_ in all_types()])
def test_schema(name: str) -> None:
    """Each schema is one of 2020-12, and the example of the page is valid by it."""
    schema = json.loads(files()[f"schema/{name}.json"])

    Draft202012Validator.check_schema(schema)
    example = plain(example_document(file_type(name)))
    assert [] == list(Draft202012Validator(schema).iter_errors(example))
    assert [example] == schema["examples"]


def test_every_field_in_every_language() -> None:
    """Every field of the tables is in the schema and, by its last name, in each language."""
    made = files()
    for type_ in all_types():
        schema = made[f"schema/{type_.name}.json"]
        for column in type_.columns:
            name = column.field.rpartition(".")[2]
            assert f'"{name}": {{' in schema
            assert f"  readonly {name}" in made["apparel21.ts"]
            assert f"\n  {name}: " in made["apparel21.zod.ts"]
            assert f" {name};\n" in made["apparel21.dart"]
