"""A person is erased from everything that the pipeline keeps, and that is proved."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from shared import ops
from shared.core.errors import NotPossible, TryAgain
from shared.index import objects
from shared.index.records import dropped
from shared.privacy import erasing, searching
from shared.privacy import objects as object_traces
from shared.privacy.erasing import Erasure, erase
from shared.privacy.objects import take_out
from shared.privacy.traces import without
from shared.scheduling import lying_there
from shared.scheduling.replay import replay
from tests.integration.conftest import Servers
from tests.support.pipeline import Pipeline, customers_csv, orders_csv

STAMP = "20230501T115500Z"
PERSON, EMAIL = "6543210", "Ana.Lee@example.com"
"""An id and an address that nothing else contains, so that any trace can be found as text."""
ANA = {"PERIDX": PERSON, "EMAIL": EMAIL, "FIRSTNAME": "Analee"}
WORDS = (PERSON, EMAIL.lower(), "analee", "d-ana-1", "d-ana-2")


@pytest.fixture
def loaded(pipeline: Pipeline) -> Pipeline:
    """A connection in which the person is wherever a person can be, with others beside them."""
    lone = {"PERIDX": PERSON, "ORDER_NUMBER": "D-ANA-2"}
    no_id = {**ANA, "PERIDX": ""}
    orders = orders_csv(
        {"PERIDX": PERSON, "ORDER_NUMBER": "D-ANA-1"}, {"PERIDX": "2", "ORDER_NUMBER": "D2"}
    )
    # Orders before their customer: the reports name them.
    pipeline.upload(
        "pending/au/orders_20230430T115500Z.csv", orders_csv(lone, {"ORDER_NUMBER": "D0"})
    )
    pipeline.upload("pending/au/customers_20230430T115500Z.csv", customers_csv({"PERIDX": "9"}))
    pipeline.clock.advance("12:40")
    pipeline.run_due()
    many = [{"PERIDX": str(n)} for n in range(2, 8)]
    pipeline.upload(f"pending/au/customers_{STAMP}.csv", customers_csv(ANA, *many))
    pipeline.upload(f"pending/au/orders_{STAMP}.csv", orders)
    rewards = f"PERIDX,EMAIL,ACCOUNT_ID\r\n{PERSON},{EMAIL},A1\r\n2,b@x.au,A2\r\n"
    pipeline.upload(f"pending/au/rewards_{STAMP}.csv", rewards)
    ragged = customers_csv(*many, {"PERIDX": "8"}) + f"x,{PERSON}\r\n"
    pipeline.upload("pending/au/customers_20230501T120000Z.csv", ragged)
    pipeline.upload("test/au/customers_20230501T120000Z.csv", customers_csv(*many, ANA))
    pipeline.upload("pending/au/customers_20230501T120100Z.csv", customers_csv(*[no_id] * 6, ANA))
    pipeline.upload("pending/au/Customers_may.csv", customers_csv(ANA, {"PERIDX": "2"}))
    pipeline.put("pending/au/customers_20230501T130000Z.csv.filepart", customers_csv(ANA))
    pipeline.upload(f"pending/nz/customers_{STAMP}.csv", customers_csv(ANA))
    pipeline.clock.advance("13:30")
    pipeline.run_due()
    return pipeline


@pytest.fixture
def few(pipeline: Pipeline) -> Pipeline:
    """A connection that has loaded one file, with the person and somebody else in it."""
    content = customers_csv(ANA, {"PERIDX": "2"})
    pipeline.upload(f"pending/au/customers_{STAMP}.csv", content)
    pipeline.upload(f"test/au/customers_{STAMP}.csv", content)
    pipeline.run_due()
    return pipeline


def everything(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Give name and text of every object and document, those of the other connection left out."""
    for blob in pipeline.services.bucket.list_blobs():
        if "/nz/" not in blob.name:
            yield blob.name, blob.download_as_bytes().decode("utf-8", "replace")
    yield from documents(pipeline.database)


def documents(place: Any) -> Iterator[tuple[str, str]]:
    for collection in place.collections():
        for document in collection.list_documents():
            if not document.path.startswith("connections/nz"):
                yield document.path, document.path + str(document.get().to_dict())
                yield from documents(document)


def remembered(pipeline: Pipeline, type: str, key: str) -> bool:
    """Whether the index of a type knows a document."""
    index = pipeline.services.ledger.feed("au", type).index
    assert index is not None
    blocks = [
        block for part in index.parts for block in objects.read(pipeline.services.bucket, part)
    ]
    return sum(map(len, dropped(blocks, [key]))) < sum(map(len, blocks))


