"""The rest of the page Study: recovery, Shapley values, robustness, agreement, speed, tests, protocol."""

import html

import streamlit as st

from services.frontend import study_charts, study_curves, study_faces, study_tables, study_words
from services.frontend.study_palette import MODEL_COLOURS
from services.frontend.study_words import ALL, NAMES, WHOLE_FACES
from shared.schemas.wire import SLOTS
from shared.study import Estimate, Robustness, ShapleyRow, StudyResult, Subset


def show_recovery(study: StudyResult) -> None:
    """Show how much of the loss from hiding a half is won back by training."""
    st.header("What training wins back", anchor=False)
    st.altair_chart(study_curves.recovery(study.recovery), width="stretch", alt="Accuracy won back, by hidden half")
    st.caption(
        "Rings: the whole-face model on hidden halves. Dots: a model trained on them; the number is the share of the "
        "loss that it wins back. Bars: the whole-face model on whole faces. Whether it saw hidden faces in training is "
        "told under Protocol; one that did loses less than one that did not."
    )


def show_shapley(study: StudyResult) -> None:
    """Show what each quadrant and each half is worth."""
    if study.shapley is None:
        return
    st.header("What each quarter of the face is worth", anchor=False)
    rows = study.shapley.rows
    st.html(study_faces.faces(rows))
    st.caption(
        f"Points of probability that a quarter adds to the labelled emotion, mean over the images (Shapley values of "
        f"{study.shapley.model}); blue adds, orange takes away. {study_words.undivided_words(study)}The first quarter "
        "that is uncovered is also credited with how much more readily than its share a class-weighted network gives a "
        "rare emotion, most for disgust."
    )
    left, right = st.columns(2, gap="large")
    for column, title in ((left, "Upper half minus lower half"), (right, "Left half minus right half")):
        column.markdown(f"**{title}**")
        gaps = {str(row.label or ALL): _gap(row, title) for row in sorted(rows, key=lambda row: row.label is not None)}
        chart = study_charts.emotions(gaps, {}, unit="Points of probability", differences=True)
        column.altair_chart(chart, width="stretch", alt=f"{title}, by emotion")
    st.caption(
        "Lines are 95 % intervals, not corrected for how many there are: of sixteen, one may leave 0 out by chance."
    )
    with st.expander("Quarters and halves as a table", icon=":material/table:"):
        st.dataframe(study_tables.shapley_rows(study.shapley), hide_index=True, width="stretch")
        st.caption("Points of probability of the labelled emotion, with 95 % intervals. Sides as seen in the picture.")


def _gap(row: ShapleyRow, title: str) -> Estimate:
    return row.upper_less_lower if title.startswith("Upper") else row.left_less_right


def show_robustness(study: StudyResult) -> None:
    """Show what damage costs each model: all beside each other, then one by itself."""
    damage, images = study.robustness, study.protocol.subsets.get(Subset.ALL)
    if not damage.points:
        return
    st.header("Damage beyond the five views", anchor=False)
    st.caption(
        f"{_measured_on(damage.images, images)}Each model sees damaged faces in its own view (the lower-hidden one "
        "sees only the upper edge of a mask), but diagonal halves with nothing else hidden. The model trained with any "
        "quarters hidden met the diagonals in training; a version that started from another one has seen what that one "
        "saw, and how each was augmented is in its card."
    )
    _damage_of_all(damage, study_words.floor_words(study))
    _damage_of_one(damage)


def _damage_of_all(damage: Robustness, floor: str) -> None:
    legend = "".join(
        f'<span style="white-space:nowrap"><span style="color:{MODEL_COLOURS[slot]}">●</span> '
        f"{html.escape(NAMES[slot])}</span>"
        for slot in SLOTS
    )
    st.html(f'<div style="display:flex;flex-wrap:wrap;gap:0.2rem 1.1rem">{legend}</div>')
    curves = [each for each in damage.corruptions if len(each.severities) > 1]
    columns = st.columns(2, gap="large")
    for index, corruption in enumerate(curves):
        with columns[index % 2]:
            st.markdown(f"**{corruption.title}**")
            chart = study_curves.robustness_curve(corruption, damage.points)
            st.altair_chart(chart, width="stretch", alt=f"Accuracy under {corruption.title.lower()}")
    single = [each for each in damage.corruptions if len(each.severities) == 1]
    if single:
        chart = study_curves.robustness_dots(single, damage.points)
        st.altair_chart(chart, width="stretch", alt="Accuracy under damage of one kind")
    reach = study_tables.widest_reach(damage)
    told = f", which reach up to {study_words.hundredths(reach)} points to each side" if reach else ""
    st.caption(
        f"Curves begin with undamaged faces and are drawn without their 95 % intervals{told}; lines beside the dots "
        f"are such intervals. Axes do not begin at 0. {floor}"
    )
    with st.expander("The same as a table", icon=":material/table:"):
        st.dataframe(study_tables.damage_rows(damage), hide_index=True, width="stretch")
        st.caption("Accuracy in per cent, with 95 % intervals.")


