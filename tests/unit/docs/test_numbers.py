"""The numbers and defaults on the operators' pages are those of the code."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta
from typing import get_args

import pytest

from gateway import brake, refusals
from gateway.__main__ import _server_parser
from gateway.commands import commands_parser
from gateway.limits import Capacity, Limits
from local import cli
from shared import ops
from shared.core import ENVIRONMENT, Deployment, length, notify
from shared.ledger.feeds import ARRIVALS_KEPT
from shared.mail import delivery, mailbox, outbox, texts
from shared.reporting.alerts import WEBHOOK_SECONDS
from shared.status.mails import DELAYED
from shared.sweeping.caretaker import PATIENCE
from tests.support.cloud import ROOT

PAGES = {page.name: page.read_text("utf-8") for page in sorted((ROOT / "docs").glob("*.md"))}
DEFAULTS = Deployment()
SETTING = {variable: name for name, variable in ENVIRONMENT.items()}
SHOWN = "".join(line for line in PAGES["ledger.md"].splitlines(True) if line.startswith("|`"))
ROW = re.compile(r"^\|(`[A-Z_]+`(?:, `[A-Z_]+`)*)\|(–|`[^`]+`)\|", re.MULTILINE)


@pytest.mark.parametrize(("names", "shown"), ROW.findall(SHOWN))
def test_default(names: str, shown: str) -> None:
    """A default in the table of settings is the one that the code has, and can be deployed."""
    for variable in re.findall(r"\w+", names):
        name = SETTING[variable]
        given = {} if shown == "–" else {variable: shown.strip("`")}
        assert getattr(Deployment.from_environment(given), name) == getattr(DEFAULTS, name)
        assert (shown == "–") == (getattr(DEFAULTS, name) in ("", None))


def test_every_row() -> None:
    """The table has one row or name for each setting."""
    named = [name for names, _ in ROW.findall(SHOWN) for name in re.findall(r"\w+", names)]
    assert sorted(named) == sorted(SETTING)


WORDED = re.compile(r"`([A-Z_]+)`(?:,| \() ?(\d+ (?:day|hour|minute|second)s?)\b")


@pytest.mark.parametrize(
    ("page", "variable", "words"),
    [(name, *found) for name, text in PAGES.items() for found in WORDED.findall(text)],
)
def test_in_words(page: str, variable: str, words: str) -> None:
    """A setting's default beside its name, such as "`PROCESSED_RETENTION`, 30 days"."""
    assert words == length(getattr(DEFAULTS, SETTING[variable]))


def options(*parsers: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Return the options of parsers and of their commands; of the same option, the first."""
    found: dict[str, argparse.Action] = {}
    for parser in reversed(parsers):
        for action in parser._actions:
            found |= dict.fromkeys(action.option_strings, action)
            if isinstance(action, argparse._SubParsersAction):
                found = options(*action.choices.values()) | found
    return found


GATEWAY = options(_server_parser(), commands_parser())


@pytest.mark.parametrize(
    ("page", "known"),
    [("operator.md", options(ops.parser())), ("local.md", options(cli.parser()))],
)
def test_options(page: str, known: dict[str, argparse.Action]) -> None:
    """Every option that a page names exists."""
    named = set(re.findall(r"(?<![\w-])--[a-z-]+[a-z]\b(?!-)", PAGES[page]))
    assert set() == named - known.keys() - {"--data"}


def test_defaults_of_options() -> None:
    """A limit beside an option of the gateway is the default that the code has."""
    text = " ".join(PAGES["gateway.md"].split())
    shown = re.findall(r"(\d+(?: GiB)?)[^(;.]*\(`(--[a-z-]+)`\)", text)

    assert len(shown) >= 4
    assert [limit for limit, _ in shown] == [in_words(GATEWAY[name].default) for _, name in shown]


def in_words(default: float) -> str:
    """Return a default as the page writes it, such as `5 GiB` or `900`."""
    return f"{default / 1024**3:g} GiB" if default >= 1024**3 else f"{default:g}"


def test_kinds_of_mail() -> None:
    """The table of mails has a row for each kind, and one for the mail to a new address."""
    table = PAGES["mail.md"].split("|`on`|")[1].split("\n\n")[0]
    assert set(get_args(outbox.MailKind)) - notify.Notify().on == {"loaded", "digest", "welcome"}
    assert table.count("\n|always|an address was added") == 1
    assert set(re.findall(r"^\|`(\w+)`\|", table, re.MULTILINE)) == notify.Notify().on


HOURS = timedelta(hours=1)
FACTS: tuple[tuple[str, str], ...] = (
    ("for-operators.md", f"Orders start {length(DEFAULTS.orders_delay)} after their customers"),
    ("mail.md", f"up to {notify.ADDRESSES} addresses"),
    ("mail.md", f"up to {texts.GROUPS} groups of problems"),
    ("mail.md", f"gets {mailbox.DAILY} mails a day"),
    ("mail.md", f"comes at {mailbox.DIGEST_AT:%H:%M}"),
    ("mail.md", f"After {length(outbox.KEPT)} it is deleted"),
    ("alerts.md", f"none took it for {delivery.GIVEN_UP // HOURS} hours"),
    ("alerts.md", f"2xx within {WEBHOOK_SECONDS:g} seconds"),
    ("alerts.md", f"due for {length(PATIENCE)}"),
    ("mail.md", f"no server has taken for {length(DELAYED)}"),
    ("status.md", f"the last {ARRIVALS_KEPT} deliveries"),
    ("gateway.md", f"at most {Capacity().connections_per_address} per address"),
    ("gateway.md", f"at most {refusals.MOST_PER_HOUR} names per user"),
    ("gateway.md", f"waits longer (up to {brake._LONGEST_WAIT:g} s)"),
    ("gateway.md", f"at most {Capacity().strangers}, {Capacity().strangers_per_address} per"),
    ("gateway.md", f"can open {Limits().handles} files per session"),
)


@pytest.mark.parametrize(("page", "words"), FACTS)
def test_fact(page: str, words: str) -> None:
    """A page has the number of the code in this sentence."""
    assert words in " ".join(PAGES[page].split())
