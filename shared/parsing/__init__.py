"""Parsing: turns the bytes of a file into checked rows and the contents of documents."""

from __future__ import annotations

from shared.parsing.blocks import INCOMPLETE, Block, Incoming
from shared.parsing.checked import Row
from shared.parsing.csv.dialect import NARROW, dialect_of
from shared.parsing.csv.header import DELIMITERS, HEADER_BYTES, read_header
from shared.parsing.csv.records import Splitter
from shared.parsing.csv.text import decode, refuse_foreign, without_bom
from shared.parsing.examination import JUDGED, Examination, Watcher
from shared.parsing.factory import make_checker, make_document
from shared.parsing.hashing import halves, hash64, hashes
from shared.parsing.plan import Keys, Plan
from shared.parsing.problems import PlainProblem, Tally, plain_problem, problem_of

__all__ = [
    "DELIMITERS",
    "HEADER_BYTES",
    "INCOMPLETE",
    "JUDGED",
    "NARROW",
    "Block",
    "Examination",
    "Incoming",
    "Keys",
    "PlainProblem",
    "Plan",
    "Row",
    "Splitter",
    "Tally",
    "Watcher",
    "decode",
    "dialect_of",
    "halves",
    "hash64",
    "hashes",
    "make_checker",
    "make_document",
    "plain_problem",
    "problem_of",
    "read_header",
    "refuse_foreign",
    "without_bom",
]
