"""What must hold at every moment of a history: who may begin, who may write, who may end."""

from __future__ import annotations

from collections.abc import Sequence

from shared.database import Fields
from shared.ledger import Import
from shared.settings import Deployment
from tests.simulation.firestore import Store
from tests.simulation.world import World

IMPORTS = "connections/main/imports"
LOADED = ("loaded", "loaded_with_rejects")


class Checks:
    """Watches every change of the ledger and every write of documents."""

    def __init__(self, world: World, deployment: Deployment) -> None:
        self._world = world
        self._deployment = deployment
        self.store: Store
        self.begun: set[tuple[str, int]] = set()
        """(import id, generation) of everything that a worker has ever begun to load."""
        self._lost_at: dict[str, float] = {}
        """Owner -> the second from which it may write no more."""
        self._changed = False

    def watch(self, path: str, before: Fields | None, after: Fields | None) -> None:
        """Look at a change of a document."""
        collection, _, id = path.rpartition("/")
        if not collection.endswith("/imports") or after is None:
            return
        self._changed = True
        self._follow(before, after)
        if before is not None and after["generation"] < before["generation"]:
            self._fail(f"{id}: an older upload took over")
        lease, was = after["lease"], before and before["lease"]
        if lease is not None and (was is None or was["owner"] != lease["owner"]):
            if (
                was is not None
                and before is not None
                and before["generation"] == after["generation"]
                and self._world.now() < was["expiresAt"]
            ):
                self._fail(f"{id} is taken from a worker whose lease is not over")
            self._begins(id, _import(id, after))
        if after["status"] != (before and before["status"]):
            self._ends(id, _import(id, after))

    def committed(self) -> None:
        """Look at the ledger after a transaction: no orders file may have been overlooked."""
        if not self._changed:
            return
        self._changed = False
        for id, document in self.store.collection(IMPORTS).items():
            fields = document.fields
            if fields["status"] == "waiting" and fields["pairedWith"] is None:
                customers = self._matching(_import(id, fields))
                if customers is not None:
                    self._fail(f"{id} waits, and {customers.import_id} is there")

    def sent(self, paths: Sequence[str]) -> None:
        """Look at a batch of documents as it is sent; it may arrive much later."""
        actor = self._world.actor
        if actor is None:
            return
        owner = actor.about.get("owner")
        if owner is None:
            self._fail(f"{actor.name} writes {paths} and has begun no import")
            return
        if actor.about["import"].mode == "test":
            self._fail(f"{actor.name} writes {paths} for a check")
        lost = self._lost_at.get(owner)
        if lost is not None and self._world.clock >= lost:
            late = self._world.clock - lost
            self._fail(f"{actor.name} writes {paths} {late:.1f} s after it had to know better")

    # -- inside ---------------------------------------------------------------------------------

    def _follow(self, before: Fields | None, after: Fields) -> None:
        """Keep book of who has lost an import, and by when they must have noticed."""
        was, now = (fields and fields["lease"] for fields in (before, after))
        if was is not None and (now is None or now["owner"] != was["owner"]):
            # Another worker comes when the lease is over, not before; a newer upload at any time.
            superseded = before is not None and before["generation"] != after["generation"]
            notice = self._deployment.lease.total_seconds() if superseded else 0.0
            self._lost_at[was["owner"]] = self._world.clock + notice

    def _begins(self, id: str, import_: Import) -> None:
        now = self._world.now()
        actor = self._world.actor
        assert import_.lease is not None
        if actor is not None:
            actor.about |= {"owner": import_.lease.owner, "import": import_}
        self.begun.add((id, import_.generation))
        if import_.mode == "test":
            return
        for other in self._imports():
            if (
                other.import_id != id
                and other.type == import_.type
                and other.mode != "test"
                and other.lease is not None
                and other.lease.live(now)
            ):
                self._fail(f"{id} begins while {other.import_id} is being loaded")
            if (
                import_.type == "rewards"
                and other.type == "customers"
                and other.mode != "test"
                and other.lease is not None
                and other.lease.live(now)
            ):
                self._fail(f"{id} begins while {other.import_id} is being loaded")
        if import_.type == "orders":
            self._orders_begin(id, import_)

    def _orders_begin(self, id: str, orders: Import) -> None:
        now, deployment = self._world.now(), self._deployment
        if orders.released:
            return
        late = now >= orders.uploaded_at + deployment.orders_deadline
        if late and deployment.orders_without_customers == "load":
            return
        customers = self._matching(orders)
        if customers is None:
            self._fail(f"{id} begins without a customers file")
        elif customers.status not in LOADED:
            self._fail(f"{id} begins although {customers.import_id} is {customers.status}")
        elif now < customers.uploaded_at + deployment.orders_delay:
            self._fail(f"{id} begins before its time")

    def _matching(self, orders: Import) -> Import | None:
        assert orders.exported_at is not None
        earliest = orders.exported_at - self._deployment.pairing_window
        fitting = [
            one
            for one in self._imports()
            if one.type == "customers"
            and one.mode == orders.mode
            and one.size
            and one.exported_at is not None
            and earliest <= one.exported_at <= orders.exported_at
        ]
        return max(fitting, key=lambda one: one.import_id, default=None)

    def _ends(self, id: str, import_: Import) -> None:
        rows = import_.rows
        if import_.status in (*LOADED, "checked") and (
            rows.read != rows.loaded + rows.unchanged + rows.rejected
        ):
            self._fail(f"{id} ends with rows unaccounted for: {rows}")
        if import_.status == "rejected" and import_.type and not import_.size:
            early = self._world.now() < import_.uploaded_at + self._deployment.empty_grace
            if early and import_.exported_at is not None:
                self._fail(f"{id} is rejected as empty before its content could come")

    def _imports(self) -> list[Import]:
        return [
            _import(id, document.fields) for id, document in self.store.collection(IMPORTS).items()
        ]

    def _fail(self, message: str) -> None:
        self._world.fail(message)


def _import(id: str, fields: Fields) -> Import:
    return Import.from_document(connection="main", import_id=id, data=fields)
