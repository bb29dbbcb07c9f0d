"""Paths of SFTP users and the objects they stand for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.paths import BadPath, View
from shared.files.folders import FOLDERS

ALL = View(connection=None, known=frozenset({"au", "nz"}))
AU = View(connection="au")
NAME = "customers_20230424T201230Z.csv"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"/pending/{NAME}", f"pending/{NAME}"),
        (f"pending/{NAME}", f"pending/{NAME}"),
        (f"./pending//au/./{NAME}", f"pending/au/{NAME}"),
        (f"/pending/../test/{NAME}", f"test/{NAME}"),
        (f"/../../{NAME}", NAME),
        (f"/au/{NAME}", f"au/{NAME}"),
        ("/", None),
        ("", None),
        (".", None),
        ("pending/..", None),
    ],
)
def test_user_of_all(path: str, expected: str | None) -> None:
    """A user of all connections sees the bucket as it is."""
    assert expected == ALL.place(path.encode()).object


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"/pending/{NAME}", f"pending/au/{NAME}"),
        (f"test/{NAME}", f"test/au/{NAME}"),
        (f"/processed/test/{NAME}", f"processed/au/test/{NAME}"),
        ("reports/x.report.json", "reports/au/x.report.json"),
        (f"/{NAME}", f"pending/au/{NAME}"),
        ("pending", "pending/au"),
        (f"/au/{NAME}", f"pending/au/{NAME}"),
        (f"/pending/au/{NAME}", f"pending/au/{NAME}"),
        ("rejected/au/x.rejected.csv", "rejected/au/x.rejected.csv"),
        ("pending/au", "pending/au"),
        ("au", None),
        (f"/nz/{NAME}", None),
        ("state/au/customers/x.index", None),
        ("/", None),
    ],
)
def test_user_of_one(path: str, expected: str | None) -> None:
    """A user of one connection sees its files alone, as if there were no other."""
    assert expected == AU.place(path.encode()).object


@pytest.mark.parametrize(
    "path",
    [
        f"../nz/{NAME}",
        f"pending/../nz/{NAME}",
        f"pending/../../pending/nz/{NAME}",
        f"/pending/nz/{NAME}",
        f"//pending//..//nz/{NAME}",
        f"pending/%2e%2e/nz/{NAME}",
        f"pending/..%2fnz/{NAME}",
        f"pending\\..\\nz\\{NAME}",
        "pending/.../x",
        "~nz/x",
        "/etc/passwd",
    ],
)
def test_no_way_out(path: str) -> None:
    """No path of a user of one connection leads to an object of another."""
    found = AU.place(path.encode()).object

    assert found is None or found.split("/")[1] == "au"
    assert AU.why_not_upload(AU.place(path.encode()))


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["..", ".", "", "au", "nz", "pending", "processed", NAME, "%2f", "\\"]),
            st.text(max_size=5),
        ),
        max_size=8,
    )
)
def test_confinement(parts: list[str]) -> None:
    """Whatever a user of one connection sends, its objects lie below the connection's folders."""
    try:
        place = AU.place("/".join(parts).encode("utf-8", "surrogatepass"))
    except BadPath:
        return
    below = AU.below(place)

    for name in (place.object, below):
        assert name is None or (
            name.split("/")[0] in FOLDERS
            and name.split("/")[1] == "au"
            and ".." not in name.split("/")
        )


@pytest.mark.parametrize(
    "path", [b"pending/\0x", b"a\nb", b"\x1b[2J", b"\xff\xfe", b"\xc3", b"\x7f"]
)
def test_bad_path(path: bytes) -> None:
    """A path with control characters, or that is not UTF-8, is no path."""
    with pytest.raises(BadPath):
        ALL.place(path)


@pytest.mark.parametrize(
    ("view", "path"),
    [
        (ALL, NAME),
        (ALL, f"pending/{NAME}"),
        (ALL, f"pending/au/{NAME}"),
        (ALL, f"au/{NAME}"),
        (ALL, "bulk/de/rewards_2023-04-24T20:12:30Z.csv"),
        (ALL, f"pending/{NAME}.filepart"),
        (ALL, f"pending/.in.{NAME}"),
        (AU, NAME),
        (AU, f"test/{NAME}"),
        (AU, f"pending/au/{NAME}"),
        (AU, f"bulk/{NAME}.tmp"),
    ],
)
def test_upload_allowed(view: View, path: str) -> None:
    """Right names, and the temporary names of uploads under way, are let through."""
    assert view.why_not_upload(view.place(path.encode())) is None


