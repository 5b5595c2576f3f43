"""SVG drawings in HTML, as pictures: Streamlit takes SVG elements out of HTML."""

import base64
import html


def picture(drawn: str, told: str) -> str:
    """Return a drawing as an image, narrower where there is no room for its width; `told` says what is to be seen."""
    source = f"data:image/svg+xml;base64,{base64.b64encode(drawn.encode()).decode()}"
    return f'<img src="{source}" style="max-width:100%" alt="{html.escape(told)}">'
