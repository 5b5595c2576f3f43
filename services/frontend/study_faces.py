"""Shapley values as small faces of four quadrants (SVG pictures in HTML). Pure."""

import html
from collections.abc import Sequence
from typing import Final

from services.frontend.study_palette import DIFFERENCES, colour, ink, place
from services.frontend.study_words import signed
from services.frontend.svg_pictures import picture
from shared.study import ShapleyRow

CENTRES: Final = ((77, 36), (33, 36), (33, 74), (77, 74))
"""Of the quadrants in the study's order: top right, top left, bottom left, bottom right."""
OUTLINE: Final = "M55 2A50 53 0 1 1 55 108A50 53 0 1 1 55 2Z"


def faces(rows: Sequence[ShapleyRow]) -> str:
    """Return a line of faces, one for each row, coloured alike: points of probability that each quadrant adds."""
    reach = max((abs(value.value) for row in rows for value in row.quadrants), default=0.0) or 0.01
    drawn = "".join(_face(row, reach) for row in rows)
    return f'<div style="display:flex;flex-wrap:wrap;gap:0.9rem">{drawn}</div>'


def _face(row: ShapleyRow, reach: float) -> str:
    name = html.escape(row.label or "All emotions")
    words = [signed(value.value) for value in row.quadrants]
    tiles, numbers = "", ""
    for (x, y), value, text in zip(CENTRES, row.quadrants, words, strict=True):
        fill = colour(place(value.value, (-reach, reach)), DIFFERENCES)
        left, top = (55 if x > 55 else 0), (55 if y > 55 else 0)
        tiles += f'<rect x="{left}" y="{top}" width="55" height="55" fill="{fill}" />'
        numbers += f'<text x="{x}" y="{y + 5}" fill="{ink(fill)}" font-size="12" text-anchor="middle">{text}</text>'
    places = zip(("top right", "top left", "bottom left", "bottom right"), words, strict=True)
    told = f"{row.label or 'All emotions'}: {', '.join(f'{where} {points}' for where, points in places)} points"
    drawn = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 110 110" width="124" height="124" '
        f'font-family="sans-serif"><clipPath id="face"><path d="{OUTLINE}" /></clipPath>'
        f'<g clip-path="url(#face)">{tiles}</g><path d="M55 2V108M5 55H105" stroke="#8b95a1" /><path d="{OUTLINE}" '
        f'fill="none" stroke="#8b95a1" stroke-width="2" />{numbers}</svg>'
    )
    return f'<div style="width:124px;text-align:center">{picture(drawn, told)}<div>{name}</div></div>'
