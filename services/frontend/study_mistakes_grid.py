"""Misread faces as HTML: the face with its hidden part dark, its label, what it was read as, how sure. Pure."""

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Final

from shared.study_mistakes import Mistake

SIDE: Final = 104
"""Pixels to which a face is enlarged."""

HIDDEN: Final = {
    "full": "",
    "upper": "top:0;left:0;width:100%;height:50%",
    "lower": "top:50%;left:0;width:100%;height:50%",
    "left": "top:0;left:0;width:50%;height:100%",
    "right": "top:0;left:50%;width:50%;height:100%",
}
"""Where the hidden part of a view lies, as CSS."""


def grid(mistakes: Sequence[Mistake], images: Mapping[str, bytes], view: str) -> str:
    """Return the faces in lines.

    Args:
        mistakes: what to show.
        images: an image's id to its PNG.
        view: what was hidden.
    """
    drawn = "".join(_face(each, images[each.image], view) for each in mistakes)
    return f'<div style="display:flex;flex-wrap:wrap;gap:1rem 0.9rem">{drawn}</div>'


def _face(mistake: Mistake, png: bytes, view: str) -> str:
    name = html.escape(mistake.name, quote=True)
    told = f"{mistake.label}, read as {mistake.answer}"
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    place = HIDDEN[view]
    dark = f'<div style="position:absolute;background:#000;opacity:0.72;{place}"></div>' if place else ""
    picture = (
        f'<div style="position:relative;width:{SIDE}px;height:{SIDE}px;border-radius:6px;overflow:hidden">'
        f'<img src="{source}" alt="{told}" width="{SIDE}" height="{SIDE}">{dark}</div>'
    )
    words = (
        f'<div style="font-size:0.8rem;line-height:1.3;margin-top:0.2rem"><b>{mistake.label}</b><br>'
        f"{mistake.answer} {mistake.confidence * 100:.0f} %</div>"
    )
    return f'<div title="{name}" style="width:{SIDE}px">{picture}{words}</div>'
