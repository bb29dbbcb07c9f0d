"""Tables fit the terminal, colours go only where there are, and completion offers what fits."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from local.processes import free_ports
from shared import ops
from shared.core.errors import IngestError, SettingsError, TryAgain
from shared.ops.command import Desk, guarded
from shared.ops.completion import candidates
from shared.terminal import Screen, Words


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


ROWS = [
    [Words("nz/orders_20230424T201230Z"), Words("1,200", right=True), Words("Overdue: six hours.")],
    [Words("au/customers_x"), Words("7", "warn", right=True), Words("Loaded.")],
]
HEAD = ["import", "rows", "what"]


def table(stream: io.StringIO, width: int | None) -> list[str]:
    Screen(stream, width=width).table(HEAD, ROWS)
    return stream.getvalue().splitlines()


def test_a_table_in_a_pipe_is_whole() -> None:
    """Where there is no terminal nothing is cut or coloured; numbers stand to the right."""
    assert table(io.StringIO(), None) == [
        "import                       rows  what",
        "nz/orders_20230424T201230Z  1,200  Overdue: six hours.",
        "au/customers_x                  7  Loaded.",
    ]


@pytest.mark.parametrize("width", [40, 60, 61, 80, 200])
def test_a_table_fits(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is longer than the terminal is wide; what does not fit is left out or cut."""
    monkeypatch.setenv("NO_COLOR", "1")

    lines = table(Terminal(), width)

    assert all(len(line) <= width for line in lines)
    assert ("what" in lines[0]) == (width >= 59)


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colour(
    environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal gets colours unless its user wants none."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    terminal = Terminal()
    Screen(terminal).line(Words("!", "bad"))

    assert ("\033[" in terminal.getvalue()) == coloured


def test_an_empty_table() -> None:
    """A table without rows is its head."""
    stream = io.StringIO()

    Screen(stream).table(HEAD, [])

    assert stream.getvalue() == "import  rows  what\n"


# -- how a command ends -----------------------------------------------------------------------


def desk(**parsed: Any) -> Desk:
    arguments = ops.parser().parse_args(["imports", "list"])
    vars(arguments).update(parsed)
    return Desk(lambda: pytest.fail("not needed"), arguments, program="python", options="")


def raising(error: BaseException) -> Callable[[], int]:
    def carry_out() -> int:
        raise error

    return carry_out


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (IngestError("No such import."), 1, "No such import."),
        (SettingsError("QUEUE", "is wrong"), 2, "QUEUE: is wrong"),
        (TryAgain("Firestore is away."), 3, "Firestore is away. Try again in a moment."),
        (
            TryAgain("The ledger cannot be reached: PermissionDenied"),
            3,
            "cannot be reached: PermissionDenied. Ask for the roles",
        ),
        (OSError("Project was not passed and could not be"), 2, "Set GOOGLE_CLOUD_PROJECT"),
        (KeyError("secret"), 70, "This should not have happened: KeyError in test_terminal.py"),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
)
def test_how_it_ends(
    error: BaseException, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever happens ends in a sentence and an exit code, never in a trace."""
    assert code == guarded(raising(error), desk())

    said = capsys.readouterr()
    assert says in said.err
    assert "Traceback" not in said.err + said.out
    assert "secret" not in said.err


def test_how_it_ends_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the sentence is JSON on standard output."""
    guarded(raising(TryAgain("Away.")), desk(json=True))

    assert capsys.readouterr().out == '{"error": "Away. Try again in a moment."}\n'


def test_an_emulator_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command does not wait for an emulator that does not run, and says which one it is."""
    (port,) = free_ports([0])
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", f"127.0.0.1:{port}")

    assert ops.main(["imports"]) == 3
    assert f"Nothing answers at 127.0.0.1:{port}" in capsys.readouterr().err


# -- completion -------------------------------------------------------------------------------


def offered(*typed: str) -> list[str]:
    return candidates(ops.parser(), typed, lambda: pytest.fail("not needed"))


def test_completion() -> None:
    """Commands, verbs, options and the values of options are completed from their beginning."""
    assert offered("imp") == ["imports"]
    assert offered("imports", "re") == ["replay", "release"]
    assert offered("imports", "list", "--s") == ["--since", "--status"]
    assert offered("imports", "list", "--type", "c") == ["customers"]
    assert offered("imports", "list", "--type", "orders", "--status", "ov") == ["overdue"]
    assert offered("imports", "list", "--since", "") == []
    assert offered("completion", "b") == ["bash"]


def test_completion_without_a_ledger() -> None:
    """Where the ledger is out of reach no ids are offered, and nothing is said."""

    def away() -> Any:
        raise TryAgain("Away.")

    assert candidates(ops.parser(), ["replay", ""], away) == []


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The lines for a shell name the program and the short name."""
    assert ops.main(["completion", shell, "--name", "shop"]) == 0

    script = capsys.readouterr().out
    assert "python -m shared.ops completion words --" in script
    assert "shop()" in script
