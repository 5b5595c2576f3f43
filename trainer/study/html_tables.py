"""The rest of a study's page: recovery, agreement, damage, quadrants, speed, tests, protocol. HTML as text."""

from html import escape

from shared.schemas.wire import SLOTS
from shared.study import (
    AREA_RESAMPLES,
    NATIVE_PIXELS,
    UNDAMAGED,
    Agreement,
    Corruption,
    Estimate,
    RobustnessPoint,
    StudyResult,
    Subset,
)
from trainer.study.html_parts import figure, folded, percent, table
from trainer.study.svg import Line, chart


def sections(study: StudyResult) -> list[str]:
    """Return the sections, those that the study has."""
    made = [
        ("What training wins back", _recovery(study)),
        ("Damage beyond the five views", _robustness(study)),
        ("What each quarter of the face adds to the labelled emotion, in points of probability", _shapley(study)),
        ("How far the specialists agree", "".join(map(_agreement, study.agreement))),
        ("Speed and size", _speed(study)),
        ("Paired tests", _tests(study)),
        ("Protocol", _protocol(study)),
    ]
    return [f"<section><h2>{title}</h2>{content}</section>" for title, content in made if content]


def _recovery(study: StudyResult) -> str:
    rows = [
        [
            f"{row.view}, model {row.model}",
            *(f"{value * 100:.1f}" for value in (row.full_on_full, row.full_on_view, row.model_on_view)),
            percent(row.loss),
            percent(row.recovered),
        ]
        for row in study.recovery
    ]
    head = ["hidden", "full on whole faces", "full here", "model here", "loss, points", "won back, %"]
    return table(head, rows)


def _robustness(study: StudyResult) -> str:
    """Return the table of every model under every damage, and a plot of each damage of several severities."""
    damage = study.robustness
    if not damage.points:
        return ""
    found: dict[tuple[str, str, float], RobustnessPoint] = {
        (point.model, point.corruption, point.severity): point for point in damage.points
    }
    kinds = [(UNDAMAGED, 0.0, "undamaged")]
    for one in damage.corruptions:
        kinds += [(one.name, level, _damage_words(one, level)) for level in one.severities]
    rows = [
        [escape(words), *(percent(_accuracy(found.get((slot, name, level)))) for slot in SLOTS)]
        for name, level, words in kinds
    ]
    everything = study.protocol.subsets[Subset.ALL]
    images = damage.images or everything
    which = f"{images:,} test images, drawn at random" if images < everything else f"all {images:,} test images"
    told = (
        f"<p>Accuracy on {which}, the same for all; each model sees the damaged faces in its own view, but diagonal "
        "halves whole. The model any met the diagonals in training; a version that started from another one has seen "
        "what that one saw, and how each was augmented is in its card. Curves begin with undamaged faces.</p>"
    )
    plots = "".join(_plot(one, damage.points) for one in damage.corruptions if len(one.severities) > 1)
    return f"{told}{table(['damage', *SLOTS], rows)}<div class='charts'>{plots}</div>"


def _damage_words(corruption: Corruption, severity: float) -> str:
    if len(corruption.severities) == 1:
        return corruption.title
    return f"{corruption.title}, {severity:g} {corruption.unit}"


def _accuracy(point: RobustnessPoint | None) -> Estimate | None:
    return point.accuracy if point else None


def _plot(corruption: Corruption, points: tuple[RobustnessPoint, ...]) -> str:
    """Return a line for each model; damage grows to the right from undamaged faces, severities evenly apart."""
    whole = NATIVE_PIXELS if corruption.severities[0] > corruption.severities[-1] else 0.0
    levels = (whole, *corruption.severities)
    places = {level: (index + 0.5) / len(levels) for index, level in enumerate(levels)}
    lines = []
    for slot in SLOTS:
        own = {
            whole if point.corruption == UNDAMAGED else point.severity: point.accuracy.value
            for point in points
            if point.model == slot and point.corruption in (UNDAMAGED, corruption.name)
        }
        there = [level for level in levels if level in own]
        if there:
            lines.append(Line(slot, slot, [places[level] for level in there], [own[level] for level in there]))
    drawn = chart(
        corruption.title,
        corruption.unit,
        "accuracy",
        lines=lines,
        x_ticks=[(place, f"{level:g}") for level, place in places.items()],
    )
    key = "".join(f"<li class='{line.style}'>{line.title}</li>" for line in lines)
    return figure(escape(corruption.title), f"{drawn}<ul class='key'>{key}</ul>")


