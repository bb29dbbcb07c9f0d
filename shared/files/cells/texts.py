"""Cells with text: keys, codes, names, e-mail addresses, currencies."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

from shared.files.cells.damage import CONTROLS, PLAIN, UNMARKED, VISIBLE, describe
from shared.files.cells.kind import Kind, bad_cell, vectorized

addresses, codes = vectorized("addresses"), vectorized("codes")
digits, letters_and_digits = vectorized("digits"), vectorized("letters_and_digits")

_ID_LIMIT_BYTES = 1500
_RESERVED_ID = re.compile(r"__.*__", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _read_person_id(text: str) -> str:
    if text.isascii() and text.isdigit() and len(text) <= 22:
        return text
    what = describe(text)
    if what:
        pass
    elif re.fullmatch(r"[0-9]+[.,][0-9]*", text):
        what = "it holds decimals, as if a spreadsheet had taken it for a number"
    elif text.isascii() and text.isdigit():
        what = f"it has {len(text)} digits"
    else:
        what = "it holds something other than digits"
    raise bad_cell("row.bad_key", f"The key is not a number of 1 to 22 digits: {what}.")


def _read_document_id(text: str) -> str:
    # https://firebase.google.com/docs/firestore/quotas#collections_documents_and_fields
    if "/" in text:
        what = "it holds a slash"
    elif text in (".", ".."):
        what = "it is nothing but dots"
    elif _RESERVED_ID.fullmatch(text):
        what = "it begins and ends with two underscores"
    elif len(text) * 4 > _ID_LIMIT_BYTES and len(text.encode()) > _ID_LIMIT_BYTES:
        what = f"it is longer than {_ID_LIMIT_BYTES} bytes"
    elif _CONTROL.search(text):
        what = "it holds control characters"
    # A spreadsheet turns several keys into the same one. Loading that key would merge the
    # documents.
    elif not (what := describe(text)):
        return text
    raise bad_cell("row.bad_key", f"The key cannot name a document: {what}.")


def _read_code(text: str) -> str:
    return _undamaged(text, describe(text))


def _read_size(text: str) -> str:
    return _undamaged(text, describe(text, decimals=True))


def _undamaged(text: str, what: str) -> str:
    if what:
        raise bad_cell("row.bad_code", f"The cell is not an id or a code: {what}.")
    return text


_NOT_IN_ADDRESS = CONTROLS + r"@\s,;:<>()\[\]\\\"“”„‟‘’‚‛«»‹›"
_LABEL = rf"[^{_NOT_IN_ADDRESS}.!#$%&'*+/=?^`{{|}}~]+"
_EMAIL = re.compile(rf"(?!['`])[^{_NOT_IN_ADDRESS}]+@{_LABEL}(?:\.{_LABEL})+")
_DECORATED = re.compile(r"(?i:mailto:|smtp:|e-?mail:).*|[<('\"`“„‘‚«‹\[].*|.*[>)'\"`”’»›\]]")


def _read_email(text: str) -> str:
    if _EMAIL.fullmatch(text):
        return text
    signs = text.count("@")
    if signs == 0:
        what = "it has no @"
    elif signs == 1 and _DECORATED.fullmatch(text):
        what = "it holds more than an address: quotes, brackets or a word such as mailto:"
    elif re.search(r"[,;<>]", text) or signs > 1:
        what = "it holds more than one address, or more than an address"
    elif re.search(r"\s", text):
        what = "it holds a blank"
    elif not re.fullmatch(r"[^@]+@[^@.]+(?:\.[^@.]+)+", text):
        what = "a part before or after the @ is missing"
    else:
        what = "it holds a sign that no address holds there"
    raise bad_cell("row.bad_email", f"The cell is not an e-mail address: {what}.")


LONGEST_ADDRESS = 320
"""Characters of the longest address that is looked up: 64, the @, and 255. Firestore indexes the
first 1,500 bytes of a text."""


def lower_email(text: str) -> str:
    """Return an e-mail address in the one spelling by which it is looked up.

    Example: `Jo.Smith@Example.com` is `jo.smith@example.com`.
    """
    return unicodedata.normalize("NFKC", text).lower().strip()


def _read_lower_email(text: str) -> str | None:
    return lower_email(_read_email(text)) if len(text) <= LONGEST_ADDRESS else None


def _read_currency(text: str) -> str:
    if re.fullmatch(r"[A-Za-z]{3}", text):
        return text.upper()
    raise bad_cell("row.bad_currency", "The cell is not a currency of three letters such as AUD.")


PERSON_ID = Kind(
    name="person id",
    form="1 to 22 digits",
    type=str,
    read=_read_person_id,
    repairs=(VISIBLE, UNMARKED),
    certain=lambda signs, lengths, _: digits(signs, lengths) & (lengths <= 22),
    identifies=True,
    examples=(("65432", "65432"), ("0065432", "0065432")),
)
DOCUMENT_ID = Kind(
    name="key",
    form="text without a slash, kept letter by letter",
    type=str,
    read=_read_document_id,
    repairs=(VISIBLE, UNMARKED),
    certain=lambda signs, lengths, _: letters_and_digits(signs, lengths),
    identifies=True,
    examples=(("D55500000135", "D55500000135"),),
)
TEXT = Kind(
    name="text",
    form="text; line breaks are part of it",
    type=str,
    examples=(("O'CONNELL ST", "O'CONNELL ST"),),
)
CODE = Kind(
    name="code",
    form="text, kept letter by letter: leading zeros stay",
    type=str,
    read=_read_code,
    repairs=(VISIBLE, UNMARKED),
    plain=PLAIN,
    certain=lambda signs, lengths, _: codes(signs, lengths),
    examples=(("0800", "0800"), ("+61491570006", "+61491570006")),
)
DASHED = replace(
    CODE,
    name="code or dash",
    form="code; a single - means none",
    blanks=frozenset({"-"}),
    examples=(("NVY", "NVY"),),
)
SIZE = replace(
    DASHED,
    name="size or dash",
    form="code, decimals too; a single - means none",
    read=_read_size,
    certain=lambda signs, lengths, _: codes(signs, lengths, decimals=True),
    examples=(("S", "S"), ("8.0", "8.0")),
)
NAME_OR_DASH = Kind(
    name="text or dash",
    form="text; a single - means none",
    type=str,
    blanks=frozenset({"-"}),
    examples=(("Navy", "Navy"),),
)
EMAIL = Kind(
    name="e-mail",
    form="one e-mail address",
    type=str,
    read=_read_email,
    repairs=(VISIBLE,),
    certain=lambda signs, lengths, _: addresses(signs, lengths),
    examples=(("jo.smith@example.com", "jo.smith@example.com"),),
)
LOWER_EMAIL = Kind(
    name="e-mail in lower case",
    form="the e-mail address in one spelling, for look-ups: Unicode form NFKC, lower case, trimmed",
    type=str | None,
    read=_read_lower_email,
    repairs=(VISIBLE,),
    lower=True,
    examples=(
        ("Jo.Smith@Example.com", "jo.smith@example.com"),
        ("ｊｏ@EXAMPLE.com", "jo@example.com"),
    ),
)
CURRENCY = Kind(
    name="currency",
    form="three letters (ISO 4217)",
    type=str,
    read=_read_currency,
    examples=(("AUD", "AUD"), ("nzd", "NZD")),
)

TEXTS = (
    *(PERSON_ID, DOCUMENT_ID, TEXT, CODE, DASHED, SIZE, NAME_OR_DASH),
    *(EMAIL, LOWER_EMAIL, CURRENCY),
)
"""Kinds of text, in the order of docs/formats.md."""
