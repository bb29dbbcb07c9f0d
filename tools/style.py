"""Check that docs, docstrings, comments and messages are in plain English, and that links work.

Run `python -m tools.style`. Each finding is one line, such as
`shared/core/logs.py:97: write "again", not "anew"`. `tools.spelling` and `tools.links` find more.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools import links, spelling

ROOT = Path(__file__).resolve().parents[1]
CODE = ("functions", "shared", "gateway", "local", "tools", "benchmarks", "deploy")
CHECKED = ("README.md", "CHANGELOG.md", "Makefile", "docs", "samples/README.md", *CODE)
"""Files and folders that have to be in plain English. Tests need not."""

SPELT = (*CHECKED, "tests")
"""Files and folders whose spelling is checked."""

PLAIN = {
    r"mend(s|ed|ing)?": "fix",
    r"anew": "again",
    r"by (it|them)sel(f|ves)": "automatically, alone or separately",
    r"(go|goes|going|went|gone) on": "continue",
    r"stands?(?! for| in for)": "is",
    r"(has|have|had) come": "arrived",
    r"nobody foresaw": "unexpected",
    r"cannot be asked": "not allowed, or unknown",
    r"(have|has|had|having) back": "restore",
    r"rows? (is|are) wrong": "has errors",
    r"is no (setting|value|type|name|number)": "is not a …, or unknown …",
    r"stays? as (it is|they are)": "is unchanged",
    r"loaded as it is": "loaded unchanged",
    r"looks? whether": "checks whether",
    r"comes? to nothing": "has no effect",
    r"begun again": "retried",
    r"makes no sense": "not applicable",
    r"one (row|document|line|task|file|module) an? \w+": "one … per …",
    r"hold still": "pause",
    r"in truth": "actually",
    r"for ever": "permanently",
    r"but for": "except for",
    r"in vain": "without effect",
    r"what (the |its |their )?\w+ (come|comes|came) to": "result, or value",
    r"(come|comes|came) out": "is, or becomes",
    r"look(s|ed|ing)? again": "check again, refresh or search again",
    r"turn(s|ed)? round": "reorder",
    r"(has|have) become of": "happened to",
    r"what becomes of": "what happens to",
    r"(is|are) believed": "trust",
    r"held against": "compared with",
    r"of itself": "automatically",
}
"""Regular expression of words to avoid -> the plain words."""

_AVOID = {
    re.compile(rf"\b(?:{words})\b".replace(" ", r"\s+"), re.IGNORECASE): plain
    for words, plain in PLAIN.items()
}
_ANY = re.compile("|".join(words.pattern for words in _AVOID), re.IGNORECASE)
_READ = (".py", ".md", ".sh", ".html", ".js", ".mjs", ".ts", ".yaml", "")
_FIRST = ("What", "How", "Which", "Where", "Who", "Whose", "When", "Whether", "Why")
"""Words that no docstring begins with: it names a thing (noun) or an action (verb)."""
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LONGEST = 25
"""Words of the longest sentence on a page."""
_NO_SENTENCE = re.compile(r"^(?: {4}|\||#|```).*$", re.MULTILINE)
"""Lines of code, tables and headings."""
_BLOCK = re.compile(r"\n\s*\n|\n(?= *(?:[*-]|\d+\.) )")
_SENTENCE = re.compile(r"(?<=[.!?:;·])\s+(?=\S)")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_NAMED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def avoided(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line within a text (0 is its first) and the advice for each word to avoid.

    Code in backticks is not read. A phrase may run over a line break.
    """
    if not _ANY.search(text):
        return
    text = _CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), text)
    for words, plain in _AVOID.items():
        for found in words.finditer(text):
            phrase = " ".join(found[0].split())
            yield text.count("\n", 0, found.start()), f'write "{plain}", not "{phrase}"'


def long_sentences(page: str) -> Iterator[tuple[int, str]]:
    """Yield the line of the paragraph (0 is the first) and the advice for each sentence too long.

    Code, tables and headings are not read. A semicolon or colon ends a sentence too.
    """
    fenced = re.sub(
        r"^```.*?^```", lambda code: "\n" * code[0].count("\n"), page, flags=re.M | re.S
    )
    text = _NO_SENTENCE.sub("", fenced)
    start = 0
    for block in [*_BLOCK.finditer(text), None]:
        end = block.start() if block else len(text)
        begins = start + len(text[start:end]) - len(text[start:end].lstrip())
        for sentence in _SENTENCE.split(_LINK.sub(r"\1", text[begins:end])):
            if len(words := sentence.split()) > LONGEST:
                line = text.count("\n", 0, begins)
                yield line, f'{len(words)} words in a sentence: "{" ".join(words[:4])} …"'
        start = end


def in_module(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line (1 is the first) and the advice for each finding in a Python module."""
    if any(_ANY.search(line) for line in source.splitlines() if "#" in line):
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                for _, advice in avoided(token.string):
                    yield token.start[0], advice
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for line, advice in avoided(node.value):
                yield node.lineno + line, advice
        elif isinstance(node, _NAMED) and (docstring := ast.get_docstring(node)):
            word = docstring.split()[0]
            if word in _FIRST:
                line = node.body[0].lineno
                yield line, f'begin the docstring with a noun or a verb, not "{word}"'


def findings(path: Path) -> list[str]:
    """Return one line per finding in a module, page or script, in the order of the file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        found = in_module(text)
    else:
        long = long_sentences(text) if path.suffix == ".md" else ()
        found = ((line + 1, advice) for line, advice in [*avoided(text), *long])
    name = path.relative_to(ROOT)
    return [f"{name}:{line}: {advice}" for line, advice in sorted(found)]


def checked() -> list[Path]:
    """Return the files that have to be in plain English."""
    return [path for path in _files(CHECKED) if path != Path(__file__)]


def broken_links() -> list[str]:
    """Return one line per link that leads nowhere, in pages and in code."""
    found = []
    for path in _files(CHECKED):
        if path.suffix == ".md":
            faults = links.in_page(path, root=ROOT)
        else:
            faults = links.in_code(path.read_text(encoding="utf-8"), root=ROOT)
        found += [f"{path.relative_to(ROOT)}:{line}: {fault}" for line, fault in faults]
    return found


def _files(names: Iterable[str]) -> list[Path]:
    paths: list[Path] = []
    for name in names:
        path = ROOT / name
        paths += [path] if path.is_file() else sorted(path.rglob("*"))
    return [path for path in paths if path.suffix in _READ and path.is_file()]


def main() -> int:
    """Print every finding; return 1 if there are any, else 0."""
    found = [finding for path in checked() for finding in findings(path)]
    found += broken_links()
    found += spelling.findings((ROOT / name for name in SPELT), root=ROOT)
    if found:
        print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