def _shapley(study: StudyResult) -> str:
    if study.shapley is None:
        return ""
    head = ["images", "of", "nothing seen", "top right", "top left", "bottom left", "bottom right", "all seen"]
    head += ["upper half", "lower half", "upper less lower", "left less right"]
    rows = [
        [
            row.label or "all",
            f"{row.count:,}",
            f"{row.prior * 100:.1f}",
            *map(percent, row.quadrants),
            f"{row.whole * 100:.1f}",
            *map(percent, (row.upper, row.lower, row.upper_less_lower, row.left_less_right)),
        ]
        for row in study.shapley.rows
    ]
    return f"<p>Shapley values, exact, of {escape(study.shapley.model)}.</p>{table(head, rows)}"


def _agreement(one: Agreement) -> str:
    seen = "each its own view" if one.setting == "own" else f"all the view {one.setting}"
    rows = [
        [model, *(f"{kappa * 100:.1f}" for kappa in kappas)]
        for model, kappas in zip(one.models, one.kappa, strict=True)
    ]
    shares = [
        ("Fleiss' kappa", one.fleiss_kappa),
        ("all answer alike", one.all_alike),
        ("all are right", one.all_right),
        ("none is right", one.none_right),
    ]
    told = table(["of the faces", "%"], [[name, percent(value)] for name, value in shares])
    pairs = table(["Cohen's kappa, hundredths", *one.models], rows)
    return folded(f"Seen: {seen}. All answer alike on {one.all_alike.value * 100:.1f} % of the faces.", pairs + told)


def _speed(study: StudyResult) -> str:
    rows = []
    for model in study.models:
        cell, speed = study.cell(model.slot, "full" if model.slot == "any" else model.slot), model.latency
        rows.append(
            [
                model.slot,
                escape(model.version),
                f"{escape(model.architecture)}, {model.parameters / 1e6:.1f} M",
                percent(cell.metrics.accuracy) if cell else "–",
                f"{model.size_bytes / 1e6:.1f}",
                f"{speed.one_face_ms:.1f}" if speed else "–",
                f"{speed.batch_32_ms:.0f}" if speed else "–",
                f"{model.temperature:.2f}",
            ]
        )
    machines = sorted(
        {f"{model.latency.machine}, threads: {model.latency.threads}" for model in study.models if model.latency}
    )
    head = [
        "slot",
        "version",
        "network",
        "accuracy, own view",
        "file, MB",
        "one face, ms",
        "32 faces, ms",
        "temperature",
    ]
    return f"{table(head, rows)}<p>Median times on {escape('; '.join(machines) or 'no machine')}.</p>"


def _tests(study: StudyResult) -> str:
    rows = [
        [
            escape(test.id),
            escape(test.family),
            f"{test.n:,}",
            f"{test.only_first:,}",
            f"{test.only_second:,}",
            percent(test.difference),
            f"{test.odds_ratio.value:.2f}",
            f"{test.cohens_g:.3f}",
            f"{test.p:.2g}",
            f"{test.p_corrected:.2g}",
        ]
        for test in study.tests
    ]
    head = ["test", "family", "images", "only first right", "only second right", "difference, points", "odds ratio"]
    head += ["Cohen's g", "p", "p corrected"]
    return folded(f"All {len(rows)} tests (McNemar, corrected by Holm within each family)", table(head, rows))


def _protocol(study: StudyResult) -> str:
    protocol = study.protocol
    leaks = protocol.leaks
    counts = [f"{leaks.equal:,} test images stand in the training split pixel for pixel, {leaks.near:,} more nearly so"]
    if leaks.train_repeats is not None:
        counts.append(
            f"{leaks.train_repeats:,} training and {leaks.test_repeats or 0:,} test images repeat another one"
        )
        counts.append(f"{leaks.conflicting or 0:,} different images stand there under several labels")
    if leaks.left_out:
        left_out = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in leaks.left_out.items())
        counts.append(f"training images left out: {left_out}")
    subsets = ", ".join(f"{name} {count:,}" for name, count in protocol.subsets.items())
    rows = [
        ["Data", f"{escape(protocol.data)}; {protocol.train:,} training, {protocol.validation:,} validation images"],
        ["Test images", subsets],
        ["Copies", "; ".join(counts)],
        ["Training", escape(protocol.training)],
        ["Selection", escape(protocol.selection)],
        ["Evaluation", escape(protocol.evaluation)],
        [
            "Intervals",
            f"95 %, {protocol.resamples:,} resamples of the test images, seed {protocol.bootstrap_seed}; of areas "
            f"under curves (AUC, AP) the first {min(AREA_RESAMPLES, protocol.resamples):,}",
        ],
        ["Seeds of the trainings", ", ".join(map(str, protocol.seeds))],
        ["Made", f"{escape(protocol.created)}, revision {escape(protocol.revision) or 'not noted'}"],
        ["Fingerprint of the data", escape(protocol.fingerprint)],
    ]
    return table(["", "what was done"], rows, kind="left-aligned")
