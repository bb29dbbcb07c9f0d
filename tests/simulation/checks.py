"""What must hold at every moment of a history: who may begin, who may write, who may end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from shared.core.settings import Deployment
from shared.firestore.query import Fields
from shared.ledger.imports import ENDED, Import, flat
from tests.simulation.firestore import Store
from tests.simulation.mails import Mails
from tests.simulation.oracle import Age
from tests.simulation.world import World

IMPORTS = "connections/main/imports"
LOADED = ("loaded", "loaded_with_rejects")

_address = id
"""The built-in, whose name the ids of documents have below."""


class Checks:
    """Watches every change of the ledger and every write of documents."""

    def __init__(self, world: World, deployment: Deployment) -> None:
        self._world = world
        self._deployment = deployment
        self.mails = Mails(world)
        self.store: Store
        self.begun: set[tuple[str, int]] = set()
        """(import id, generation) of everything that a worker has ever begun to load."""
        self._lost_at: dict[str, float] = {}
        """Owner -> the second from which it may write no more."""
        self._shards: dict[tuple[str, int], set[str]] = {}
        """(import id, generation) -> owners of shards of it."""
        self._changed = False
        self.withdrawn: dict[str, list[tuple[str, Age]]] = {}
        """Id of a customer -> import that was undone and whose word was that consent is withdrawn,
        and how old that word may be."""
        self.undone: dict[tuple[str, int], datetime] = {}
        """(import id, generation) of every import that has ever been undone -> when."""
        self.removed: set[str] = set()
        """Ids of customers whose documents have been removed once."""
        self.doubted: set[datetime] = set()
        """Exports of customers of which a lost index knew what they had confirmed."""
        self.late: dict[str, tuple[str, datetime]] = {}
        """Path of a document that a worker has created which had lost its import since it sent that
        write -> the import, and when the write was sent."""
        self._read: dict[int, tuple[Fields, Import]] = {}
        """Address of fields -> these, so that they stay there, and the import read from them."""
        self._undoing: dict[str, str] = {}
        """Owner of a feed for which an import is undone -> that import."""

    def watch(self, path: str, before: Fields | None, after: Fields | None) -> None:
        """Look at a change of a document."""
        collection, _, id = path.rpartition("/")
        if collection == "mail":
            self.mails.watch(id, before, after)
        if collection.endswith("/shards"):
            self._watch_shard(collection.split("/")[-2], id, before, after)
            return
        if collection.endswith("/feeds"):
            self._watch_feed(id, before, after)
        if collection.endswith(("/customers", "/orders", "/rewards")):
            self._watch_document(path, before, after)
        if collection.endswith("/customers") and after is None:
            self.withdrawn.pop(id, None)
            self.removed.add(id)
        if not collection.endswith("/imports") or after is None:
            return
        self.mails.changed(self._import(id, before) if before else None, self._import(id, after))
        before, after = before and _lying_flat(before), _lying_flat(after)
        self._changed = True
        if after["undone"] is not None:
            self.undone[id, after["generation"]] = after["undone"]
        self._follow(id, before, after)
        # A file that an erasure has rewritten has a later generation, but the time of its upload.
        if (
            before is not None
            and after["generation"] < before["generation"]
            and after["uploadedAt"] <= before["uploadedAt"]
        ):
            self._fail(f"{id}: an older upload took over")
        lease, was = after["lease"], before and before["lease"]
        if lease is not None and (was is None or was["owner"] != lease["owner"]):
            if was is not None and self._given_on(id, was, after):
                self._works(self._import(id, after))
            else:
                if (
                    was is not None
                    and before is not None
                    and before["generation"] == after["generation"]
                    and self._world.now() < was["expiresAt"]
                ):
                    self._fail(f"{id} is taken from a worker whose lease is not over")
                if after["status"] == "loading":
                    self._claimed(before, after)
                    self._begins(id, self._import(id, after))
                else:
                    self._works(self._import(id, after))  # at the verdict on a file that waits
        if after["status"] != (before and before["status"]):
            self._ends(id, self._import(id, after))

    def committed(self) -> None:
        """Look at the ledger after a transaction: no orders file may have been overlooked, and
        people are mailed what they must be."""
        self.mails.committed()
        if not self._changed:
            return
        self._changed = False
        for id, document in self.store.collection(IMPORTS).items():
            fields = document.fields
            if fields["status"] == "waiting" and fields.get("pairedWith") is None:
                customers = self._matching(self._import(id, fields))
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
        actor.about["sent"] = self._world.now()

    # -- inside ---------------------------------------------------------------------------------

    def _given_on(self, id: str, was: Fields, after: Fields) -> bool:
        """Whether a lease goes to the shards, or from them to who sees to all of them."""
        actor, split = self._world.actor, after["split"]
        if split is None:
            return False
        live = self._world.now() < was["expiresAt"]
        if after["lease"]["owner"] == split["id"]:
            mine = actor is not None and actor.about.get("owner") == was["owner"]
            return bool(mine or not live)
        shards = self._shards.get((id, after["generation"]), set())
        of_a_shard = actor is not None and actor.about.get("owner") in shards
        return bool(was["owner"] == split["id"] and (live or of_a_shard))

    def _watch_document(self, path: str, before: Fields | None, after: Fields | None) -> None:
        """Look at a change of a document that files make: whether a write that creates it arrives
        after its worker has lost the import."""
        if after is None:
            self.late.pop(path, None)
        actor = self._world.actor
        if before is not None or actor is None or not actor.name.startswith("load"):
            return
        if actor.about.get("owner") in self._lost_at:
            self.late[path] = actor.about["import"].import_id, actor.about["sent"]

    def _watch_feed(self, type: str, before: Fields | None, after: Fields | None) -> None:
        """Look at a change of a feed: whether it is held so that an import can be undone."""
        now = self._world.now()
        if type == "customers" and after and after["confirmedUntil"]:
            self.doubted.add(after["confirmedUntil"]["exportedAt"])
        was, running = (fields and fields["running"] for fields in (before, after))
        actor = self._world.actor
        if (
            was
            and running
            and was["owner"] in self._undoing
            and running["owner"] != was["owner"]
            and running["import"] != was["import"]
            and now < was["expiresAt"]
        ):
            self._fail(f"{running['import']} begins while {was['import']} is undone")
        if was and was["owner"] in self._undoing and running != was:
            self._note_withdrawn(type, was["import"])
            if running is None or running["owner"] != was["owner"]:
                # A newer upload of the undone import may begin at any time.
                superseded = running is not None and running["import"] == was["import"]
                notice = self._deployment.lease.total_seconds() if superseded else 0.0
                self._lost_at[was["owner"]] = self._world.clock + notice
        if running is None or (was and was["owner"] == running["owner"]):
            return
        if actor is not None and actor.name.startswith("undo"):
            self._undoing[running["owner"]] = running["import"]
            found = self.store.get(f"{IMPORTS}/{running['import']}")
            assert found is not None
            actor.about |= {
                "owner": running["owner"],
                "import": self._import(running["import"], found.fields),
            }
            self._note_withdrawn(type, running["import"])

    def _note_withdrawn(self, type: str, import_id: str) -> None:
        """Note whose consent an import has withdrawn that is about to be undone, and by when."""
        import_ = self.store.get(f"{IMPORTS}/{import_id}")
        if type != "customers" or import_ is None:
            return
        fields = flat(import_.fields)
        at = min(fields["exportedAt"], self._world.now()), 0
        for id, document in self.store.collection("connections/main/customers").items():
            source = document.fields["source"]
            known = self.withdrawn.get(id, [])
            kept = source.get("kept", {}).get("subscribed")
            generation = source.get("keptGenerations", {}).get("subscribed")
            own = source["import"] == import_id
            if kept is not None:  # of this upload, or of one that it has superseded
                own = kept == fields["exportedAt"] and 0 < generation <= fields["generation"]
                own = own or generation == fields["generation"]
            if any(one == import_id for one, _ in known) or (
                own and document.fields.get("subscribed") is False
            ):
                self.withdrawn[id] = [*known, (import_id, at)]

    def _watch_shard(
        self, import_id: str, id: str, before: Fields | None, after: Fields | None
    ) -> None:
        """Look at a change of a shard."""
        now = self._world.now()
        lease, was = (fields and fields["lease"] for fields in (after, before))
        if was is not None and (lease is None or lease["owner"] != was["owner"]):
            self._lost_at.setdefault(was["owner"], self._world.clock)
        if lease is None or (was is not None and was["owner"] == lease["owner"]):
            return
        if was is not None and now < was["expiresAt"]:
            self._fail(f"{id} is taken from a worker whose lease is not over")
        assert after is not None
        self._claimed(before, after)
        found = self.store.get(f"{IMPORTS}/{import_id}")
        assert found is not None
        import_ = self._import(import_id, found.fields)
        if (
            import_.status != "loading"
            or import_.split is None
            or not id.startswith(import_.split.id)
        ):
            self._fail(f"{id} begins, and its import is {import_.status}")
        self._shards.setdefault((import_id, import_.generation), set()).add(lease["owner"])
        if self._world.actor is not None:
            self._world.actor.about |= {"owner": lease["owner"], "import": import_}

    def _follow(self, id: str, before: Fields | None, after: Fields) -> None:
        """Keep book of who has lost an import, and by when they must have noticed."""
        was, now = (fields and fields["lease"] for fields in (before, after))
        if was is not None and (now is None or now["owner"] != was["owner"]):
            # Another worker comes when the lease is over, not before; a newer upload at any time.
            superseded = before is not None and before["generation"] != after["generation"]
            notice = self._deployment.lease.total_seconds() if superseded else 0.0
            self._lost_at[was["owner"]] = self._world.clock + notice
        split, other = (
            fields and fields["split"] and fields["split"]["id"] for fields in (before, after)
        )
        over = before is not None and (
            before["generation"] != after["generation"]
            or (split is not None and split != other)
            or after["status"] in ENDED
        )
        if before is not None and over:
            # Whoever is at one of its shards finds out when they look the next time.
            notice = self._world.clock + self._deployment.lease.total_seconds()
            for owner in self._shards.pop((id, before["generation"]), ()):
                self._lost_at.setdefault(owner, notice)

    def _claimed(self, before: Fields | None, after: Fields) -> None:
        """Note that an owner begins: perhaps again, if the answer to its first claim got lost.

        A claim counts an attempt. Whoever only renews a lease that it has lost stays the loser.
        """
        if before is not None and after["attempt"] > before["attempt"]:
            self._lost_at.pop(after["lease"]["owner"], None)

    def _works(self, import_: Import) -> None:
        """Note for whom the present actor works."""
        actor, split = self._world.actor, import_.split
        assert import_.lease is not None
        if actor is not None and (split is None or split.id != import_.lease.owner):
            actor.about |= {"owner": import_.lease.owner, "import": import_}

    def _begins(self, id: str, import_: Import) -> None:
        now = self._world.now()
        self._works(import_)
        self.begun.add((id, import_.generation))
        if import_.mode == "test":
            return
        for other in self._imports():
            if (
                other.import_id != id
                and other.type == import_.type
                and other.mode != "test"
                and other.status == "loading"
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
        if customers is not None and customers.status == "rejected":
            customers = self._stand_in(customers) or customers
        if customers is None:
            self._fail(f"{id} begins without a customers file")
        elif customers.status not in LOADED:
            self._fail(f"{id} begins although {customers.import_id} is {customers.status}")
        elif now < customers.uploaded_at + deployment.orders_delay:
            self._fail(f"{id} begins before its time")

    def _stand_in(self, rejected: Import) -> Import | None:
        """Return the import that was corrected under a new time, the one exported first."""
        assert rejected.exported_at is not None
        latest = rejected.exported_at + self._deployment.pairing_window
        fitting = [
            one
            for one in self._imports()
            if (one.type, one.mode) == ("customers", rejected.mode)
            and one.status in LOADED
            and one.exported_at is not None
            and rejected.exported_at < one.exported_at <= latest
            and one.uploaded_at > rejected.uploaded_at
        ]
        return min(fitting, key=lambda one: one.import_id, default=None)

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
            rows.read != rows.loaded + rows.unchanged + rows.outdated + rows.rejected
        ):
            self._fail(f"{id} ends with rows unaccounted for: {rows}")
        if import_.status == "rejected" and import_.type and not import_.size:
            early = self._world.now() < import_.uploaded_at + self._deployment.empty_grace
            if early and import_.exported_at is not None:
                self._fail(f"{id} is rejected as empty before its content could come")

    def _imports(self) -> list[Import]:
        return [
            self._import(id, document.fields)
            for id, document in self.store.collection(IMPORTS).items()
        ]

    def _import(self, id: str, fields: Fields) -> Import:
        """Return the import of a document's fields, which nobody changes."""
        if _address(fields) not in self._read:
            import_ = Import.from_document(connection="main", import_id=id, data=fields)
            self._read[_address(fields)] = fields, import_
        return self._read[_address(fields)][1]

    def _fail(self, message: str) -> None:
        self._world.fail(message)


def _lying_flat(fields: Fields) -> Fields:
    """Return the fields of an import side by side, with None for those that are absent."""
    return {"lease": None, "split": None, "undone": None, **flat(fields)}
