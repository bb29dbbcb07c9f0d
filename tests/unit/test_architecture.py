"""The packages of `shared/`: their imports go one way, and docs/architecture.md names them."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.files.names import TYPES

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / "shared"
MODULES = sorted(SHARED.rglob("*.py"))
LARGEST = 13
"""Modules in a folder, at most."""
LONGEST = 800
"""Lines in a file of Python, at most."""
BY_NAME = {
    "shared.core.arrays": "numpy",
    "shared.files.cells.vectorized": "numpy",
    "shared.firestore.database": "google.cloud.firestore",
    "shared.gcp.storage": "google.cloud.storage",
    "shared.loading.shards.cleanup": "numpy",
    "shared.ledger.uploads": "google.cloud.storage",
    "shared.reporting.reports": "google.cloud.storage",
    "shared.web.callers": "google.auth",
}
"""Modules that other packages import by their own names, and the library that a face which had
them would bring to functions that do not need it."""
OWN_FACE = ("files.types", "firestore.bulk")
"""Packages within packages that other packages import from."""
IMPORTS: dict[str, str] = {
    "core": "",
    "files": "",
    "firestore": "",
    "gcp": "",
    "terminal": "",
    "parsing": "files firestore",
    "ledger": "files firestore gcp",
    "services": "firestore ledger",
    "reporting": "files gcp ledger services",
    "mail": "files ledger services reporting",
    "index": "files firestore gcp parsing ledger services",
    "scheduling": "files gcp ledger services reporting mail",
    "loading": "files firestore gcp parsing ledger services reporting mail index scheduling",
    "sweeping": "files gcp ledger services reporting mail scheduling loading",
    "undoing": "files firestore gcp parsing ledger services reporting index loading",
    "privacy": "files firestore gcp parsing ledger services index loading",
    "wiring": "firestore gcp ledger services",
    "web": "wiring",
    "status": "files gcp ledger services reporting mail",
    "check": "files terminal parsing ledger reporting",
    "ops": "files gcp terminal ledger services reporting scheduling undoing privacy wiring",
}
"""Each package or module of `shared/` -> what it imports from, besides `core`: all of it above."""


def name_of(path: Path) -> str:
    """Return the dotted name of a module."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module: str) -> str:
    """Return the package, or the single module, at the top of `shared/` that a module is in."""
    return module.split(".")[1]


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each import of something of `shared/`: the module it names, and the name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "shared":
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if (ROOT / full.replace(".", "/")).is_dir() or is_module(full):
                    yield full, alias.name
                else:
                    yield str(node.module), alias.name


def is_module(name: str) -> bool:
    """Whether there is a module file of that dotted name."""
    return (ROOT / name.replace(".", "/")).with_suffix(".py").exists()


