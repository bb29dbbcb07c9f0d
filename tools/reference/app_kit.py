"""Writes the app kit in docs/app/: the documents as JSON Schema, TypeScript, zod and Dart.

`python -m tools.reference.app_kit` (`make kit`) writes all files. They come from the same tables as
docs/data-model.md. Example: the column PERIDX of a customers file is `personId: string` in
`interface Customer`.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.files.types import FileType, all_types
from tools.reference.data_model import DOCS, example_document
from tools.reference.documents import (
    ArrayOf,
    Field,
    MapOf,
    Scalar,
    Shape,
    Value,
    shape,
    shapes,
)

FOLDER = DOCS / "app"
"""The folder of the kit."""

_MADE = "Written by `make kit` from the tables behind docs/data-model.md. Do not edit."

_JSON: dict[Scalar, dict[str, Any]] = {
    Scalar.STRING: {"type": "string"},
    Scalar.DAY: {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
    Scalar.TIMESTAMP: {
        "type": "string",
        "format": "date-time",
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z$",
        "x-firestore-type": "timestamp",
    },
    Scalar.BOOLEAN: {"type": "boolean"},
    Scalar.INTEGER: {"type": "integer", "x-firestore-type": "integer"},
    Scalar.CENTS: {"type": "integer", "x-firestore-type": "integer"},
    Scalar.DOUBLE: {"type": "number", "x-firestore-type": "double"},
}
_SCRIPT = {Scalar.TIMESTAMP: "Timestamp", Scalar.BOOLEAN: "boolean"} | dict.fromkeys(
    (Scalar.INTEGER, Scalar.CENTS, Scalar.DOUBLE), "number"
)
_ZOD = {
    Scalar.DAY: "day",
    Scalar.TIMESTAMP: "timestamp",
    Scalar.BOOLEAN: "z.boolean()",
    Scalar.INTEGER: "z.number().int()",
    Scalar.CENTS: "z.number().int()",
    Scalar.DOUBLE: "z.number()",
}
_DART = {
    Scalar.TIMESTAMP: "DateTime",
    Scalar.BOOLEAN: "bool",
    Scalar.INTEGER: "int",
    Scalar.CENTS: "int",
    Scalar.DOUBLE: "double",
}
_DART_WORDS = {"import": "importId"}
"""Names that Dart keeps for itself -> the name in the class."""


def files() -> dict[str, str]:
    """Return the kit: path inside the folder -> content."""
    types = all_types()
    shapes_ = {type_.name: shape(type_) for type_ in types}
    return {
        **{
            f"schema/{type_.name}.json": _text(json_schema(shapes_[type_.name], type_))
            for type_ in types
        },
        "apparel21.ts": _typescript(list(shapes_.values())),
        "apparel21.zod.ts": _zod(list(shapes_.values())),
        "apparel21.dart": _dart(list(shapes_.values())),
    }


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, indent=2) + "\n"


def plain(value: Any) -> Any:
    """Return a value of Firestore as the JSON Schema describes it: a timestamp is a string."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def _all(of: Iterable[Shape]) -> list[Shape]:
    """Return all shapes that some shapes need, each once and before the shapes that name it."""
    return [*{one.name: one for top in of for one in shapes(top)}.values()]


# -- JSON Schema --------------------------------------------------------------------------------