def _damage_of_one(damage: Robustness) -> None:
    model = st.selectbox(
        "One model under all damage",
        SLOTS,
        format_func=NAMES.__getitem__,
        key="damaged",
        width=240,
        persist_state="session",
    )
    chart = study_curves.robustness_of(damage, model)
    st.altair_chart(chart, width="stretch", alt=f"Accuracy of the model {NAMES[model].lower()} under all damage")
    own = (
        "" if model in WHOLE_FACES else ", its own half hidden; the diagonals, where it is not, do not compare with it"
    )
    st.caption(f"Lines are 95 % intervals; dashed: undamaged faces{own}.")
    with st.expander("The same as a table, with macro F1", icon=":material/table:"):
        rows = study_tables.damage_of_rows(damage, model)
        st.dataframe(rows, hide_index=True, width="stretch")
        paired = any("Change, points" in row for row in rows)
        st.caption(f"With 95 % intervals{'; the change is against the same faces undamaged, paired' * paired}.")


def _measured_on(images: int | None, of: int | None) -> str:
    if not images:
        return ""
    which = f"all {images:,} test images" if images == of else f"{images:,} test images, drawn at random"
    return f"Measured on {which}, the same for all. "


def show_agreement(study: StudyResult) -> None:
    """Show how far the models answer alike."""
    if not study.agreement:
        return
    st.header("How far the models agree", anchor=False)
    tables = {table.setting: table for table in study.agreement}
    names = {"own": "Each its own view"}
    setting = st.selectbox(
        "What the models see",
        list(tables),
        format_func=lambda key: names.get(key) or NAMES[key],
        key="seen",
        persist_state="session",
    )
    table = tables[setting]
    left, right = st.columns([3, 2], gap="large")
    left.altair_chart(study_charts.agreement(table), width="stretch", alt="Cohen's kappa of each two models")
    left.caption("Cohen's kappa in hundredths: 0 is chance, 100 always alike, right or wrong.")
    rows = {
        "Fleiss' kappa, hundredths": table.fleiss_kappa,
        "All answer alike, % of the faces": table.all_alike,
        "All are right, % of the faces": table.all_right,
        "None is right, % of the faces": table.none_right,
    }
    cells = [{"": name, "With its 95 % interval": study_words.with_interval(value)} for name, value in rows.items()]
    right.table(cells, border="horizontal", hide_index=True)


def show_speed(study: StudyResult) -> None:
    """Show speed and size beside accuracy."""
    st.header("Speed and size", anchor=False)
    rows = [study_words.model_row(model, study) for model in study.models]
    st.dataframe(rows, hide_index=True, width="stretch")
    st.caption(
        "Accuracy on the model's own view; of the last, on whole faces. The temperature divides the logits before they "
        f"become probabilities. {study_words.machines(study.models)}"
    )


def show_tests(study: StudyResult) -> None:
    """Show the paired tests, on demand."""
    with st.expander(f"All {len(study.tests)} paired tests (McNemar)", icon=":material/science:"):
        rows = [study_words.paired_test_row(test) for test in study.tests]
        short = {name: st.column_config.NumberColumn(format="%.2g") for name in ("p", "p corrected")}
        signs = {"Difference, points": st.column_config.NumberColumn(format="%+.1f")}
        st.dataframe(rows, hide_index=True, width="stretch", column_config=short | signs)
        st.caption("p is corrected within its family (Holm). The difference with its interval is what to read first.")


def show_protocol(study: StudyResult) -> None:
    """Show the protocol and let the study be downloaded."""
    st.header("Protocol", anchor=False)
    rows = study_words.protocol_rows(study)
    st.table(
        [{"": f"**{name}**", "What was done": text} for name, text in rows.items()],
        border="horizontal",
        hide_index=True,
    )
    st.download_button(
        "Download study.json",
        study.model_dump_json,
        "study.json",
        "application/json",
        on_click="ignore",
        icon=":material/download:",
    )
