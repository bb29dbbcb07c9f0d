"""The indexes that Firestore would need for a query, compared with firestore.indexes.json.

Emulators answer every query; Firestore in the cloud refuses one without its index. `IndexProxy`
stands between a client and an emulator, and refuses such a query, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import grpc
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1.types import StructuredQuery

from tests.support.grpc_relay import Relay, passed_on

DECLARED: Mapping[str, Any] = json.loads(
    (Path(__file__).resolve().parents[2] / "firestore.indexes.json").read_text(encoding="utf-8")
)

Fields = tuple[tuple[str, str], ...]
"""Paths of fields, each with ASCENDING or DESCENDING."""


@dataclass(frozen=True, slots=True)
class Needs:
    """The fields that a query needs in an index of one collection id."""

    group: str
    scope: str
    equal: frozenset[str]
    """Fields that must be equal to something."""
    order: Fields
    """Fields by which the results are sorted, that are between bounds, or that are summed."""

    @classmethod
    def by(cls, query: StructuredQuery, summed: Iterable[str] = ()) -> Needs:
        """Return what a query asks; `summed` are the fields that an aggregation adds up."""
        (source,) = query.from_
        conditions = list(_conditions(query.where))
        equal = frozenset(path for path, operator in conditions if operator in ("EQUAL", "IN"))
        order = [
            (one.field.field_path, one.direction.name or "ASCENDING")
            for one in query.order_by
            if one.field.field_path not in ("__name__", *equal)
        ]
        bounds = sorted({path for path, _ in conditions} - equal - {path for path, _ in order})
        order += [(path, "ASCENDING") for path in (*bounds, *sorted(summed)) if path != "__name__"]
        scope = "COLLECTION_GROUP" if source.all_descendants else "COLLECTION"
        return cls(source.collection_id, scope, equal, tuple(order))

    def missing(self, declared: Mapping[str, Any] = DECLARED) -> str:
        """Return what must be added to firestore.indexes.json; "" if the query can be answered.

        Firestore merges indexes that sort alike: together they must hold all fields that are equal
        to something.
        """
        found: set[str] = set()
        answered = not self.order
        for index in declared["indexes"]:
            if (index["collectionGroup"], index["queryScope"]) != (self.group, self.scope):
                continue
            fields = tuple((one["fieldPath"], one["order"]) for one in index["fields"])
            count = len(fields) - len(self.order)
            prefix = {path for path, _ in fields[:count]}
            if count >= 0 and fields[count:] == self.order and prefix <= self.equal:
                found |= prefix
                answered = True
        if not self.order:
            found |= {path for path in self.equal if self._single(path, "ASCENDING", declared)}
        elif len(self.order) == 1 and not self.equal:
            answered |= self._single(*self.order[0], declared)
        if answered and found >= self.equal:
            return ""
        wanted = [*((path, "ASCENDING") for path in sorted(self.equal)), *self.order]
        return f"{self.scope} {self.group}: {', '.join(f'{path} {by}' for path, by in wanted)}"

    def _single(self, path: str, order: str, declared: Mapping[str, Any]) -> bool:
        """Return True if a field alone is indexed; a field in a map is as the map is."""
        overrides = {
            one["fieldPath"]: one["indexes"]
            for one in declared["fieldOverrides"]
            if one["collectionGroup"] == self.group
        }
        names = path.split(".")
        for length in range(len(names), 0, -1):
            if (indexes := overrides.get(".".join(names[:length]))) is not None:
                return {"order": order, "queryScope": self.scope} in indexes
        return self.scope == "COLLECTION"


def _conditions(where: StructuredQuery.Filter) -> Iterator[tuple[str, str]]:
    """Give the field and the operator of every condition."""
    if "composite_filter" in where:
        for part in where.composite_filter.filters:
            yield from _conditions(part)
    elif "field_filter" in where:
        yield where.field_filter.field.field_path, where.field_filter.op.name
    elif "unary_filter" in where:
        yield where.unary_filter.field.field_path, "EQUAL"


def asked_by(method: str, request: bytes) -> Needs | None:
    """Return what a call of Firestore's asks of the indexes; None if it is no query."""
    match method:
        case "RunQuery":
            return Needs.by(types.RunQueryRequest.deserialize(request).structured_query)
        case "RunAggregationQuery":
            sums = types.RunAggregationQueryRequest.deserialize(request)
            aggregation = sums.structured_aggregation_query
            summed = [one.sum.field.field_path for one in aggregation.aggregations if "sum" in one]
            return Needs.by(aggregation.structured_query, summed)
        case "Listen":
            target = types.ListenRequest.deserialize(request).add_target
            if "query" in target:
                return Needs.by(target.query.structured_query)
    return None


class IndexProxy:
    """A Firestore server on a free port that passes calls on to an emulator, `host:port`.

    A query whose index is not declared fails with FAILED_PRECONDITION, as in the cloud.
    """

    def __init__(self, upstream: str, declared: Mapping[str, Any] = DECLARED) -> None:
        self.asked: list[Needs] = []
        """The needs of every query so far."""
        self._declared = declared
        self._relay = Relay(upstream, self._pass_on, handler=grpc.stream_stream_rpc_method_handler)
        self.port, self.address = self._relay.port, self._relay.address

    def __enter__(self) -> Self:
        self._relay.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._relay.__exit__(*raised)

    def _pass_on(
        self, path: str, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        refused: list[str] = []

        def checked() -> Iterator[bytes]:
            for request in requests:
                asked = asked_by(path.rpartition("/")[2], request)
                if asked is not None:
                    self.asked.append(asked)
                    if missing := asked.missing(self._declared):
                        refused.append(missing)
                        call.cancel()
                        return
                yield request

        ask: Any = self._relay.channel.stream_stream(
            path, request_serializer=None, response_deserializer=None
        )
        call = ask(checked(), metadata=passed_on(context))
        context.add_callback(call.cancel)
        try:
            yield from call
        except grpc.RpcError:
            if refused:
                text = f"The query requires an index: {refused[0]}"
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, text)
            context.abort(call.code(), call.details())
