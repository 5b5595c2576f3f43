"""Test images that stand in the training split are found and counted once."""

import numpy as np

from scripts.draw_faces import draw_face
from shared.dataset_images import pixel_digest
from trainer.duplicates import similarity
from trainer.study.leaks import find_leaks


def test_equal_and_nearly_equal_images_are_told_apart_from_others() -> None:
    faces = np.stack([np.asarray(draw_face("happy", seed).convert("L")) for seed in range(6)])
    lighter = (faces[1] // 2 + 60).astype(np.uint8)
    training = np.stack([faces[0], lighter[:, ::-1], faces[4], faces[5]])
    digests, known = ([pixel_digest(face) for face in each] for each in (faces[:4], training))
    clean, leaks = find_leaks(digests, known, similarity(faces[:4], training), threshold=0.999)
    assert clean.tolist() == [False, False, True, True]
    assert (leaks.equal, leaks.near, leaks.similarity) == (1, 1, 0.999)


def test_against_no_training_images_all_are_clean() -> None:
    faces = np.zeros((2, 48, 48), np.uint8)
    clean, leaks = find_leaks(["one", "two"], [], similarity(faces, faces[:0]), threshold=0.96)
    assert clean.all()
    assert (leaks.equal, leaks.near) == (0, 0)
