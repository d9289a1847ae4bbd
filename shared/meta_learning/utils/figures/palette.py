"""The colours: far apart in lightness, so that they stay apart in grey and for the colour-blind.

>>> [round(lightness(colour)) for colour in SERIES]
[15, 37, 51, 64, 77]
"""

from __future__ import annotations

from typing import NamedTuple

from meta_learning.errors import CallerError

# From dark to light; neighbours are at least 12 steps of CIE lightness apart, and all stand out from white.
SERIES = ("#0b2748", "#a3263c", "#1b7fbd", "#df8615", "#84ccb8")
MARKERS = ("o", "s", "^", "D", "v")
DASHES: tuple[tuple[int, tuple[float, ...]], ...] = (
    (0, ()),
    (0, (5, 1.6)),
    (0, (1.2, 1.4)),
    (0, (6, 1.4, 1.2, 1.4)),
    (0, (3, 1.2)),
)
# Beyond as many series as there are colours: each round of colours has markers of its own, and another dash for a colour.
LATER_MARKERS = ("P", "X", "<", ">", "h", "*", "p", "d", "8", "H")
LOOKS_MAX = 15
INK, FAINT, GRID, PAPER, ALARM = "#1d2330", "#667085", "#dfe3ea", "#ffffff", "#a3263c"
# Counts, light to dark.
SHADES = ("#f4f7fb", "#c9dcee", "#7fb0d8", "#2d74ad", "#0b2748")


class Look(NamedTuple):
    """How one series is drawn."""

    colour: str
    marker: str
    dash: tuple[int, tuple[float, ...]]


def look(number: int) -> Look:
    """The look of series ``number``: no two share a marker, and none shares both colour and dash with another.

    >>> len({look(number) for number in range(LOOKS_MAX)}), len({look(number).marker for number in range(LOOKS_MAX)})
    (15, 15)
    >>> look(0).colour == look(5).colour, look(0).dash == look(5).dash
    (True, False)

    Raises:
        CallerError: more series than can be told apart.
    """
    if number >= LOOKS_MAX:
        raise CallerError(f"a figure tells at most {LOOKS_MAX} series apart; draw fewer, or several figures")
    again, place = divmod(number, len(SERIES))
    return Look(SERIES[place], (MARKERS + LATER_MARKERS)[number], DASHES[(place + 2 * again) % len(DASHES)])


def lightness(colour: str) -> float:
    """CIE L* of ``#rrggbb``: 0 is black, 100 white. What a grey print keeps of a colour."""
    luminance = relative_luminance(colour)
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance


def relative_luminance(colour: str) -> float:
    """Luminance in [0, 1] (WCAG 2.2, sRGB)."""
    red, green, blue = (_linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2).

    >>> round(contrast("#000000", "#ffffff"))
    21
    """
    light, dark = sorted((relative_luminance(one), relative_luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)