def json_schema(of: Shape, type_: FileType) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the documents of a type.

    JSON has no timestamps: they are strings such as `2023-04-24T20:12:30Z`. `x-firestore-type` says
    what the value is in Firestore where JSON cannot tell.
    """
    *inner, _ = shapes(of)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": _MADE,
        "title": of.name,
        **_object(of),
        "$defs": {one.name: _object(one) for one in inner},
        "examples": [plain(example_document(type_))],
    }


def _object(of: Shape) -> dict[str, Any]:
    needed = [field.name for field in of.fields if field.always]
    return {
        "description": of.about,
        "type": "object",
        "properties": {
            field.name: {**_json(field.value), "description": field.meaning} for field in of.fields
        },
        **({"required": needed} if needed else {}),
    }


def _json(value: Value) -> dict[str, Any]:
    match value:
        case Scalar():
            return _JSON[value]
        case MapOf():
            return {"type": "object", "additionalProperties": _JSON[value.value]}
        case ArrayOf():
            return {"type": "array", "items": _json(value.item)}
        case Shape():
            return {"$ref": f"#/$defs/{value.name}"}


# -- TypeScript ---------------------------------------------------------------------------------

_TS_HEAD = f"""\
// {_MADE}
// Types of the documents, and converters for the Firebase JavaScript SDK:
//
//   const orders = collection(db, "connections", "main", "orders").withConverter(orderConverter);
//
// A converter reads what it knows: another field is left out, a field of an unexpected type is
// absent, and a list that is absent is empty. Writing throws, because only the pipeline writes.
import {{ Timestamp }} from "firebase/firestore";
import type {{
  DocumentData, FirestoreDataConverter, QueryDocumentSnapshot, SnapshotOptions,
}} from "firebase/firestore";
"""

_TS_TAIL = """\
type Known = Record<string, unknown>;

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function flag(value: unknown): boolean | undefined {
  return typeof value === "boolean" ? value : undefined;
}

