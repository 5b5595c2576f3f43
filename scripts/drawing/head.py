"""The head: body, hair, eyes, brows, nose and mouth, in head units; the eyes lie near y = 0."""

import numpy as np

from scripts.drawing.painter import Painter, Points, curve, ellipse, moved
from scripts.drawing.person import Expression, Person, mix


def head_outline(person: Person) -> Points:
    """Return the outline of the head, narrower towards the chin."""
    points = ellipse(0, 0, 1, 1)
    points[:, 1] *= np.where(points[:, 1] > 0, 1.28, 1.3)
    below = np.clip((points[:, 1] - 0.15) / 1.1, 0, 1)
    points[:, 0] *= 1 - person.jaw * below**1.4
    return points


def paint_body(painter: Painter, person: Person) -> None:
    """Paint wall, hair behind the head, neck and shoulders."""
    painter.fill(ellipse(-0.6 * person.light[0], -0.5, 2.6, 2.2), mix(person.wall, (255, 255, 255), 0.4), 0.7, 0.9)
    if person.long_hair:
        crown = ellipse(0, -0.15, 1.13, 1.25)[36:73]
        fall = np.array([[1.2, 0.4], [1.26, 1.2], [1.2, 2.2], [-1.2, 2.2], [-1.26, 1.2], [-1.2, 0.4]])
        painter.fill(np.concatenate([crown, fall]), mix(person.hair, (0, 0, 0), 0.25), 1.0, 0.04)
    shade = mix(person.skin, (60, 24, 16), 0.32)
    neck = np.array(
        [[-0.5, 0.7], [-0.49, 1.3], [-0.56, 1.55], [-0.8, 2.2], [0.8, 2.2], [0.56, 1.55], [0.49, 1.3], [0.5, 0.7]]
    )
    painter.fill(neck, shade, 1.0, 0.03)
    skin = painter.mask(neck, 0.03)
    painter.fill(ellipse(0, 1.12, 0.75, 0.42), mix(person.skin, (60, 24, 16), 0.6), 0.85, 0.12, skin)
    for side in (-1, 1):
        tendon = np.array([[side * 0.4, 1.3], [side * 0.28, 1.6], [side * 0.1, 1.85]])
        painter.stroke(tendon, 0.07, mix(person.skin, (60, 24, 16), 0.4), 0.5, 0.04)
    paint_shirt(painter, person)


def paint_shirt(painter: Painter, person: Person) -> None:
    """Paint the shoulders, in a shirt with a round collar."""
    half, neck = 2.7, 0.24
    slope = curve(
        -half, half, lambda s: 1.62 + 1.2 * np.abs(s) ** 1.9 + 0.34 * np.sqrt(np.clip(1 - (s / neck) ** 2, 0, 1)), 241
    )
    body = np.concatenate([slope, [[half, 4.5], [-half, 4.5]]])
    painter.fill(body, person.shirt, 1.0, 0.015)
    clip = painter.mask(body, 0.015)
    painter.fill(
        ellipse(person.light[0] * 1.5, 2.3, 1.0, 0.5), mix(person.shirt, (255, 255, 255), 0.35), 0.5, 0.3, clip
    )
    dark = mix(person.shirt, (0, 0, 0), 0.4)
    painter.stroke(
        moved(slope[abs(slope[:, 0]) < half * neck], 0.05), 0.1, mix(person.shirt, (0, 0, 0), 0.22), 1.0, 0.012
    )
    for side in (-1, 1):
        painter.stroke(np.array([[side * 1.3, 3.2], [side * 1.25, 2.7], [side * 1.12, 2.4]]), 0.07, dark, 0.5, 0.05)


def paint_eye(painter: Painter, person: Person, look: Expression, side: int) -> None:
    """Paint an eye; `side` is -1 for the one on the left of the picture, 1 for the other."""
    x, y, width = side * person.eye_gap, -0.02, 0.2
    up, down = 0.1 * look.eye_open, max(0.075 * look.eye_open**0.4 - look.lid_up, 0.012)
    dark, shadow = mix(person.skin, (30, 14, 12), 0.88), mix(person.skin, (60, 24, 16), 0.5)
    painter.fill(ellipse(x - side * 0.03, y - 0.08, 0.25, 0.15), shadow, 0.55, 0.07)
    upper = curve(x - width, x + width, lambda s: y + 0.02 - up * (1 - s**2) ** 0.7 - 0.02 * s * side)
    lower = curve(x - width, x + width, lambda s: y + 0.02 + down * (1 - s**2) ** 0.8 - 0.02 * s * side)
    opening = np.concatenate([upper, lower[::-1]])
    clip = painter.mask(opening, 0.006)
    painter.fill(opening, (236, 230, 226))
    painter.fill(ellipse(x, y - 0.005, 0.094, 0.094), mix(person.iris, (0, 0, 0), 0.35), 1.0, 0.006, clip)
    painter.fill(ellipse(x, y + 0.005, 0.072, 0.072), mix(person.iris, (255, 255, 255), 0.12), 0.9, 0.014, clip)
    painter.fill(ellipse(x, y - 0.005, 0.042, 0.042), (14, 10, 10), 1.0, 0.006, clip)
    painter.fill(moved(upper, 0.015), (40, 26, 24), 0.6, 0.03, clip)
    painter.fill(ellipse(x + 0.1 * person.light[0], y - 0.04, 0.018, 0.018), (255, 255, 255), 0.95, 0.004, clip)
    painter.stroke(moved(upper, -0.008), 0.05, dark, 0.95, 0.008)
    painter.stroke(moved(lower, 0.008), 0.02, shadow, 0.7, 0.008)
    painter.stroke(moved(upper, -0.055), 0.022, shadow, 0.8, 0.012)
    painter.stroke(moved(lower, 0.07), 0.03, shadow, 0.25 + 2.5 * look.lid_up, 0.02)


