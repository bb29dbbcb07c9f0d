"""One history: what is uploaded and asked for, what goes wrong, and what must have come of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared.files.names import ExportFile, read_name
from shared.ledger.imports import ENDED_WELL, LOADED, Import
from shared.reporting.reports import part_name
from shared.scheduling import arrival
from tests.simulation.bucket import Object
from tests.simulation.checks import Checks
from tests.simulation.files import (
    Said,
    names,
    without,
)
from tests.simulation.oracle import Age, Uploaded, contents, matching, stand_in, withdraws
from tests.simulation.pipeline import Pipeline, installed
from tests.simulation.plans import CALM, HOUR, WEATHERS, Ask, Plan, Upload, plan
from tests.simulation.world import BEGINNING, Failure, World


class History:
    """A plan being carried out."""

    def __init__(self, seed: int, plan: Plan, *, tracing: bool = False) -> None:
        self.plan = plan
        self.world = World(seed, WEATHERS[plan.weather], tracing=tracing)
        self.uploaded: list[Uploaded] = []
        self.harmed: list[str] = []
        """Objects of indexes that something has befallen."""
        self.erased: list[tuple[str, int]] = []
        """Whom an erasure has proved to be nowhere, and the latest upload that it knew of."""
        self.again: list[Ask] = []
        """Commands that were repeated because a late write had created a document again."""
        self.unerased: dict[int, list[Said]] = {}
        """Generation -> what an upload said before somebody was erased from it."""
        self.overwritten: dict[int, datetime] = {}
        """Generation of an upload that was replaced before it was put away -> when."""
        self.disputed: set[str] = set()
        """Numbers of orders that some file says to be an erased person's."""
        settings = {"cleanup": False, **plan.settings}
        checks: list[Checks] = []
        self.pipeline = Pipeline(
            self.world,
            watch=lambda *change: checks[0].watch(*change),
            sent=lambda paths: checks[0].sent(paths),
            rewritten=self._rewritten,
            erased=self._erased,
            **settings,
        )
        self.checks = Checks(self.world, self.pipeline.services.deployment)
        self.checks.store = self.checks.mails.store = self.pipeline.store
        self.pipeline.database.committed = self.checks.committed
        checks.append(self.checks)

    def run(self) -> None:
        """Let it happen, come to rest, and be judged.

        Raises:
            Failure: a promise has been broken.
        """
        world, pipeline, plan = self.world, self.pipeline, self.plan
        if plan.connection:
            pipeline.store.put("connections/main", {**plan.connection})
        with installed(world, batch_size=plan.batch_size, index=plan.index):
            for upload in plan.uploads:
                world.at(upload.at, lambda upload=upload: self.upload(upload))  # type: ignore[misc]
            for ask in plan.asks:
                world.at(
                    ask.at,
                    lambda ask=ask: pipeline.ask(ask.command, ask.about),  # type: ignore[misc]
                )
            for at in plan.sweeps:
                world.at(at, pipeline.sweep)
            for at in plan.mishaps:
                world.at(at, self._harm_an_index)
            erasures = [ask.at for ask in plan.asks if ask.command == "erase"]
            end = max(*(upload.at for upload in plan.uploads), *erasures, 0)
            world.run(until=end + 2 * HOUR)
            world.say(lambda: "-- from here on nothing goes wrong --")
            world.chances = CALM
            self.come_to_rest()
            self._repeat_what_was_overtaken()
            self.judge()
            if plan.replays_at_rest:
                before = self.documents()
                for import_ in self.imports().values():
                    if import_.status in LOADED and import_.undone is None:
                        pipeline.ask("replay", import_.import_id)
                self.come_to_rest()
                self.judge()
                after = self.documents()
                for key in self.disputed:
                    before.pop(f"orders/{key}", None)
                    after.pop(f"orders/{key}", None)
                if after != before:
                    self._fail("replaying everything changed documents")
            for _ in range(2):
                world.run(until=world.clock + 30 * HOUR)
                pipeline.sweep()
                world.run()
            self._judge_remains()

    def come_to_rest(self) -> None:
        """Let time pass and the sweep run until nothing more can come of it."""
        world, pipeline = self.world, self.pipeline
        for _ in range(3):
            for _ in range(9):
                pipeline.sweep()
                world.run(until=world.clock + 1500.0)
            world.run()
            failed = [one for one in self.imports().values() if one.status == "failed"]
            if not failed:
                break
            for one in failed:
                if not self._undecidable(one):
                    pipeline.ask("replay", one.import_id)
            world.run(until=world.clock + 60.0)

    def _repeat_what_was_overtaken(self) -> None:
        """Undo and erase once more where documents were created afterwards by writes that had been
        sent before: a worker froze right before such a write, and has lost its import since."""
        late, imports = self.checks.late, self.imports()
        undone = {
            import_id
            for import_id, sent in late.values()
            if (at := imports[import_id].undone) is not None and at >= sent
        }
        back = {
            person
            for person, known in self.erased
            if not late.keys().isdisjoint(self._old_documents_of(person, known))
        }
        now = self.world.clock
        self.again += [Ask(now, "undo", import_id) for import_id in sorted(undone)]
        self.again += [Ask(now, "erase", person) for person in sorted(back)]
        for ask in self.again:
            self.pipeline.ask(ask.command, ask.about)
        if self.again:
            self.come_to_rest()
        late.clear()

    # -- what there is --------------------------------------------------------------------------

    def imports(self) -> dict[str, Import]:
        """Return the ledger."""
        found = self.pipeline.store.collection("connections/main/imports")
        return {
            id: Import.from_document(connection="main", import_id=id, data=document.fields)
            for id, document in found.items()
        }

    def documents(self) -> dict[str, dict[str, Any]]:
        """Return path below the connection -> flat content of every document."""
        return {
            f"{type}/{id}": _flat(document.fields)
            for type in ("customers", "orders", "rewards")
            for id, document in self.pipeline.store.collection(f"connections/main/{type}").items()
        }

    # -- the judgement --------------------------------------------------------------------------

    def judge(self) -> None:
        """Compare what there is with what must be.

        Raises:
            Failure: something is not as it must be.
        """
        last = {one.import_id: one for one in self._in_order()}
        imports = self.imports()
        if sorted(imports) != sorted(last):
            self._fail(f"the ledger holds {sorted(imports)}, not {sorted(last)}")
        for import_id, one in last.items():
            self._judge_import(imports[import_id], one, list(last.values()), imports)
        for person, known in self.erased:
            self._judge_erased(person, known)
        if self.world.failure is not None:
            raise self.world.failure
        asks = (*self.plan.asks, *self.again)
        asked = sorted(ask.about for ask in asks if ask.command == "erase")
        if asked != sorted(person for person, _ in self.erased):
            self._fail(f"{asked} were to be erased, and {self.erased} have been")
        self._judge_documents(last, imports)
        self._judge_rest(imports)

    def _rewritten(self, made: Object, person: str) -> None:
        """Note that a person is erased from a file that lies where it was uploaded.

        The file counts as old as before.
        """
        before = [one for one in self.uploaded if one.object == made.name]
        one = replace(
            before[-1],
            generation=made.generation,
            said=without(before[-1].said, person),
        )
        self.unerased[made.generation] = [before[-1].said]
        self.uploaded.append(one)

    def _erased(self, person: str, known: int) -> None:
        """Note that a person is said to be nowhere, and hold that against what there is."""
        for at, one in enumerate(self.uploaded):
            said = without(one.said, person)
            if one.generation <= known and said is not one.said:
                self.disputed |= one.said.contents.keys() - said.contents.keys()
                self.unerased.setdefault(one.generation, []).append(one.said)
                self.uploaded[at] = replace(one, said=said)
        self.erased.append((person, known))
        self._judge_erased(person, known)

    def _judge_erased(self, person: str, known: int) -> None:
        """Hold an erasure to its word: only later uploads may have brought the person back."""
        later = [
            line
            for one in self.uploaded
            if one.generation > known
            for line in names(one.said.data, person)
        ]
        for name, found in self.pipeline.bucket.objects.items():
            kept = name.startswith("state/") and not name.endswith(".index")
            if name.endswith(".csv") or kept:
                for line in names(found.data, person):
                    if not line.startswith((*later,)):
                        self.world.fail(f"{person} was erased and stands in {name}")
        for path in self._old_documents_of(person, known):
            if path not in self.checks.late:
                self.world.fail(f"{person} was erased, and there is {path}")

    def _old_documents_of(self, person: str, known: int) -> list[str]:
        """Return the paths of the documents of a person that an upload up to `known` has written
        last."""
        return [
            f"connections/main/{type}/{id}"
            for type in ("customers", "orders", "rewards")
            for id, document in self.pipeline.store.collection(f"connections/main/{type}").items()
            if document.fields["source"]["generation"] <= known
            and person in (document.fields["personId"], type == "customers" and id)
        ]

    def _judge_import(
        self,
        import_: Import,
        one: Uploaded,
        all_: list[Uploaded],
        imports: Mapping[str, Import],
    ) -> None:
        id, said, rows = one.import_id, one.said, import_.rows
        if import_.generation != one.generation:
            self._fail(f"{id} is of generation {import_.generation}, not {one.generation}")
        once = [said, *self.unerased.get(one.generation, ())]
        allowed = tuple(
            status
            for said in once
            for status in self._statuses(import_, replace(one, said=said), all_, imports)
        )
        if len(once) > 1 and not said.contents:
            allowed += ("rejected",)  # of a file whose other rows are all bad
        if import_.status not in allowed:
            self._fail(f"{id} is {import_.status}, not {' or '.join(allowed)}")
        if import_.status in (*ENDED_WELL, "rejected") and not any(
            rows.read == said.read
            # An order with a bad line is not loaded where a complete one is stored.
            and said.rejected <= rows.rejected <= said.rejected + said.beside
            for said in once
        ):
            self._fail(f"{id} has {rows}, not {said.read} read and {said.rejected} rejected")
        if import_.status in ENDED_WELL:
            if rows.read != rows.loaded + rows.unchanged + rows.outdated + rows.rejected:
                self._fail(f"{id} has rows unaccounted for: {rows}")
            self._judge_reports(import_, one)
        self._judge_place(import_, one)

    def _statuses(
        self,
        import_: Import,
        one: Uploaded,
        all_: list[Uploaded],
        imports: Mapping[str, Import],
    ) -> tuple[str, ...]:
        said = one.said
        if self._undecidable(import_):
            return ("failed",)
        if said.verdict == "misnamed":
            return ("rejected",)
        end = "rejected"
        if said.verdict == "good":
            end = "loaded_with_rejects" if said.rejected else "loaded"
            if said.mode == "test":
                end = "checked"
        if said.type != "orders" or said.mode == "test":
            return (end,)
        deployment = self.pipeline.services.deployment
        customers = matching(said, all_, window=deployment.pairing_window)
        held = deployment.orders_without_customers == "hold" and not import_.released
        if customers is not None and imports[customers.import_id].status == "rejected":
            loaded = [one for one in all_ if imports[one.import_id].status in LOADED]
            customers = stand_in(customers, loaded, window=deployment.pairing_window) or customers
        if held and (customers is None or imports[customers.import_id].status not in LOADED):
            if end == "rejected":
                return (end,) if self._surely_judged(one) else ("overdue", end)
            # It may have been loaded before its customers file came to this.
            return ("overdue", end) if self._began(one) else ("overdue",)
        return (end,)

    def _surely_judged(self, one: Uploaded) -> bool:
        """True if a file that waits is read to its end when it arrives, and no task vanishes."""
        weather = WEATHERS[self.plan.weather]
        shard_bytes = self.pipeline.services.deployment.shard_bytes
        lossy = weather.task_lost or weather.task_attempts is not None
        return not lossy and len(one.said.data) <= shard_bytes

    def _undecidable(self, import_: Import) -> bool:
        """Whether an import waits for a person because an index was lost."""
        error = import_.error
        return bool(self.harmed) and error is not None and error.code == "system.index_lost"

    def _harm_an_index(self) -> None:
        """Remove one of the objects in which the indexes are kept, or change it."""
        bucket, rng = self.pipeline.bucket, self.world.rng
        objects = [name for name in sorted(bucket.objects) if name.startswith("state/")]
        if not objects:
            return
        name = rng.choice(objects)
        self.harmed.append(name)
        self.world.say(lambda: f"{name} is lost or changed")
        if rng.random() < 0.5:
            del bucket.objects[name]
        else:
            data = bucket.objects[name].data
            bucket.put(name, data[:-1] + bytes((data[-1] ^ 1,)))

    def _began(self, one: Uploaded) -> bool:
        return (one.import_id, one.generation) in self.checks.begun

    def _judge_reports(self, import_: Import, one: Uploaded) -> None:
        objects = self.pipeline.bucket.objects
        named = read_name(import_.object)
        assert isinstance(named, ExportFile)
        report = objects.get(named.report_json)
        told = json.loads(report.data) if report else {}
        if told.get("generation") != str(one.generation) or told["status"] != import_.status:
            self._fail(f"{one.import_id}: the report is of another upload or attempt: {told}")
        rejected = objects.get(named.rejected_csv)
        lines = len(rejected.data.splitlines()) - 1 if rejected else 0
        if lines != (one.said.rejected + one.said.beside if import_.status in ENDED_WELL else 0):
            self._fail(f"{one.import_id}: the rejected file holds {lines} rows")

    def _judge_place(self, import_: Import, one: Uploaded) -> None:
        objects = self.pipeline.bucket.objects
        lies = objects.get(one.object)
        well = import_.status in ENDED_WELL
        if import_.status in ("overdue", "failed") and self._began(one):
            return  # it was loaded, and waits for a replay
        if (lies is None) != well:
            self._fail(f"{one.object} lies{'' if lies else ' not'} where it was uploaded")
        if well:
            named = read_name(one.object)
            assert isinstance(named, ExportFile)
            moved = objects.get(named.processed)
            if moved is None or moved.data != one.said.data:
                self._fail(f"{named.processed} is not what was uploaded")

    def _judge_documents(self, last: Mapping[str, Uploaded], imports: Mapping[str, Import]) -> None:
        undone = {id: one.undone for id, one in imports.items() if one.undone is not None}
        taken_back = [one for one in self.uploaded if one.import_id in undone and self._began(one)]
        settled = [
            one for id, one in last.items() if imports[id].status in LOADED and id not in undone
        ]
        begun = [
            one
            for one in self.uploaded
            if one not in settled
            and self._began(one)
            and one.said.verdict == "good"
            and not (one.import_id in undone and last[one.import_id] is one)
        ]
        blank = self.pipeline.services.deployment.blank_means
        keep = self.plan.connection.get("blankMeans", blank) == "keep"
        there = self.documents()
        for type in ("customers", "orders", "rewards"):
            mine = [one for one in settled if one.said.type == type]
            past = [one for one in begun if one.said.type == type]
            left = self._left(type, last, undone)
            keys = {key for one in (*mine, *past, *left) for key in one.said.contents}
            for key in sorted(keys):
                if type == "orders" and key in self.disputed:
                    there.pop(f"orders/{key}", None)
                    continue
                withdrawn = self._withdrawn(key, last) if type == "customers" else [None]
                held = any(key in one.said.contents for one in mine)
                allowed = contents(
                    key,
                    mine,
                    past if held else [*past, *left],
                    keep=keep,
                    withdrawn=withdrawn,
                    undone=[one for one in taken_back if one.said.type == type],
                    doubted=self.checks.doubted if type == "customers" else (),
                )
                found = there.pop(f"{type}/{key}", None)
                if found not in allowed:
                    self._fail(f"{type}/{key} is {found}, not {' or '.join(map(str, allowed))}")
        for key in self.disputed:
            there.pop(f"orders/{key}", None)
        if there:
            self._fail(f"nobody has uploaded {there}")

    def _left(
        self, type: str, last: Mapping[str, Uploaded], undone: Mapping[str, datetime]
    ) -> list[Uploaded]:
        """Return uploads that were undone when the file of another import could not be read.

        That file may have held their documents, so those that no other file holds stay.
        """
        mine = [one for one in self.uploaded if one.said.type == type and self._began(one)]
        gone = [one for one in mine if one.generation in self.overwritten]
        return [
            one
            for one in mine
            if one.import_id in undone and last[one.import_id] is one
            if any(
                other.import_id != one.import_id
                and self.overwritten[other.generation] < undone[one.import_id]
                for other in gone
            )
        ]

    def _withdrawn(self, key: str, last: Mapping[str, Uploaded]) -> Sequence[Age | None]:
        """Return how old the word of an import that was undone may be that consent is withdrawn."""
        imports = self.imports()
        undone = {
            id for id in last if imports[id].undone is not None and id.startswith("customers")
        }
        sure, known = [], self.checks.withdrawn.get(key, [])
        possible = [at for _, at in known]
        for one in self.uploaded:
            at = self.checks.undone.get((one.import_id, one.generation))
            if at is None or not withdraws(one.said, key):
                continue
            age = min(one.said.exported_of(key), at), 0
            possible.append(age)
            settled = one.import_id in undone and imports[one.import_id].status in LOADED
            if settled and last[one.import_id] is one and key not in self.checks.removed:
                sure.append(age)
        if len({*undone, *(import_id for import_id, _ in known)}) == 1:
            # What an earlier upload of it withdrew can give way to a second undoing only.
            sure += [at for import_id, at in known if import_id in undone]
        if not sure:
            return [None, *possible]
        return [max(sure), *(at for at in possible if at > max(sure))]

    def _judge_rest(self, imports: Mapping[str, Import]) -> None:
        self.checks.mails.at_rest()
        store = self.pipeline.store
        for id, import_ in imports.items():
            if import_.lease is not None:
                self._fail(f"{id} is still held")
        for type, feed in store.collection("connections/main/feeds").items():
            if feed.fields["running"] is not None:
                self._fail(f"the feed of {type} is still held")
        open_ = {id for id, alert in store.collection("alerts").items() if alert.fields["open"]}
        wanted = {
            f"main~{id}~{one.status}"
            for id, one in imports.items()
            if one.status in ("overdue", "failed")
        }
        # Trouble that a replay has not ended goes on while the import waits for its customers.
        still = {f"main~{id}~failed" for id in imports if f"main~{id}~overdue" in wanted}
        feeds = {f"main~{type}~outdated" for type in ("customers", "orders", "rewards")}
        self._judge_outdated(imports, open_ & feeds)
        rejected = {f"main~{type}~rejected" for type in ("customers", "orders", "rewards")}
        self._judge_rejected(imports, open_ & rejected)
        misnamed = [one for one in self.uploaded if one.said.verdict == "misnamed"]
        open_ -= feeds | rejected | {f"main~{one.said.type}~refused_name" for one in misnamed}
        if "*~load~late" in open_:
            self._fail("every import has ended, and one is said to be late")
        if not wanted <= open_ <= wanted | still:
            self._fail(f"the open alerts are {sorted(open_)}, not {sorted(wanted)}")

    def _judge_outdated(self, imports: Mapping[str, Import], open_: set[str]) -> None:
        """Hold the alerts about feeds whose newest upload is older than what is stored to the
        import that ended last."""
        feeds = self.pipeline.store.collection("connections/main/feeds")
        for type in ("customers", "orders", "rewards"):
            ended = [
                one
                for one in imports.values()
                if (one.type, one.mode) == (type, "load")
                and one.status in LOADED
                and one.rows.read > one.rows.rejected
            ]
            undone = any(one.type == type and one.undone for one in imports.values())
            if not ended or undone:
                continue
            last = max(ended, key=lambda one: one.finished_at or BEGINNING)
            rows, told = last.rows, f"main~{type}~outdated" in open_
            newest = feeds[type].fields["uploaded"] == last.import_id
            only = rows.outdated == rows.read - rows.rejected
            if (rows.loaded and told) or (only and newest and not told):
                self._fail(f"{last.import_id} has {last.rows}, and the open alerts are {open_}")

    def _judge_rejected(self, imports: Mapping[str, Import], open_: set[str]) -> None:
        """Hold the alerts about rejected files to the file of each type that ended last."""
        replaced = {
            document.fields["type"] for _, document in self.pipeline.store.group("generations")
        }
        for type in ("customers", "orders", "rewards"):
            ended = [
                one
                for one in imports.values()
                if (one.type, one.mode) == (type, "load")
                and one.exported_at is not None
                and one.status in (*LOADED, "rejected")
            ]
            # Of an upload that another has replaced, and of an undone one, the end is not known.
            if not ended or type in replaced or any(one.undone for one in ended):
                continue
            last = max(ended, key=lambda one: one.finished_at or BEGINNING)
            if (last.status == "rejected") != (f"main~{type}~rejected" in open_):
                self._fail(f"{last.import_id} is {last.status}, and the open alerts are {open_}")

    def _judge_remains(self) -> None:
        """Look for objects that nobody will ever look at again."""
        feeds = self.pipeline.store.collection("connections/main/feeds").values()
        used = {
            part["object"]
            for feed in feeds
            for part in (feed.fields["index"] or {"parts": ()})["parts"]
        }
        there = {name for name in self.pipeline.bucket.objects if name.startswith("state/")}
        for import_ in self.imports().values():
            named = read_name(import_.object)
            # One under another form of the name goes when reports have had their time.
            if isinstance(named, ExportFile):
                there |= self.pipeline.bucket.objects.keys() & {part_name(named.rejected_csv)}
        if there - used or (used - there and not self.harmed):
            self._fail(f"{sorted(there - used)} are left over, {sorted(used - there)} are missing")
        # A sweep that compares all objects, once a day, moves them aside.
        last = {one.import_id: one for one in self._in_order()}
        for one in self.uploaded:
            left = self.pipeline.bucket.objects.get(one.object)
            superseded = one.object != last[one.import_id].object
            if superseded and left is not None and left.generation == one.generation:
                self._fail(f"{one.object} lies where it was uploaded, and is superseded")

    def _in_order(self) -> list[Uploaded]:
        """Return the uploads, the oldest first."""
        return sorted(self.uploaded, key=lambda one: (one.uploaded_at, one.generation))

    def upload(self, upload: Upload) -> None:
        """Put a file into the bucket, now: a corrected one once its exports are known."""
        if not self.imports().keys() >= {*upload.said.bases}:
            return
        there = self.pipeline.bucket.objects.get(upload.name)
        if there is not None:
            self.overwritten[there.generation] = self.world.now()
        made = self.pipeline.upload(upload.name, upload.said.data)
        named = read_name(upload.name, arrival(made.time_created, self.pipeline.services))
        import_id: str = named.import_id  # type: ignore[union-attr]
        self.uploaded.append(
            Uploaded(import_id, upload.name, made.generation, made.time_created, upload.said)
        )

    def _fail(self, message: str) -> None:
        raise Failure(message)


def run(seed: int, *, tracing: bool = False) -> History:
    """Run the history of a seed.

    Raises:
        Failure: a promise has been broken.
    """
    history = History(seed, plan(seed), tracing=tracing)
    history.run()
    return history


def _flat(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if not prefix and name == "source":
            continue
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
