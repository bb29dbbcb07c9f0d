"""Parses the filters of a query into a predicate, and into conditions that an index can answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.cloud.firestore_v1.types import query as query_types

from local.emulators.firestore import fields, values
from local.emulators.firestore.fields import KEY, Fields, Path
from local.emulators.firestore.refusals import invalid
from local.emulators.firestore.values import ARRAY, NAN, NULL, REFERENCE, Key

MAX_DISJUNCTIONS = 30
MAX_NOT_IN = 10

_StructuredQuery = query_types.StructuredQuery.pb()
_FIELD_OPERATORS = _StructuredQuery.FieldFilter.Operator
_UNARY_OPERATORS = _StructuredQuery.UnaryFilter.Operator
_INEQUALITIES = frozenset(
    {"LESS_THAN", "LESS_THAN_OR_EQUAL", "GREATER_THAN", "GREATER_THAN_OR_EQUAL"}
)
_NEGATIONS = frozenset({"NOT_EQUAL", "NOT_IN", "IS_NOT_NAN", "IS_NOT_NULL"})

Predicate = Callable[[Fields, str], bool]
"""Function that returns True if a document matches, by its fields and its full name."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A condition on the document's name that every result meets."""

    operator: str
    reference: Key


def anything(_fields: Fields, _name: str) -> bool:
    """Return True: a query without filters finds every document."""
    return True


class Filters:
    """Filters of one query, parsed into a predicate."""

    def __init__(self, message: Any) -> None:
        self.inequalities: set[Path] = set()
        self.only_names = True
        self.needles: list[bytes] = []
        self.limits: list[Limit] = []
        self.equals: dict[Path, tuple[Key, ...]] = {}
        self.ranges: list[tuple[Path, str, Key]] = []
        self.named: tuple[Key, ...] | None = None
        self._conditions = 0
        self._negations: list[str] = []
        self._alternatives = False
        disjuncts, self.predicate = self._parse(message, required=True)
        if len(self._negations) > 1:
            raise invalid(
                "Only a single 'NOT_EQUAL', 'NOT_IN', 'IS_NOT_NAN', or 'IS_NOT_NULL' filter "
                "allowed per query."
            )
        if self._alternatives and "NOT_IN" in self._negations:
            raise invalid(
                "'NOT_IN' cannot be used in the same query with 'IN', 'ARRAY_CONTAINS_ANY' or 'OR'."
            )
        if any(contains > 1 for contains in disjuncts):
            raise invalid("A maximum of 1 'ARRAY_CONTAINS' filter is allowed per disjunction.")

    @property
    def plain(self) -> bool:
        """True if the conditions kept for an index are all the conditions of the query."""
        return self._conditions == len(self.equals) + len(self.ranges)

    def _parse(self, message: Any, *, required: bool) -> tuple[list[int], Predicate]:
        """Return the normal form, as the number of array-contains per disjunct, and the predicate.

        `required`: True if every result must meet this filter.
        """
        match message.WhichOneof("filter_type"):
            case "composite_filter":
                return self._composite(message.composite_filter, required=required)
            case "field_filter":
                return self._field(message.field_filter, required=required)
            case "unary_filter":
                return [0], self._unary(message.unary_filter)
            case _:
                raise invalid("Unknown Filter type.")

    def _composite(self, message: Any, *, required: bool) -> tuple[list[int], Predicate]:
        operators = _StructuredQuery.CompositeFilter.Operator
        either = message.op == operators.Value("OR")
        if not either and message.op != operators.Value("AND"):
            raise invalid("Unsupported CompositeFilter operator.")
        parsed = [
            self._parse(each, required=required and (not either or len(message.filters) == 1))
            for each in message.filters
        ]
        predicates = [predicate for _disjuncts, predicate in parsed]
        if either and len(parsed) > 1:
            self._alternatives = True
            disjuncts = [each for part, _predicate in parsed for each in part]
            _check_disjunctions(len(disjuncts))
            return disjuncts, lambda found, name: any(p(found, name) for p in predicates)
        _check_disjunctions(math.prod(len(part) for part, _predicate in parsed))
        disjuncts = [0]
        for part, _predicate in parsed:
            disjuncts = [one + other for one in disjuncts for other in part]
        if len(predicates) == 1:
            return disjuncts, predicates[0]
        return disjuncts, lambda found, name: all(p(found, name) for p in predicates)

    def _unary(self, message: Any) -> Predicate:
        self._conditions += 1
        path = fields.parse(message.field.field_path)
        if message.op not in _UNARY_OPERATORS.values() or not message.op:
            raise invalid("Unknown UnaryFilter operator.")
        operator = _UNARY_OPERATORS.Name(message.op)
        if path == KEY:
            raise invalid("__key__ filter value must be a Key")
        self.only_names = False
        if operator in _NEGATIONS:
            self._negations.append(operator)
            self.inequalities.add(path)
        tests: dict[str, Callable[[Key], bool]] = {
            "IS_NULL": lambda own: own[0] == NULL,
            "IS_NAN": lambda own: own[0] == NAN,
            "IS_NOT_NULL": lambda own: own[0] != NULL,
            "IS_NOT_NAN": lambda own: own[0] not in (NULL, NAN),
        }
        return _on_field(path, tests[operator])

    def _field(self, message: Any, *, required: bool) -> tuple[list[int], Predicate]:
        self._conditions += 1
        path = fields.parse(message.field.field_path)
        if message.op not in _FIELD_OPERATORS.values() or not message.op:
            raise invalid("Unknown FieldFilter operator.")
        operator = _FIELD_OPERATORS.Name(message.op)
        operands = _operands(operator, message.value)
        if operator in _NEGATIONS:
            self._negations.append(operator)
        if operator in _INEQUALITIES or operator in _NEGATIONS:
            self.inequalities.add(path)
        contains = 1 if operator.startswith("ARRAY_CONTAINS") else 0
        alternatives = 1
        if operator in ("IN", "ARRAY_CONTAINS_ANY"):
            alternatives = len(operands)
            self._alternatives = True
        if path == KEY:
            if contains:
                raise invalid("the name __key__ is reserved")
            if any(operand[0] != REFERENCE for operand in operands):
                raise invalid("__key__ filter value must be a Key")
            if required and operator not in ("IN", "NOT_IN", "NOT_EQUAL"):
                self.limits.append(Limit(operator, operands[0]))
            if required and operator == "IN":
                self.named = tuple(operands)
            fits = test(operator, operands)
            return [contains] * alternatives, lambda _found, name: fits(values.reference_key(name))
        self.only_names = False
        if required and operator in ("EQUAL", "ARRAY_CONTAINS") and message.value.string_value:
            self.needles.append(message.value.string_value.encode())
        if required:
            self._note(path, operator, operands)
        return [contains] * alternatives, _on_field(path, test(operator, operands))

    def _note(self, path: Path, operator: str, operands: Sequence[Key]) -> None:
        """Record a condition that an index can answer."""
        if operator in _INEQUALITIES:
            self.ranges.append((path, operator, operands[0]))
        elif operator in ("EQUAL", "IN") and path not in self.equals:
            keys = tuple(dict.fromkeys(key for key in operands if key[0] not in (NULL, NAN)))
            several = any(len(others) > 1 for others in self.equals.values())
            if keys and not (len(keys) > 1 and several):
                self.equals[path] = keys


