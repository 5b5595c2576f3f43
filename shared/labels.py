"""The seven emotions and their order: the one place that says so.

The order is alphabetical, as in the folders of FER2013; Kaggle's CSV files number them differently.
"""

from typing import Final

LABELS: Final = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
"""Class names; a class's index is its place, 0 to 6."""

LABEL_INDEX: Final = {label: index for index, label in enumerate(LABELS)}

FER_CSV_LABELS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Class names by the number in the `emotion` column of `fer2013.csv` and `icml_face_data.csv`.

Source: the description of Kaggle's "Challenges in Representation Learning: Facial Expression Recognition Challenge".
"""