def traces(pipeline: Pipeline) -> set[str]:
    """Name everything that holds the person."""
    return {
        name for name, text in everything(pipeline) if any(word in text.lower() for word in WORDS)
    }


def run(pipeline: Pipeline, **options: Any) -> Erasure:
    return erase("au", PERSON, pipeline.services, by="ops@example.com", **options)


def test_every_trace(loaded: Pipeline) -> None:
    """Documents, files that were loaded, refused, checked or left, and reports lose the person
    and nobody else; a record says when, by whom and how much, and not of whom.
    """
    before = traces(loaded)
    kept = {name: set(loaded.documents(name, "au")) for name in ("customers", "orders", "rewards")}
    assert {
        *(f"connections/au/{place}" for place in ("customers/6543210", "rewards/6543210")),
        *("connections/au/orders/D-ANA-1", "connections/au/orders/D-ANA-2"),
        "connections/au/imports/orders_20230430T115500Z",
        f"processed/au/customers_{STAMP}.csv",
        f"processed/au/orders_{STAMP}.csv",
        f"processed/au/rewards_{STAMP}.csv",
        "processed/au/test/customers_20230501T120000Z.csv",
        "pending/au/customers_20230501T120100Z.csv",
        "pending/au/Customers_may.csv",
        "pending/au/customers_20230501T130000Z.csv.filepart",
        "rejected/au/customers_20230501T120000Z.rejected.csv",
        "reports/au/orders_20230430T115500Z.report.json",
    } <= before

    known = [("customers", PERSON), ("rewards", PERSON), ("orders", "D-ANA-1")]
    assert all(remembered(loaded, *one) for one in known)

    done = run(loaded)

    assert set() == traces(loaded)
    assert done.proved
    assert not any(remembered(loaded, *one) for one in known)
    assert remembered(loaded, "customers", "2")
    assert {name: done.erased[name] for name in ("customers", "rewards", "orders")} == {
        "customers": 1,
        "rewards": 1,
        "orders": 2,
    }
    assert done.erased["objects"] == len([name for name in before if "connections/" not in name])
    assert {name for name in before if "connections/" not in name} == set(done.objects)

    for name, ids in kept.items():
        assert ids - {PERSON, "D-ANA-1", "D-ANA-2"} == set(loaded.documents(name, "au"))
    assert {PERSON} == set(loaded.documents("customers", "nz"))
    assert customers_csv(*({"PERIDX": str(n)} for n in range(2, 8))) == loaded.read(
        f"processed/au/customers_{STAMP}.csv"
    )
    assert PERSON in loaded.read(f"processed/nz/customers_{STAMP}.csv")

    assert done.record is not None
    record = loaded.database.document(done.record).get().to_dict() or {}
    assert (record["connection"], record["by"]) == ("au", "ops@example.com")
    assert loaded.clock() == record["finishedAt"]
    assert dict(done.erased) == record["erased"]
    assert dict(done.looked) == record["looked"]
    assert record["looked"]["objects"] > 10
    assert record["trail"] is None


def test_again(few: Pipeline) -> None:
    """Done again, it finds nothing, says when it was done before, and records that, too."""
    first = run(few)
    few.clock.advance("14:00")

    second = run(few)

    assert second.erased == {}
    assert second.proved
    assert (first.record != second.record, 1) == (True, len(second.earlier))


def test_dry_run(few: Pipeline) -> None:
    """A dry run counts what would go, and nothing goes."""
    before = dict(everything(few))

    dry = run(few, dry_run=True)

    assert before == dict(everything(few))
    assert dry.record is None
    done = run(few)
    assert (dry.erased, dry.objects) == (done.erased, done.objects)