def paint_brow(painter: Painter, person: Person, look: Expression, side: int) -> None:
    """Paint an eyebrow."""
    y, colour = -0.32 - look.brow_up, mix(person.hair, person.skin, 0.12)
    inner, outer = side * 0.16, side * 0.66
    lift = 0.06 + 0.25 * max(look.brow_up, 0)

    def height(s: Points) -> Points:
        toward_nose = (1 - s) / 2
        return y + look.brow_inner * toward_nose**1.5 - lift * (1 - (s - 0.05) ** 2) + 0.04

    line = curve(inner, outer, height)
    painter.stroke(moved(line, 0.03), person.brow * 2.4, mix(person.skin, (60, 24, 16), 0.5), 0.3, 0.04)
    painter.stroke(line, person.brow * 1.9, colour, 0.92, 0.014)
    if look.brow_inner > 0.08:
        fold = np.array([[side * 0.07, y - 0.02], [side * 0.06, y + 0.08], [side * 0.08, y + 0.18]])
        painter.stroke(fold, 0.035, mix(person.skin, (60, 24, 16), 0.6), 0.7, 0.015)


def paint_nose(painter: Painter, person: Person, look: Expression) -> None:
    """Paint the nose, and the folds beside it."""
    shadow, bright = mix(person.skin, (60, 24, 16), 0.55), mix(person.skin, (255, 250, 240), 0.5)
    far = -1 if person.light[0] > 0 else 1
    painter.fill(ellipse(0.0, 0.14, 0.045, 0.3), bright, 0.5, 0.04)
    painter.stroke(np.array([[far * 0.09, -0.2], [far * 0.08, 0.05], [far * 0.13, 0.3]]), 0.09, shadow, 0.5, 0.035)
    painter.fill(ellipse(0, 0.44, person.nose + 0.02, 0.05), shadow, 0.6, 0.035)
    painter.fill(ellipse(0, 0.35, 0.07, 0.055), bright, 0.6, 0.035)
    for side in (-1, 1):
        wing = ellipse(side * person.nose, 0.37, 0.05, 0.075)[(slice(-18, None) if side > 0 else slice(18, 54))]
        painter.stroke(wing, 0.028, shadow, 0.8, 0.012)
        painter.fill(ellipse(side * person.nose * 0.52, 0.43, 0.048, 0.024), mix(shadow, (20, 8, 8), 0.75), 0.9, 0.01)
        fold = curve(side * (person.nose + 0.05), side * 0.44, lambda s: 0.5 + 0.17 * s + 0.04 * s**2)
        strength = min(1.0, 0.25 + 0.5 * look.wrinkle + 1.8 * max(look.mouth_curve, 0))
        painter.stroke(fold, 0.04, shadow, strength * 0.8, 0.02)
        for row in range(2):
            wrinkle = np.array([[side * 0.02, -0.1], [side * 0.09, -0.06], [side * 0.13, 0.02]])
            painter.stroke(moved(wrinkle, 0.1 * row), 0.03, shadow, min(0.9, look.wrinkle * 0.8), 0.012)