def rooms() -> dict[str, set[str]]:
    """Return each room with the rooms it imports from."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in MODULES:
        if (module := name_of(path)) != "shared":
            found[room(module)] |= {room(other) for other, _ in imports(path)} - {room(module)}
    return found


def shown() -> dict[str, str]:
    """Return the rooms as docs/architecture.md shows them, each with its sentence."""
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    packages = page.partition("|package|contents|\n")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\|`(\w+)`\|([^|]+)\|$", packages, re.MULTILINE))


def test_imports_are_those_allowed() -> None:
    """Every room imports from just the rooms that the table allows, and all of these."""
    allowed = {name: set(others.split()) for name, others in IMPORTS.items()}
    assert allowed == {name: others - {"core"} for name, others in rooms().items()}


def test_the_ground_comes_first() -> None:
    """A room imports from rooms above it in the table only, so no two import from each other."""
    above: set[str] = set()
    for name, others in IMPORTS.items():
        assert set(others.split()) - above == set(), f"{name} imports from a room not above it"
        above.add(name)


def test_the_page_shows_every_room() -> None:
    """docs/architecture.md names the rooms, in the order of the table."""
    assert list(shown()) == list(IMPORTS)


@pytest.mark.parametrize("name", [name for name in rooms() if (SHARED / name).is_dir()])
def test_a_package_says_what_it_is(name: str) -> None:
    """The page says of a package what its docstring says."""
    text = ast.get_docstring(ast.parse((SHARED / name / "__init__.py").read_text("utf-8")))
    assert (text or "").split("\n\n")[0].replace("\n", " ") == shown()[name]


def test_other_packages_import_from_the_face() -> None:
    """What another package needs of a package, it imports from its `__init__`, not its modules."""
    past = {
        (name_of(path), other)
        for path in MODULES
        for other, name in imports(path)
        if name_of(path) != "shared"
        and room(other) != room(name_of(path))
        and other not in BY_NAME
        and other.removeprefix("shared.") not in OWN_FACE
        and not other.endswith(f".{name}")
        and other.count(".") > 1
    }
    assert past == set()


def test_a_folder_can_be_taken_in_at_a_glance() -> None:
    """No folder has more modules than a newcomer can look through."""
    sizes = Counter(path.parent for path in MODULES if path.name != "__init__.py")
    assert {str(folder): size for folder, size in sizes.items() if size > LARGEST} == {}


def test_a_file_has_one_subject() -> None:
    """No file of code or tests is so long that it must be about several things."""
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in ("benchmarks", "functions", "gateway", "local", "shared", "tests", "tools")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {path: count for path, count in lines.items() if count > LONGEST} == {}


def test_no_class_has_the_name_of_another() -> None:
    """A class, or a name for a type, is defined once in all of `shared/`."""
    defined: dict[str, set[str]] = defaultdict(set)
    for path in MODULES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                defined[node.name].add(name_of(path))
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    name = target.id if isinstance(target, ast.Name) else ""
                    if len(name) > 1 and name[0].isupper() and not name.isupper():
                        defined[name].add(name_of(path))
    assert {name: where for name, where in defined.items() if len(where) > 1} == {}


def test_every_module_on_the_file_s_way_exists() -> None:
    """docs/files-way.md names modules that are there."""
    page = (ROOT / "docs/files-way.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:\w+/)+\w+)`", page)
    assert [name for name in named if not (SHARED / name).with_suffix(".py").exists()] == []


def test_decisions_are_numbered() -> None:
    """The decisions have the numbers from 1 on, in their names and titles."""
    pages = sorted((ROOT / "docs/decisions").glob("*.md"))
    titles = [page.read_text(encoding="utf-8").partition(". ")[0] for page in pages]
    assert [page.name[:4] for page in pages] == [f"{n:03}-" for n in range(1, len(pages) + 1)]
    assert titles == [f"# {n}" for n in range(1, len(pages) + 1)]


def test_unit_tests_lie_where_their_packages_do() -> None:
    """Every folder of unit tests has the name of a folder of the code, or of what it tests."""
    folders = {
        path.parent.relative_to(ROOT / "tests/unit")
        for path in (ROOT / "tests/unit").rglob("test_*.py")
    } - {Path()}
    homes = (SHARED, ROOT)
    lost = [folder for folder in folders if not any((home / folder).is_dir() for home in homes)]
    assert lost == []


def compared(path: Path) -> Iterator[str]:
    """Yield the texts that a module, or the template of a page, compares something with."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".html":
        yield from re.findall(r'(?:==|!=|in)\s*"(\w+)"', text)
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Compare | ast.MatchValue):
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def test_a_type_is_asked_and_never_compared() -> None:
    """No module compares a type's name with a word: what depends on a type is in its module."""
    deployed = [*MODULES, *SHARED.rglob("*.html"), *ROOT.glob("functions/*.py")]
    others = [*ROOT.glob("gateway/*.py"), *ROOT.glob("tools/**/*.py"), *ROOT.glob("local/**/*.py")]
    found = {
        (path.relative_to(ROOT).as_posix(), word)
        for path in (*deployed, *others)
        for word in compared(path)
        if word in TYPES
    }
    assert found == set()