def test_a_crash(loaded: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that breaks off at any step is finished by the next, though the first clues are gone."""
    steps = 0

    def breaking(*arguments: Any) -> None:
        nonlocal steps
        steps += 1
        if steps % 3 == 0:
            raise TryAgain("The network is gone.")
        take_out(*arguments)

    monkeypatch.setattr(erasing, "take_out", breaking)
    for _ in range(20):
        try:
            done = run(loaded)
            break
        except TryAgain:
            loaded.database.document(f"connections/au/customers/{PERSON}").delete()

    assert steps > 3
    assert done.proved
    assert set() == traces(loaded)
    records = [one.to_dict() for one in loaded.database.collection("erasures").stream()]
    assert [(record or {})["trail"] for record in records] == [None]


def test_while_loading(few: Pipeline) -> None:
    """While a file of the connection is being few, nothing can be proved, so nothing is done."""
    few.database.document(f"connections/au/imports/customers_{STAMP}").update({"status": "loading"})

    with pytest.raises(NotPossible, match=f"customers_{STAMP} is being loaded"):
        run(few)


def during(
    monkeypatch: pytest.MonkeyPatch, looks: Container[int], act: Callable[[], object]
) -> None:
    """Let something happen at the end of these searches of the bucket, counted from 1."""
    numbers = count(1)

    def searched(*arguments: Any) -> object_traces.Objects:
        found = object_traces.search(*arguments)
        if next(numbers) in looks:
            act()
        return found

    monkeypatch.setattr(searching, "search", searched)


@pytest.mark.parametrize("look", [1, 2, 3])
def test_a_replay_meanwhile(few: Pipeline, monkeypatch: pytest.MonkeyPatch, look: int) -> None:
    """A replay that begins and ends during a look does not bring the person back."""
    content = few.read(f"processed/au/customers_{STAMP}.csv")

    def replayed() -> None:
        # As a worker does that has read the file before it was rewritten.
        few.put(f"processed/au/customers_{STAMP}.csv", content)
        blob = few.services.bucket.get_blob(f"processed/au/customers_{STAMP}.csv")
        few.database.document(f"connections/au/imports/customers_{STAMP}").update(
            {"run.crc32c": blob.crc32c, "run.size": blob.size}
        )
        replay("au", f"customers_{STAMP}", few.services)
        few.run_due()
        assert PERSON in few.documents("customers", "au")

    during(monkeypatch, {look}, replayed)

    assert run(few).proved
    assert set() == traces(few)


def test_a_replay_of_a_rewritten_file(few: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file from which the person is being erased is not held to be gone: a replay waits."""
    amend_ledger, id = erasing._amend_ledger, f"customers_{STAMP}"

    def meanwhile(*arguments: Any) -> None:
        monkeypatch.setattr(erasing, "_amend_ledger", amend_ledger)
        with pytest.raises(TryAgain, match="is being erased"):
            replay("au", id, few.services)
        amend_ledger(*arguments)

    monkeypatch.setattr(erasing, "_amend_ledger", meanwhile)
    assert run(few).proved
    replay("au", id, few.services)
    few.run_due()

    assert (few.import_(id, "au").status, few.import_(id, "au").rows.read) == ("loaded", 1)
    assert (set(), {"2"}) == (traces(few), set(few.documents("customers", "au")))


def test_written_behind_the_look(few: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document that a replay has written after the last look at it is looked for again."""
    import_ = few.database.document(f"connections/au/imports/customers_{STAMP}")
    written = few.database.document(f"connections/au/customers/{PERSON}")
    content = written.get().to_dict() or {}
    look_at_all_documents, looked = searching._look_at_all_documents, 0

    def passed(*arguments: Any) -> None:
        nonlocal looked
        look_at_all_documents(*arguments)
        looked += 1
        if looked == 6:  # The end of the third look, the first after everything was taken out.
            import_.update({"startedAt": few.services.now()})
            written.set(content)

    monkeypatch.setattr(searching, "_look_at_all_documents", passed)
    few.clock.advance("23:00")

    assert run(few).proved
    assert looked > 6
    assert set() == traces(few)


def test_a_file_that_begins_and_goes_on(few: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is still being loaded when all was looked through ends the erasure without a proof, and
    the next one finishes it under the same record."""
    import_ = few.database.document(f"connections/au/imports/customers_{STAMP}")
    during(monkeypatch, {1}, lambda: import_.update({"status": "loading"}))

    with pytest.raises(NotPossible, match="is being loaded"):
        run(few)

    (record,) = [one.to_dict() for one in few.database.collection("erasures").stream()]
    assert record is not None
    assert record["finishedAt"] is None
    import_.update({"status": "loaded"})
    done = run(few)
    assert done.proved
    assert len(list(few.database.collection("erasures").stream())) == 1
    assert set() == traces(few)


def test_files_that_never_rest(few: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an import begins during every look, nothing is proved, and the command names it."""
    import_ = few.database.document(f"connections/au/imports/customers_{STAMP}")

    def begun() -> None:
        import_.update({"startedAt": datetime.now(UTC)})

    during(monkeypatch, range(100), begun)

    done = run(few)

    assert not done.proved
    assert (f"customers_{STAMP}",) == done.begun


def test_a_file_put_away_meanwhile(few: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is put away behind the search is looked into by the next one."""
    name = "test/au/customers_20230601T115500Z.csv"
    away = "processed/au/test/customers_20230601T115500Z.csv"
    few.put(name, customers_csv({"PERIDX": "2"}))
    look_into, looked = object_traces._look_into, 0

    def looking(bucket: Any, blob: Any, *rest: Any) -> None:
        nonlocal looked
        looked += blob.name == name
        if looked == 3:  # The last look but for this, and `processed/` has been passed.
            few.put(away, customers_csv(ANA, {"PERIDX": "2"}))
        look_into(bucket, blob, *rest)

    monkeypatch.setattr(object_traces, "_look_into", looking)

    assert run(few).proved
    assert looked > 3
    assert set() == traces(few)


def test_replays_afterwards(few: Pipeline) -> None:
    """A file that was rewritten can be replayed, and brings nobody back."""
    run(few)
    few.database.document("connections/au/customers/2").delete()

    replay("au", f"customers_{STAMP}", few.services)
    replay("au", f"test_customers_{STAMP}", few.services)

    assert {"loaded", "checked"} == set(few.run_due())
    assert {"2"} == {"2", PERSON} & set(few.documents("customers", "au"))


def test_a_waiting_upload(few: Pipeline) -> None:
    """An upload that has not been loaded yet becomes a new one without the person."""
    name = "pending/au/orders_20230601T115500Z.csv"
    orders = orders_csv({"PERIDX": PERSON, "ORDER_NUMBER": "D-ANA-2"}, {"ORDER_NUMBER": "D9"})
    waiting = few.upload(name, orders)
    assert waiting is not None

    run(few)

    assert "D-ANA" not in few.read(name)
    assert "D9" in few.read(name)
    blob = few.services.bucket.get_blob(name)
    assert blob.generation > waiting.generation


def test_a_waiting_upload_is_as_old_as_before(few: Pipeline) -> None:
    """An upload without the person counts from its own time: deadlines and refusals stay."""
    name = "pending/au/orders_20230601T115500Z.csv"
    few.upload(name, orders_csv({"PERIDX": PERSON, "ORDER_NUMBER": "D-ANA-2"}))
    uploaded_at = few.services.bucket.get_blob(name).time_created

    run(few)
    run(few)

    rewritten = lying_there(name, few.services)
    assert rewritten is not None
    assert rewritten.uploaded_at == uploaded_at
    assert few.services.bucket.get_blob(name).time_created > uploaded_at


def test_unreadable(few: Pipeline) -> None:
    """What cannot be looked into is named, is no proof, and goes if that is asked for."""
    name = "pending/au/customers_20230601T115500Z.csv"
    few.put(name, b"PK\x03\x04" + bytes(range(256)))

    first = run(few)

    assert not first.proved
    assert [name] == [one for one, _ in first.unreadable]
    second = run(few, delete_unreadable=True)
    assert second.proved
    assert name not in few.objects()
    assert first.record == second.record


def test_a_large_file(few: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is read and written piece by piece loses the same rows as one that is small."""
    monkeypatch.setattr(object_traces, "CHUNK_BYTES", 256 * 1024)
    name = "pending/au/customers_20230601T115500Z.csv"
    many = [{"PERIDX": str(n)} for n in range(10, 15_000)]
    few.put(name, customers_csv(*many[:7_000], ANA, *many[7_000:], ANA))

    assert run(few).proved

    assert customers_csv(*many) == few.read(name)


@pytest.mark.parametrize("chunk", [256 * 1024, 8 * 1024 * 1024])
def test_a_file_sent_again_meanwhile(
    few: Pipeline, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """A file that its retailer sends again while it is rewritten is left alone and found again."""
    monkeypatch.setattr(object_traces, "CHUNK_BYTES", chunk)
    name = "pending/au/customers_20230601T115500Z.csv"
    many = [{"PERIDX": str(n)} for n in range(10, 10_000)]
    few.put(name, customers_csv(*many, ANA))
    sent: list[str] = []

    def sent_again(*arguments: Any) -> Any:
        if not sent:
            sent.append(name)
            few.put(name, customers_csv(*many, ANA, {"PERIDX": "2"}))
        return without(*arguments)

    monkeypatch.setattr(object_traces, "without", sent_again)

    assert run(few).proved

    assert sent == [name]
    assert few.read(name) == customers_csv(*many, {"PERIDX": "2"})


def test_older_generations(few: Pipeline) -> None:
    """Where the bucket keeps older generations, those with the person go as well."""
    bucket = few.services.bucket
    bucket.reload()
    bucket.versioning_enabled = True
    bucket.patch()
    try:
        run(few)
        name = "pending/au/customers_20230601T115500Z.csv"
        few.put(name, customers_csv(ANA))
        few.put(name, customers_csv({"PERIDX": "2"}))

        assert run(few).proved

        kept = list(bucket.list_blobs(prefix="pending/au/", versions=True))
        assert name in {blob.name for blob in kept}
        assert not [
            blob.name
            for blob in kept
            if PERSON.encode()
            in bucket.blob(blob.name, generation=blob.generation).download_as_bytes()
        ]
    finally:
        bucket.versioning_enabled = False
        bucket.patch()
        for blob in bucket.list_blobs(versions=True):
            bucket.blob(blob.name, generation=blob.generation).delete()


@pytest.fixture
def command(few: Pipeline, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead the command line to the loaded pipeline."""
    monkeypatch.setattr("shared.ops.connect", lambda _: few.services)


@pytest.mark.usefixtures("command")
def test_on_the_command_line(few: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says what would go, what went, what it has looked at, and what is left to do."""
    arguments = ["erase", PERSON, "--connection", "au", "--by", "Kim"]
    capsys.readouterr()

    assert ops.main([*arguments, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "Would erase: 1 customer, " in said
    assert f"processed/au/customers_{STAMP}.csv" in said

    assert ops.main([*arguments, "--yes"]) == 0
    said = capsys.readouterr().out
    assert "Erased: 1 customer, " in said
    assert ": nothing is left." in said
    assert "The record of this erasure is erasures/" in said
    assert "Erase the person in Apparel21 as well" in said
    assert EMAIL not in said

    assert ops.main([*arguments, "--json", "--yes"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["proved"], answer["erased"]) == (True, {})


@pytest.mark.usefixtures("command")
def test_not_proved_on_the_command_line(few: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not proved ends with exit code 1 and what to do."""
    few.put("pending/au/customers_20230601T115500Z.csv", b"PK\x03\x04" + bytes(range(256)))

    assert ops.main(["erase", PERSON, "--connection", "au", "--yes"]) == 1
    assert "--delete-unreadable" in capsys.readouterr().out


@pytest.mark.usefixtures("command")
@pytest.mark.parametrize(("typed", "code"), [("", 1), ("y", 0)])
def test_somebody_is_asked(
    few: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    code: int,
) -> None:
    """The command shows its findings, then asks; without a yes it erases nothing."""
    shown: list[str] = []

    def answer(question: str) -> str:
        shown.append(capsys.readouterr().out + question)
        return typed

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", answer)
    before = traces(few)

    assert code == ops.main(["erase", PERSON, "--connection", "au"])

    (question,) = shown
    assert "Would erase: 1 customer, " in question
    assert f"Erase {PERSON} of au? This cannot be undone. [y/N] " in question
    assert (set() if typed else before) == traces(few)
    assert bool(typed) == bool(list(few.database.collection("erasures").stream()))


@pytest.mark.usefixtures("command")
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (
            [PERSON, "--connection", "au"],
            2,
            "Add --yes to confirm, or --dry-run to see the effect.",
        ),
        (["99999999", "--connection", "au", "--yes"], 1, "Nothing about 99999999 was found"),
        (["99999999", "--connection", "au", "--dry-run"], 1, "Nothing about 99999999 was found"),
        ([PERSON, "--connection", "nowhere", "--yes"], 1, "There is no connection nowhere."),
    ],
)
def test_what_cannot_be_erased(
    few: Pipeline,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    says: str,
) -> None:
    """Nothing is erased, and no record is made, without a yes or for an id that nobody has."""
    before = traces(few)

    assert code == ops.main(["erase", *arguments])

    assert says in capsys.readouterr().err
    assert before == traces(few)
    assert [] == list(few.database.collection("erasures").stream())


def test_a_wrong_person(capsys: pytest.CaptureFixture[str]) -> None:
    """An id that no customer can have is a wrong command line."""
    with pytest.raises(SystemExit) as ended:
        ops.main(["erase", "a/b"])

    assert ended.value.code == 2
    assert "cannot be the id of a customer" in capsys.readouterr().err
