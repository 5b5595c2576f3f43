"""What each quarter of a face is worth to the answer: the face, its quarters tinted, and the figures beside it."""

import html
from collections.abc import Sequence
from typing import Final

import streamlit as st

from services.frontend import words
from services.frontend.study_palette import DIFFERENCES
from services.frontend.study_words import signed
from services.frontend.svg_pictures import picture
from shared.labels import LABELS
from shared.schemas.predictions import Face, Quarters, Worth

SIDE: Final = 336
CENTRES: Final = {"top_right": (252, 84), "top_left": (84, 84), "bottom_left": (84, 252), "bottom_right": (252, 252)}
HALVES: Final = {
    "Upper half": ("top_left", "top_right"),
    "Lower half": ("bottom_left", "bottom_right"),
    "Left half": ("top_left", "bottom_left"),
    "Right half": ("top_right", "bottom_right"),
}
LEAST_REACH: Final = 0.05
"""Of the tint: a face on which nothing matters much is not painted as strongly as others."""
STRONGEST: Final = 0.62


def show_worth(faces: Sequence[Face], chosen: int, asked: str) -> None:
    """Show the quarters of the face that is chosen; why not, where only other faces have them, nothing where none has.

    The emotion is chosen anew for each `asked` and face.
    """
    face = faces[chosen]
    if face.worth is None or face.crop is None:
        if any(each.worth for each in faces):
            st.caption("What each quarter says is told of the eight largest faces, as far as there is time.")
        return
    worth = face.worth
    st.subheader("What each quarter says", anchor=False)
    label = _choose(worth, f"{asked}-{chosen}")
    left, right = st.columns([2, 3], gap="large")
    left.html(tinted(face.crop, worth.quarters[label], _reach(worth), label))
    with right:
        st.markdown(_sentence(worth, label))
        st.table(half_rows(worth.quarters[label]), border="horizontal", hide_index=True)
        st.caption(
            "Points of probability that a part adds, blue, or takes away, orange: exact Shapley values, from what "
            f"{worth.version} answers with each of the fifteen sets of quarters shown. They say what moved this "
            "network's answer, and nothing about where an emotion is."
        )


def _choose(worth: Worth, asked: str) -> str:
    best = max(LABELS, key=lambda label: worth.whole.get(label, 0.0))
    chosen = st.segmented_control(
        "Emotion",
        LABELS,
        format_func=str.capitalize,
        default=best,
        required=True,
        key=f"worth-{asked}",
        label_visibility="collapsed",
    )
    return chosen or best


def _reach(worth: Worth) -> float:
    """Return the largest share that any quarter adds to any emotion."""
    shares: list[float] = [share for each in worth.quarters.values() for share in each.model_dump().values()]
    return max(LEAST_REACH, *(abs(share) for share in shares))


def _sentence(worth: Worth, label: str) -> str:
    return (
        f"**{label.capitalize()}** has {words.percent(worth.whole[label])} with nothing more hidden, and "
        f"{words.percent(worth.prior[label])}, its share of the training images, with nothing seen. The quarters make "
        "the difference:"
    )


def half_rows(quarters: Quarters) -> list[dict[str, str]]:
    """Return what each half adds, as lines of a table: the sum of its two quarters."""
    shares = quarters.model_dump()
    return [
        {"Part": half, "Points": signed(sum(shares[quarter] for quarter in members))}
        for half, members in HALVES.items()
    ]


def tinted(crop_url: str, quarters: Quarters, reach: float, label: str) -> str:
    """Return the face, a data URL of a picture, its quarters tinted by what they add, with their points, as HTML."""
    tiles, numbers, told = "", "", []
    for quarter, share in quarters.model_dump().items():
        x, y = CENTRES[quarter]
        tint, points = _tint(share, reach), signed(share)
        tiles += f'<rect x="{x - 84}" y="{y - 84}" width="168" height="168" {tint}/>'
        numbers += f'<text x="{x}" y="{y + 10}">{points}</text>'
        told.append(f"{quarter.replace('_', ' ')} {points}")
    drawn = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}" width="{SIDE}" height="{SIDE}">'
        f'<image href="{html.escape(crop_url)}" width="{SIDE}" height="{SIDE}" style="image-rendering:pixelated"/>'
        f'{tiles}<path d="M168 0V{SIDE}M0 168H{SIDE}" stroke="#fff" stroke-opacity="0.7" stroke-width="2"/>'
        '<g font-family="sans-serif" font-size="28" font-weight="600" text-anchor="middle" fill="#fff" '
        f'stroke="#12222a" stroke-width="5" stroke-linejoin="round" paint-order="stroke">{numbers}</g></svg>'
    )
    return picture(drawn, f"What each quarter adds to {label}, in points: {', '.join(told)}")


def _tint(share: float, reach: float) -> str:
    colour = DIFFERENCES[-1] if share > 0 else DIFFERENCES[0]
    return f'fill="{colour}" fill-opacity="{STRONGEST * abs(share) / reach:.3f}"'
