"""The study's colours: six models, a scale for amounts and one for differences. Pure.

The models' colours follow Okabe and Ito's set, which colour-blind people tell apart, made lighter or darker so that
each stands out on a white and on a nearly black page. Scales carry their own background: numbers on them are written in
`ink`, whatever the page's colour.
"""

from typing import Final

MODEL_COLOURS: Final = {
    "full": "#7d8894",
    "upper": "#2b7fcf",
    "lower": "#d8602a",
    "left": "#0e9b76",
    "right": "#c268ad",
    "any": "#c08c00",
}
GREY: Final = "#6f7b89"
"""Of text without a colour of its own: contrast above 4 on the white and on the nearly black page."""

MEAN_COLOUR: Final = GREY
ACCENT: Final = "#0d9488"

AMOUNTS: Final = ("#e6f2f0", "#9accc6", "#4b9f97", "#0b5f59")
"""Little to much."""

DIFFERENCES: Final = ("#b3500a", "#f0b27a", "#f6f5f3", "#8fbce0", "#1f5fa8")
"""Below 0 orange, at 0 nearly white, above 0 blue."""

DARK_INK, LIGHT_INK = "#12222a", "#ffffff"
NO_FIGURE: Final = GREY


def place(value: float, domain: tuple[float, float]) -> float:
    """Return where a value lies in the domain, 0 to 1; the middle of an empty domain."""
    low, high = domain
    return 0.5 if high <= low else min(max((value - low) / (high - low), 0.0), 1.0)


def colour(share: float, scale: tuple[str, ...]) -> str:
    """Return the colour at `share` (0 to 1) of a scale, between the two nearest of its colours."""
    position = share * (len(scale) - 1)
    first = min(int(position), len(scale) - 2)
    rest = position - first
    pairs = zip(_channels(scale[first]), _channels(scale[first + 1]), strict=True)
    return "#" + "".join(f"{round(one + (other - one) * rest):02x}" for one, other in pairs)


def ink(background: str) -> str:
    """Return the colour, dark or light, that contrasts more with `background` (WCAG 2, relative luminance)."""
    light = luminance(background)
    return LIGHT_INK if 1.05 / (light + 0.05) > (light + 0.05) / (luminance(DARK_INK) + 0.05) else DARK_INK


def luminance(hex_colour: str) -> float:
    """Return the relative luminance, 0 to 1, of a colour such as #0d9488."""
    shares = [channel / 255 for channel in _channels(hex_colour)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _channels(hex_colour: str) -> tuple[int, int, int]:
    return int(hex_colour[1:3], 16), int(hex_colour[3:5], 16), int(hex_colour[5:7], 16)
