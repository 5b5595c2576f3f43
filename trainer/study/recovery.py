"""How much of what hiding a half costs the model of whole faces is won back by training on it."""

import numpy as np

from shared.masking import View
from shared.study import Recovery
from trainer.study.bootstrap import Weights, estimate, means
from trainer.study.paired_tests import Right


def recovery(
    full_on_full: Right, full_on_view: Right, model_on_view: Right, weights: Weights, *, view: View, model: str
) -> Recovery:
    """Return the loss in accuracy, full on whole faces less full on the view, and the share of it that is recovered.

    A share above 1 means better than `full` on whole faces, below 0 worse than `full` on the view. It has no meaning
    without a loss and is then None; resamples without a loss are left out of its interval.

    Args:
        full_on_full: bool (N,), which images `full` read correctly, all seen; the others alike.
        full_on_view: the same of `full` on the view.
        model_on_view: the same of `model` on the view.
        weights: float32 (B, N), see `trainer.study.bootstrap.draw`.
        view: what is hidden.
        model: the model that was trained on it.
    """
    right = np.stack([full_on_full, full_on_view, model_on_view], axis=1)
    whole, hidden, trained = (float(value) for value in right.mean(axis=0))
    resampled = means(right, weights)
    losses, gains = resampled[:, 0] - resampled[:, 1], resampled[:, 2] - resampled[:, 1]
    shares = np.divide(gains, losses, out=np.full_like(gains, np.nan), where=losses > 0)
    loss = whole - hidden
    return Recovery(
        view=view,
        model=model,
        full_on_full=whole,
        full_on_view=hidden,
        model_on_view=trained,
        loss=estimate(loss, losses),
        recovered=estimate((trained - hidden) / loss, shares) if loss > 0 else None,
    )