def paint_mouth(painter: Painter, person: Person, look: Expression) -> None:
    """Paint lips, teeth and what shows of the mouth's inside."""
    y, width, gap = 0.7, look.mouth_width, max(look.mouth_open, 0.0)
    shadow = mix(person.skin, (60, 24, 16), 0.55)

    def middle(s: Points) -> Points:
        return y + look.mouth_curve * (0.45 - s**2)

    top = curve(-width, width, lambda s: middle(s) - 0.35 * gap * (1 - s**2) ** 0.8)
    bottom = curve(-width, width, lambda s: middle(s) + 0.75 * gap * (1 - s**2) ** 0.6)
    bow = curve(-width, width, lambda s: -0.065 * (1 - s**2) * (1 - 0.35 * np.exp(-((s / 0.16) ** 2))))[:, 1]
    roll = curve(-width, width, lambda s: 0.085 * (1 - s**2))[:, 1]
    painter.fill(moved(bottom, 0.13), shadow, 0.5, 0.04)
    painter.fill(np.concatenate([top + np.stack([0 * bow, bow], 1), top[::-1]]), mix(person.lips, (60, 10, 16), 0.18))
    painter.fill(np.concatenate([bottom, (bottom + np.stack([0 * roll, roll], 1))[::-1]]), person.lips)
    painter.fill(
        ellipse(0, bottom[20, 1] + 0.045, width * 0.4, 0.016), mix(person.lips, (255, 235, 230), 0.5), 0.5, 0.016
    )
    if gap > 0.02:
        inside = np.concatenate([top, bottom[::-1]])
        clip = painter.mask(inside, 0.006)
        painter.fill(inside, (52, 16, 18))
        painter.fill(ellipse(0, bottom[20, 1], width * 0.55, gap * 0.3), (168, 78, 78), 0.8, 0.03, clip)
        teeth = top + (bottom - top) * min(look.teeth, 1.0) * 0.85
        painter.fill(np.concatenate([top, teeth[::-1]]), (238, 232, 222), float(look.teeth > 0.1), 0.008, clip)
    painter.stroke((top + bottom) / 2 if gap <= 0.02 else top, 0.026, mix(person.lips, (30, 6, 10), 0.75), 0.9, 0.008)
    for side in (-1, 1):
        corner = ellipse(side * (width + 0.01), float(top[0, 1]), 0.035, 0.03)
        painter.fill(corner, shadow, 0.75, 0.018)


def paint_hair(painter: Painter, person: Person, rng: np.random.Generator) -> None:
    """Paint the hair in front: a cap with a parting, and strands."""
    crown = ellipse(0, -0.15, 1.1, 1.32)[36:73]
    edge = curve(1.03, -1.03, lambda s: person.hairline + 0.75 * np.abs(s + person.parting * (1 - s**2)) ** 2.6)
    edge[:, 1] = np.minimum(edge[:, 1], 0.1)
    cap = np.concatenate([crown, edge])
    head = painter.mask(head_outline(person))
    painter.fill(moved(edge, 0.06), mix(person.skin, (40, 16, 10), 0.6), 0.35, 0.07, head)
    painter.fill(cap, person.hair, 1.0, 0.02)
    clip = painter.mask(cap, 0.02)
    for _ in range(26):
        end, bend = rng.uniform(-1.15, 1.15), rng.uniform(0.2, 0.5)
        fall = np.linspace(0, 2, 40)
        strand = np.stack(
            [np.linspace(-person.parting * 0.8, end, 40), -1.36 + 0.55 * fall**1.7 * bend + 0.1 * fall], 1
        )
        tint = (255, 244, 224) if rng.random() < 0.45 else (0, 0, 0)
        painter.fill(strand, mix(person.hair, tint, rng.uniform(0.1, 0.3)), 0.4, 0.02, clip)
    sheen = ellipse(0.7 * person.light[0], -1.12, 0.4, 0.1)
    painter.fill(sheen, mix(person.hair, (255, 250, 240), 0.5), 0.45, 0.1, clip)


def paint_head(painter: Painter, person: Person, look: Expression, rng: np.random.Generator) -> None:
    """Paint ears, face and hair; the jaw drops with the mouth's opening."""
    outline = head_outline(person)
    outline[:, 1] += np.clip(outline[:, 1], 0, None) * 0.16 * look.mouth_open
    shadow = mix(person.skin, (60, 24, 16), 0.5)
    for side in (-1, 1):
        painter.fill(ellipse(side * 1.0, 0.12, 0.13, 0.27), mix(person.skin, (150, 60, 40), 0.18), 1.0, 0.012)
        painter.fill(ellipse(side * 1.03, 0.12, 0.06, 0.17), shadow, 0.6, 0.03)
    painter.fill(outline, person.skin, 1.0, 0.012)
    for side in (-1, 1):
        painter.fill(ellipse(side * 0.52, 0.38, 0.24, 0.18), mix(person.skin, (206, 84, 76), 0.5), 0.4, 0.12)
        painter.fill(ellipse(side * 0.5, 0.2, 0.2, 0.08), mix(person.skin, (255, 250, 240), 0.5), 0.35, 0.08)
    painter.fill(ellipse(0, -0.55, 0.5, 0.2), mix(person.skin, (255, 250, 240), 0.5), 0.35, 0.16)
    paint_nose(painter, person, look)
    for side in (-1, 1):
        paint_eye(painter, person, look, side)
        paint_brow(painter, person, look, side)
    paint_mouth(painter, person, look)
    painter.fill(ellipse(0, 1.1, 0.2, 0.07), mix(person.skin, (255, 250, 240), 0.5), 0.35, 0.06)
    painter.light(person, painter.mask(outline, 0.012))
    paint_hair(painter, person, rng)
