"""The gcloud command lines that a person is told to type, and what gcloud itself says of a line."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VALUES: Mapping[str, str] = {
    "PROJECT": "shop-imports",
    "REGION": "australia-southeast1",
    "BUCKET": "shop-imports-uploads",
    "QUEUE": "imports",
}
"""What stands for the variables of a document."""

_FENCED = re.compile(r"^(```|~~~)[^\n]*\n(.*?)^\1", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(gcloud [^`\n]*)`")
_CONTINUED = re.compile(r"\\\n\s*")
_ENDS = {"|", "||", "&&", ";", "&", ">", ">>", "<"}
_PASSING = re.compile(r"/\S*/(?=[\w-]+\.\w+)|/\S*/tmp\.\w+/|\b\d{8}T\d{6}Z\b")
"""What is another one each time: where a file lies for the moment, and the time."""


@dataclass(frozen=True, slots=True)
class Line:
    """One command line, and where it stands."""

    place: str
    words: tuple[str, ...]

    @property
    def shape(self) -> tuple[str, ...]:
        """What the line has in common with those that differ in values only."""
        return tuple(
            sorted({word.split("=")[0] for word in self.words if word.startswith("-")})
        ) + tuple(word for word in self.words[:6] if re.fullmatch(r"[a-z][a-z-]*", word))


def read(text: str, place: str) -> Iterator[Line]:
    """Give each gcloud command of a shell text; `$NAME` takes its value from `VALUES`.

    Raises:
        KeyError: a variable that nobody has given a value.
    """
    for row in _CONTINUED.sub(" ", text).splitlines():
        if "gcloud " not in row or row.lstrip().startswith("#"):
            continue
        filled = re.sub(r"\$\{?([A-Z_]+)\}?", lambda match: VALUES[match[1]], row)
        lexer = shlex.shlex(filled, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        command: list[str] | None = None
        for word in [*lexer, ";"]:
            if word in _ENDS:
                if command:
                    yield Line(place, tuple(command))
                command = None
            elif command is not None:
                command.append(word)
            elif word.removeprefix("$(") == "gcloud":
                command = ["gcloud"]


def in_document(file: Path) -> Iterator[Line]:
    """Give each gcloud command of a Markdown file's code."""
    text = file.read_text(encoding="utf-8")
    blocks = [match[2] for match in _FENCED.finditer(text)]
    rest = _FENCED.sub("", text)
    blocks += ["\n".join(row for row in rest.splitlines() if row.startswith("    "))]
    for block in blocks:
        yield from read(block, file.name)
    for match in _INLINE.finditer(rest):
        if match[1].split()[1:]:
            yield from read(match[1], file.name)


def lint(gcloud: str, lines: Iterable[Line], known: Path) -> dict[Line, str]:
    """Let gcloud judge lines; gives what is wrong with those that are.

    Each costs gcloud a fifth of a second. So of lines that differ in the values only one is judged,
    all in one process, and what this gcloud has found right is kept in the file `known`.
    """
    about = f"{Path(gcloud).resolve()} {Path(gcloud).stat().st_mtime_ns}"
    kept: dict[str, list[str]] = json.loads(known.read_text()) if known.is_file() else {}
    right = set(kept.get(about, []))
    chosen = {line.shape: line for line in lines}.values()
    asked = [line for line in chosen if _lasting(line) not in right]
    verdicts = _judge(gcloud, asked, known.parent) if asked else []
    wrong = {
        line: str(verdict["error_message"]).splitlines()[0]
        for line, verdict in zip(asked, verdicts, strict=True)
        if not verdict["success"]
    }
    right |= {_lasting(line) for line in asked if line not in wrong}
    known.write_text(json.dumps({about: sorted(right)}))
    return wrong


def _lasting(line: Line) -> str:
    return _PASSING.sub("", shlex.join(line.words))


def _judge(gcloud: str, lines: Sequence[Line], folder: Path) -> list[dict[str, Any]]:
    file = folder / "gcloud-commands.json"
    # Its own reading of a line ends at a hash, and it takes an id of 0 for none.
    commands = [
        {"id": number, "command_string": shlex.join(line.words).replace("#", "")}
        for number, line in enumerate(lines, start=1)
    ]
    file.write_text(json.dumps(commands))
    judged = subprocess.run(
        [gcloud, "meta", "lint-gcloud-commands", f"--commands-file={file}", "--serialize"],
        capture_output=True,
        text=True,
        check=True,
    )
    verdicts = json.loads(judged.stdout)
    return [verdicts[str(command["id"])][0] for command in commands]
