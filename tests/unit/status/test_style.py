"""What the pages write can be read: contrast by WCAG 2.2, in light and in dark colours."""

from __future__ import annotations

import itertools
import re

import pytest

from shared.reporting.statuses import FACES
from shared.status.rendering import STYLE

LEVEL_AA = 4.5
GRAPHICS = 3.0


def palette(dark: bool) -> dict[str, str]:
    """Read the named colours; what dark leaves out stays as it is in light."""
    light, _, rest = STYLE.partition("@media (prefers-color-scheme: dark)")
    found = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", light))
    if dark:
        found |= dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", rest))
    return found


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def ratio(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


TEXT = [
    *itertools.product(("ink", "quiet", "link", "bad", "warn", "good"), ("paper", "ground")),
    *((tone, f"{tone}-ground") for tone in ("good", "warn", "bad", "busy", "calm")),
    ("ink", "warn-ground"),
    ("quiet", "warn-ground"),
    ("link", "warn-ground"),
    ("ink", "calm-ground"),
    ("paper", "link"),
]
DRAWN = [
    *((kind, "paper") for kind in ("loaded", "unchanged", "rejected", "files", "busy", "focus")),
    ("busy", "calm-ground"),
    ("calm", "paper"),
]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    ("front", "back", "least"),
    [*((*pair, LEVEL_AA) for pair in TEXT), *((*pair, GRAPHICS) for pair in DRAWN)],
)
def test_contrast(front: str, back: str, least: float, dark: bool) -> None:
    """Every text stands out from its ground by 4.5 to 1, everything drawn by 3 to 1."""
    colours = palette(dark)

    assert ratio(colours[front], colours[back]) >= least


def test_the_measure_itself() -> None:
    """Black on white is 21 to 1, and a colour on itself 1 to 1."""
    assert pytest.approx(21) == ratio("#000000", "#ffffff")
    assert pytest.approx(1) == ratio("#123456", "#123456")


def test_no_colour_outside_the_palette() -> None:
    """Rules name their colours, so that the palette is all there is to check."""
    _, _, rules = STYLE.partition("* { box-sizing")

    assert re.findall(r"#[0-9a-f]{3,8}\b|rgba?\(|hsl", rules) == []


def test_statuses_differ_without_colour() -> None:
    """Every status has words of its own, and a sign."""
    assert len(FACES) == len({face.words for face in FACES.values()})
    assert all(len(face.sign) == 1 for face in FACES.values())