def _check_disjunctions(number: int) -> None:
    if number > MAX_DISJUNCTIONS:
        raise invalid(
            f"Too many disjunctions after normalization. Result had {number} disjunctions "
            f"which is more than the maximum of {MAX_DISJUNCTIONS}"
        )


def _operands(operator: str, value: Any) -> list[Key]:
    """Return the value, or the values, that a field is compared with."""
    most = {"IN": MAX_DISJUNCTIONS, "ARRAY_CONTAINS_ANY": MAX_DISJUNCTIONS, "NOT_IN": MAX_NOT_IN}
    if operator not in most:
        values.check_value(value)
        return [values.key(value)]
    if value.WhichOneof("value_type") != "array_value":
        raise invalid(f"'{operator}' requires an ArrayValue.")
    items = value.array_value.values
    if not items:
        raise invalid(f"'{operator}' requires an non-empty ArrayValue.")
    if len(items) > most[operator]:
        raise invalid(f"'{operator}' supports up to {most[operator]} comparison values.")
    for item in items:
        values.check_value(item)
    return [values.key(item) for item in items]


def _on_field(path: Path, test: Callable[[Key], bool]) -> Predicate:
    if len(path) == 1:
        only = path[0]
        return lambda found, _name: only in found and test(values.key(found[only]))

    def nested(found: Fields, _name: str) -> bool:
        value = fields.get(found, path)
        return value is not None and test(values.key(value))

    return nested


def test(operator: str, operands: Sequence[Key]) -> Callable[[Key], bool]:
    """Return the comparison of a field's key with the operands. Null and NaN equal nothing."""
    first = operands[0]
    kind = first[0]
    comparable = frozenset(key for key in operands if key[0] not in (NULL, NAN))
    match operator:
        case "EQUAL" | "IN":
            return lambda own: own in comparable
        case "NOT_EQUAL" | "NOT_IN":
            if any(key[0] == NULL for key in operands):
                return lambda own: False
            return lambda own: own[0] != NULL and own not in comparable
        case "ARRAY_CONTAINS" | "ARRAY_CONTAINS_ANY":
            return lambda own: own[0] == ARRAY and not comparable.isdisjoint(own[1])
        case _ if not comparable:
            return lambda own: False
        case "LESS_THAN":
            return lambda own: own[0] == kind and own < first
        case "LESS_THAN_OR_EQUAL":
            return lambda own: own[0] == kind and own <= first
        case "GREATER_THAN":
            return lambda own: own[0] == kind and own > first
        case _:
            return lambda own: own[0] == kind and own >= first
