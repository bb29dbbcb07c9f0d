"""Completion of commands in a shell: a script for the shell, and the words that it may offer."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from shared.ops.command import DONE, Desk

if TYPE_CHECKING:
    from shared.services import Services

_BASH = """\
# Completion for bash. Put this into ~/.bashrc:  eval "$({program} completion bash)"
{name}() {{ {program} "$@"; }}
_{name}() {{
  local IFS=$'\\n'
  COMPREPLY=($({program} completion words -- "${{COMP_WORDS[@]:1:COMP_CWORD}}" 2>/dev/null))
}}
complete -F _{name} {name}
"""

_ZSH = """\
# Completion for zsh. Put this into ~/.zshrc:  eval "$({program} completion zsh)"
{name}() {{ {program} "$@"; }}
_{name}() {{
  local -a offered
  offered=("${{(@f)$({program} completion words -- "${{(@)words[2,CURRENT]}}" 2>/dev/null)}}")
  compadd -- $offered
}}
(( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit; }}
compdef _{name} {name}
"""

_ABOUT = (
    "Print shell code that gives these commands a short name and completes them with Tab. "
    "For bash: "
    'eval "$(... completion bash)"'
)

Connect = Callable[[Sequence[str]], "Services | None"]
"""Returns the services for a command line with these words, if there are any."""


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    whole: argparse.ArgumentParser,
    *,
    default_name: str,
) -> None:
    """Add the command; `whole` is the parser whose commands are completed."""
    parser = commands.add_parser(
        "completion",
        help="print shell code: a short name, and completion with Tab",
        description=_ABOUT,
    )
    parser.add_argument("shell", choices=("bash", "zsh", "words"), help="the shell that reads it")
    parser.add_argument(
        "typed", nargs="*", metavar="WORD", help="the words typed so far (for words)"
    )
    parser.add_argument(
        "--name", default=default_name, help=f"the short name (default: {default_name})"
    )

    def carry_out(desk: Desk) -> int:
        parsed = desk.parsed
        if parsed.shell == "words":
            print("\n".join(candidates(whole, parsed.typed, lambda: desk.services)))
        else:
            script = _BASH if parsed.shell == "bash" else _ZSH
            print(script.format(program=whole.prog, name=parsed.name), end="")
        return DONE

    parser.set_defaults(carry_out=carry_out)


def candidates(
    parser: argparse.ArgumentParser, typed: Sequence[str], connect: Callable[[], Services]
) -> list[str]:
    """Return the words that can replace the last typed word."""
    *before, last = typed or [""]
    path: list[str] = []
    pending: argparse.Action | None = None
    for word in before:
        pending = None
        subparsers = _subparsers(parser)
        if subparsers is not None and word in subparsers.choices:
            parser = subparsers.choices[word]
            path.append(word)
        elif word.startswith("-"):
            option = parser._option_string_actions.get(word)
            pending = option if option is not None and option.nargs != 0 else None
    if pending is not None:
        return _fitting(map(str, pending.choices or ()), last)
    if last.startswith("-"):
        return _fitting(sorted(parser._option_string_actions), last)
    words: list[str] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            words += action.choices
        elif not action.option_strings and action.choices:
            words += map(str, action.choices)
        elif getattr(action, "completes", "") == "imports":
            words += _ids(path, connect)
    return _fitting(words, last)


def _fitting(words: object, start: str) -> list[str]:
    return [word for word in words if word.startswith(start)]  # type: ignore[attr-defined]


def _subparsers(
    parser: argparse.ArgumentParser,
) -> argparse._SubParsersAction[argparse.ArgumentParser] | None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action
    return None


def _ids(path: Sequence[str], connect: Callable[[], Services]) -> list[str]:
    from shared.ops.ids import ids_for

    try:
        return ids_for(path, connect())
    except Exception:  # a shell that waits for words has no use for a sentence
        return []