@pytest.mark.parametrize(
    ("view", "path", "expected"),
    [
        (ALL, "pending/Customers_20230424T201230Z.csv", f"The right name is: pending/{NAME} "),
        (ALL, "au/customers_20230424T201230.csv", f"The right name is: au/{NAME} "),
        (AU, "test/customers_20230424T201230.csv", f"The right name is: test/{NAME} "),
        (AU, "customers_20230424T201230Z.CSV", f"The right name is: pending/{NAME} "),
        (ALL, "pending/customers_20230424T201230.csv", "[name.not_utc]"),
        (ALL, f"processed/{NAME}", "kept by the pipeline"),
        (AU, "rejected/x.tmp", "kept by the pipeline"),
        (ALL, "state/main/customers/x.index", "kept by the pipeline"),
        (ALL, f"state/{NAME}", "kept by the pipeline"),
        (AU, f"state/{NAME}", "Files go into pending/"),
        (ALL, f"a/b/c/{NAME}", "too deep"),
        (ALL, "a/b/c/x.tmp", "too deep"),
        (AU, f"pending/sub/{NAME}", "no folder within them"),
        (AU, f"pending/au/au/{NAME}", "no folder within them"),
        (AU, "pending", "is a folder"),
        (ALL, "pending/au", "is a folder"),
        (ALL, "/", "is a folder"),
        (ALL, f"pending/.{'x' * 1100}", "longer than 1,024 bytes"),
    ],
)
def test_upload_refused(view: View, path: str, expected: str) -> None:
    """A refusal says why, and the right name as the user would have to write it."""
    assert expected in str(view.why_not_upload(view.place(path.encode())))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"pending/{NAME}", True),
        (f"test/{NAME}", True),
        ("rejected/x.rejected.csv", True),
        (f"processed/{NAME}", False),
    ],
)
@pytest.mark.parametrize("view", [ALL, AU])
def test_remove(view: View, path: str, expected: bool) -> None:
    """Everything can be removed but the record of what has been loaded."""
    assert expected == (view.why_not_remove(view.place(path.encode())) is None)


def test_what_the_pipeline_remembers_stays() -> None:
    """Nobody can write, remove or rename away what is in state/ or refusals/; a file of such a
    name is just a file."""
    for path in (b"state/main/customers/x.index", b"refusals/au/x.json"):
        assert "belongs to the pipeline" in str(ALL.why_not_remove(ALL.place(path)))
        assert "kept by the pipeline" in str(ALL.why_not_upload(ALL.place(path)))
    assert AU.why_not_remove(AU.place(b"state")) is None
    assert AU.why_not_remove(AU.place(b"refusals")) is None


@pytest.mark.parametrize(
    ("view", "path", "expected"),
    [
        (ALL, "pending/de", True),
        (ALL, "bulk/de", True),
        (ALL, "de", True),
        (ALL, "pending/De", False),
        (ALL, "pending/de/sub", False),
        (ALL, "de/pending", False),
        (ALL, "processed/de", False),
        (ALL, "state", False),
        (ALL, "state/de", False),
        (ALL, "pending/test", False),
        (AU, "pending/de", False),
        (AU, "de", False),
    ],
)
def test_make(view: View, path: str, expected: bool) -> None:
    """Only folders of connections can be made, and only by a user of all of them."""
    assert expected == (view.why_not_make(view.place(path.encode())) is None)


@pytest.mark.parametrize(
    ("view", "path", "expected"),
    [
        (ALL, "/", True),
        (ALL, "bulk", True),
        (ALL, "pending/au", True),
        (ALL, "nz", True),
        (ALL, "pending/de", False),
        (ALL, "de", False),
        (ALL, "pending/au/x", False),
        (AU, "/", True),
        (AU, "processed", True),
        (AU, "pending/au", True),
        (AU, "nz", False),
    ],
)
def test_always_there(view: View, path: str, expected: bool) -> None:
    """The five folders exist when they are empty, as do those of the connections of other users."""
    assert expected == view.always_there(view.place(path.encode()))


@pytest.mark.parametrize("path", [f"pending\\{NAME}", f"\\pending\\au\\{NAME}"])
def test_backslash(path: str) -> None:
    """A path written with backslashes is answered with a word about slashes."""
    for view in (ALL, AU):
        reason = view.why_not_upload(view.place(path.encode())) or ""
        assert "Folders are separated by /" in reason


@pytest.mark.parametrize("name", [f"{NAME}.uploading", f"{NAME}.filepart2", f"{NAME}.upload"])
def test_unknown_temporary_name(name: str) -> None:
    """The refusal of what may be a temporary name lists the endings that are taken."""
    reason = ALL.why_not_upload(ALL.place(f"pending/{name}".encode())) or ""

    assert (
        "Temporary names end in .filepart, .part, .tmp, .partial, .incomplete, .writing" in reason
    )


def test_writing() -> None:
    """A name that ends in .writing is a temporary one."""
    assert ALL.why_not_upload(ALL.place(f"pending/{NAME}.writing".encode())) is None
