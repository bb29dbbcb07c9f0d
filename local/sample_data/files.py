"""Files below `samples/`: the samples, and the page that describes them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from local.sample_data.faulty import WRONG_NAME, faulty_samples
from local.sample_data.good import SEED, good_samples
from local.sample_data.sample import Sample
from shared.files import Misnamed, read_name

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def make_samples() -> list[Sample]:
    """Make every sample, good ones first. The result is always the same."""
    chance = random.Random(SEED)
    return [*good_samples(chance), *faulty_samples(chance)]


def make_readme(samples: Sequence[Sample]) -> str:
    """Return `samples/README.md`: every sample with its content and its result."""
    misnamed = [sample for sample in samples if sample.path.startswith(WRONG_NAME)]
    faulty = [sample for sample in samples if sample.path.startswith("faulty/")]
    parts = [
        _INTRODUCTION,
        "## Good",
        _table([sample for sample in samples if sample not in faulty]),
        "## Faulty content",
        _table([sample for sample in faulty if sample not in misnamed]),
        f"## Faulty names, in `{WRONG_NAME}`\n\n{misnamed[0].happens}",
        _table_of_names(misnamed),
    ]
    return "\n\n".join(parts) + "\n"


def _table(samples: Sequence[Sample]) -> str:
    lines = ["| file | what is in it | what happens | ends as | codes |", "|---|---|---|---|---|"]
    for sample in samples:
        codes = "<br>".join(f"`{code}`" for code in sample.codes) or "–"
        lines.append(
            f"| `{sample.path}` | {sample.about} | {sample.happens} | `{sample.status}` | {codes} |"
        )
    return "\n".join(lines)


def _table_of_names(samples: Sequence[Sample]) -> str:
    lines = ["| file | what is wrong | code | right name |", "|---|---|---|---|"]
    for sample in samples:
        file = sample.path.removeprefix(WRONG_NAME)
        named = read_name(file)
        right = named.suggestion if isinstance(named, Misnamed) else None
        shown = f"`{right}`" if right else "nobody can guess it"
        lines.append(f"| `{file}` | {sample.about} | `{sample.codes[0]}` | {shown} |")
    return "\n".join(lines)


_INTRODUCTION = """\
# Samples

Small exports of each type, good and faulty, to look at, to try out and to test with. `make demo`
uploads some of them and shows what happens to them. To try one yourself, start the stack with
`make up` and upload the file over SFTP. In `test/` it is checked only.

Nobody in these files exists. E-mail addresses are on the domains reserved for examples; Australian
mobile numbers are the ones that the regulator keeps free for fiction; New Zealand keeps none free,
so those begin with 025, which has been out of use since 2007.

The files are generated: `python -m local.sample_data` writes them, and this page."""

_ATTRIBUTES = """\
# Bytes are the point here: line ends and encodings are unchanged.
*.csv -text
*.CSV -text
"""


def make_files() -> dict[str, bytes]:
    """Return every file below `samples/` by its path there."""
    samples = make_samples()
    return {
        ".gitattributes": _ATTRIBUTES.encode(),
        "README.md": make_readme(samples).encode(),
        **{sample.path: sample.content for sample in samples},
    }


def write(folder: Path) -> int:
    """Write the files below a folder and remove CSV files no longer made; return the number
    written.
    """
    files = make_files()
    for old in sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".csv"):
        if old.relative_to(folder).as_posix() not in files:
            old.unlink()
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return len(files)