function amount(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function time(value: unknown): Timestamp | undefined {
  return isTimestamp(value) ? new Timestamp(value.seconds, value.nanoseconds) : undefined;
}

/** Tells whether a value is a timestamp of this or another copy of a Firebase SDK. */
export function isTimestamp(value: unknown): value is Timestamp {
  return typeof value === "object" && value !== null
    && typeof (value as Known)["seconds"] === "number"
    && typeof (value as Known)["nanoseconds"] === "number"
    && typeof (value as Known)["toMillis"] === "function";
}

function isMap(value: unknown): value is Known {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function map<T>(value: unknown, read: (map: Known) => T): T | undefined {
  return isMap(value) ? read(value) : undefined;
}

function mapOf<T>(
  value: unknown, read: (one: unknown) => T | undefined,
): Record<string, T> | undefined {
  return map(value, (known) => {
    const result: Record<string, T> = {};
    for (const [name, one] of Object.entries(known)) {
      const made = read(one);
      if (made !== undefined) result[name] = made;
    }
    return result;
  });
}

function array<T>(value: unknown, read: (one: unknown) => T | undefined): T[] {
  return (Array.isArray(value) ? value : []).map(read).filter((one): one is T => one !== undefined);
}

function always<T>(value: T | undefined, field: string): T {
  if (value === undefined) throw new TypeError(`The document has no usable ${field}.`);
  return value;
}

function readOnly<T>(read: (data: DocumentData) => T): FirestoreDataConverter<T, DocumentData> {
  return {
    fromFirestore(snapshot: QueryDocumentSnapshot, options?: SnapshotOptions): T {
      return read(snapshot.data(options));
    },
    toFirestore(): never {
      throw new Error("Only the pipeline writes here: keep your data in documents of your own.");
    },
  };
}
"""

_READERS = {Scalar.TIMESTAMP: "time", Scalar.BOOLEAN: "flag"} | dict.fromkeys(
    (Scalar.INTEGER, Scalar.CENTS, Scalar.DOUBLE), "amount"
)


def _typescript(of: Sequence[Shape]) -> str:
    interfaces = [_interface(one) for one in _all(of)]
    readers = [_reader(one) for one in _all(of)]
    converters = [
        f"/** Reads documents as {{@link {one.name}}}; throws where an app tries to write. */\n"
        f"export const {_small(one.name)}Converter = readOnly(read{one.name});\n"
        for one in of
    ]
    return "\n".join([_TS_HEAD, *interfaces, *readers, _TS_TAIL, *converters])


def _interface(of: Shape) -> str:
    lines = [f"/** {of.about} */", f"export interface {of.name} {{"]
    for field in of.fields:
        lines += _comment(field, indent="  ")
        type_ = _script(field.value)
        if field.always or isinstance(field.value, ArrayOf):
            lines.append(f"  readonly {field.name}: {type_};")
        else:
            lines.append(f"  readonly {field.name}?: {type_} | undefined;")
    return "\n".join([*lines, "}", ""])


def _comment(field: Field, *, indent: str) -> list[str]:
    words = field.meaning
    match field.value:
        case Scalar.CENTS:
            words += " In cents."
        case Scalar.DAY:
            words += " As YYYY-MM-DD."
    return [
        f"{indent}/** {line}" if place == 0 else f"{indent} * {line}"
        for place, line in enumerate(textwrap.wrap(words + " */", 92))
    ]


def _script(value: Value) -> str:
    match value:
        case Scalar():
            return _SCRIPT.get(value, "string")
        case MapOf():
            return f"Readonly<Record<string, {_script(value.value)}>>"
        case ArrayOf():
            return f"readonly {_script(value.item)}[]"
        case Shape():
            return value.name


def _reader(of: Shape) -> str:
    lines = [
        f"/** Reads the fields of {{@link {of.name}}} from a map of Firestore's. */",
        f"export function read{of.name}(data: Record<string, unknown>): {of.name} {{",
        "  return {",
    ]
    for field in of.fields:
        made = _read(field.value, f'data["{field.name}"]')
        if field.always:
            made = f'always({made}, "{field.name}")'
        lines.append(f"    {field.name}: {made},")
    return "\n".join([*lines, "  };", "}", ""])


def _read(value: Value, given: str) -> str:
    match value:
        case Scalar():
            return f"{_READERS.get(value, 'text')}({given})"
        case MapOf():
            return f"mapOf({given}, {_READERS.get(value.value, 'text')})"
        case ArrayOf(Shape() as item):
            return f"array({given}, (one) => map(one, read{item.name}))"
        case ArrayOf(Scalar() as item):
            return f"array({given}, {_READERS.get(item, 'text')})"
        case Shape():
            return f"map({given}, read{value.name})"
    raise TypeError(value)


def _small(name: str) -> str:
    return name[0].lower() + name[1:]


# -- zod ----------------------------------------------------------------------------------------

_ZOD_HEAD = f"""\
// {_MADE}
// Checks of the documents with zod: `customerSchema.parse(snapshot.data())`. Fields that the schema
// does not know are left out.
import {{ z }} from "zod";
import {{ isTimestamp }} from "./apparel21.js";
import type * as documents from "./apparel21.js";
import type {{ Timestamp }} from "firebase/firestore";

const day = z.string().regex(/^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}$/);
const timestamp = z.custom<Timestamp>(isTimestamp, "not a timestamp");
"""


def _zod(of: Sequence[Shape]) -> str:
    parts = [_ZOD_HEAD]
    for one in _all(of):
        lines = [f"export const {_small(one.name)}Schema = z.object({{"]
        for field in one.fields:
            made = _check(field.value)
            if isinstance(field.value, ArrayOf):
                made += ".default([])"
            elif not field.always:
                made += ".optional()"
            lines.append(f"  {field.name}: {made},")
        lines += [f"}}) satisfies z.ZodType<documents.{one.name}>;", ""]
        parts.append("\n".join(lines))
    return "\n".join(parts)


def _check(value: Value) -> str:
    match value:
        case Scalar():
            return _ZOD.get(value, "z.string()")
        case MapOf():
            return f"z.record(z.string(), {_check(value.value)})"
        case ArrayOf():
            return f"z.array({_check(value.item)})"
        case Shape():
            return f"{_small(value.name)}Schema"


# -- Dart ---------------------------------------------------------------------------------------

_DART_HEAD = f"""\
// {_MADE}
//
// Plain classes, without a package. With cloud_firestore:
//
//   final orders = FirebaseFirestore.instance
//       .collection('connections/main/orders')
//       .withConverter<Order>(
//         fromFirestore: (snapshot, _) => Order.fromMap(snapshot.data()!),
//         toFirestore: (order, _) => order.toMap(),
//       );
//
// A field of an unexpected type is null, a list that is absent is empty, and toMap throws: only the
// pipeline writes.

T? _as<T>(Object? value) => value is T ? value : null;

double? _number(Object? value) => value is num ? value.toDouble() : null;

/// Reads a Timestamp of cloud_firestore, or a DateTime.
DateTime? _time(Object? value) {{
  if (value == null || value is DateTime) return value as DateTime?;
  try {{
    return (value as dynamic).toDate() as DateTime;
  }} on NoSuchMethodError {{
    return null;
  }}
}}

Map<String, Object?>? _map(Object? value) =>
    value is Map ? value.map((name, one) => MapEntry('$name', one)) : null;

Map<String, T>? _mapOf<T>(Object? value, T? Function(Object?) read) {{
  final known = _map(value);
  if (known == null) return null;
  return {{
    for (final entry in known.entries)
      if (read(entry.value) case final T made) entry.key: made,
  }};
}}

List<T> _list<T>(Object? value, T? Function(Object?) read) => [
      for (final one in value is List ? value : const [])
        if (read(one) case final T made) made,
    ];

R? _inner<R>(Object? value, R Function(Map<String, Object?>) read) {{
  final known = _map(value);
  return known == null ? null : read(known);
}}

T _always<T>(T? value, String field) =>
    value ?? (throw FormatException('The document has no usable $field.'));
"""


def _dart(of: Sequence[Shape]) -> str:
    return "\n".join([_DART_HEAD, *(_class(one, one in of) for one in _all(of))])


def _class(of: Shape, is_document: bool) -> str:
    lines = [f"/// {of.about}", f"class {of.name} {{", f"  const {of.name}({{"]
    for field in of.fields:
        word = "required " if field.always or isinstance(field.value, ArrayOf) else ""
        lines.append(f"    {word}this.{_dart_name(field)},")
    lines += ["  });", ""]
    lines.append(f"  factory {of.name}.fromMap(Map<String, Object?> data) => {of.name}(")
    for field in of.fields:
        made = _dart_read(field.value, f"data['{field.name}']")
        if field.always:
            made = f"_always({made}, '{field.name}')"
        lines.append(f"        {_dart_name(field)}: {made},")
    lines += ["      );", ""]
    if is_document:
        lines += [
            "  /// Throws: only the pipeline writes these documents.",
            "  Map<String, Object?> toMap() =>",
            "      throw UnsupportedError('Only the pipeline writes these documents.');",
            "",
        ]
    for field in of.fields:
        question = "" if field.always or isinstance(field.value, ArrayOf) else "?"
        for line in textwrap.wrap(field.meaning, 92):
            lines.append(f"  /// {line}")
        lines.append(f"  final {_dart_type(field.value)}{question} {_dart_name(field)};")
    return "\n".join([*lines, "}", ""])


def _dart_name(field: Field) -> str:
    return _DART_WORDS.get(field.name, field.name)


def _dart_type(value: Value) -> str:
    match value:
        case Scalar():
            return _DART.get(value, "String")
        case MapOf():
            return f"Map<String, {_dart_type(value.value)}>"
        case ArrayOf():
            return f"List<{_dart_type(value.item)}>"
        case Shape():
            return value.name


def _dart_function(value: Scalar) -> str:
    match value:
        case Scalar.TIMESTAMP:
            return "_time"
        case Scalar.DOUBLE:
            return "_number"
    return f"_as<{_dart_type(value)}>"


def _dart_read(value: Value, given: str) -> str:
    match value:
        case Scalar():
            return f"{_dart_function(value)}({given})"
        case MapOf():
            return f"_mapOf({given}, {_dart_function(value.value)})"
        case ArrayOf(Shape() as item):
            return f"_list({given}, (one) => _inner(one, {item.name}.fromMap))"
        case ArrayOf(Scalar() as item):
            return f"_list({given}, {_dart_function(item)})"
        case Shape():
            return f"_inner({given}, {value.name}.fromMap)"
    raise TypeError(value)


def write(folder: Path = FOLDER) -> None:
    """Write all files of the kit."""
    for name, content in files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    write()
