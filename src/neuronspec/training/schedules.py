"""Learning-rate schedules: the rate of each update, counted from 1.

Every schedule rises linearly from `peak / warmup` at update 1 to `peak` at update `warmup`. A schedule that falls
towards the end of the training takes one more argument, `updates`: the number of updates of the whole training.
"""

from __future__ import annotations

import inspect
import math
from typing import Any

from neuronspec.core.registry import Registry

SCHEDULES = Registry[Any]("schedule", {})
"""The functions below, by the name that `training.schedule` gives."""


@SCHEDULES.register("inverse_sqrt")
def inverse_sqrt(update: int, peak: float, warmup: int) -> float:
    """Fall with the inverse square root of the update: `peak * sqrt(warmup / update)`.

    Source: Vaswani et al. (2017), section 5.3; `inverse_sqrt` of fairseq.

    Args:
        update: number of the update, from 1.
        peak: highest rate.
        warmup: updates of linear warm-up.

    Returns:
        The learning rate.

    Examples:
        >>> inverse_sqrt(16, peak=1.0, warmup=4)
        0.5
    """
    return peak * min(update / warmup, (warmup / update) ** 0.5)


@SCHEDULES.register("linear")
def linear(update: int, peak: float, warmup: int, updates: int) -> float:
    """Fall linearly: `peak * (updates + 1 - update) / (updates + 1 - warmup)`, 0 one update after the last.

    Source: Devlin et al. (2019), appendix A.2; `get_linear_schedule_with_warmup` of transformers, whose first update,
    with rate 0, is left out here.

    Args:
        update: number of the update, from 1.
        peak: highest rate.
        warmup: updates of linear warm-up.
        updates: updates of the whole training.

    Returns:
        The learning rate.

    Examples:
        >>> linear(8, peak=1.0, warmup=2, updates=9)
        0.25
    """
    return peak * (update / warmup if update <= warmup else _left(update, warmup, updates))


@SCHEDULES.register("cosine")
def cosine(update: int, peak: float, warmup: int, updates: int) -> float:
    """Fall along half a cosine: `peak / 2 * (1 + cos(pi * (update - warmup) / (updates + 1 - warmup)))`.

    Source: Loshchilov and Hutter (2017), equation 5, without restarts and down to 0.

    Args:
        update: number of the update, from 1.
        peak: highest rate.
        warmup: updates of linear warm-up.
        updates: updates of the whole training.

    Returns:
        The learning rate.

    Examples:
        >>> round(cosine(6, peak=1.0, warmup=2, updates=9), 12)
        0.5
    """
    if update <= warmup:
        return peak * update / warmup
    return peak / 2 * (1 + math.cos(math.pi * (1 - _left(update, warmup, updates))))


@SCHEDULES.register("constant")
def constant(update: int, peak: float, warmup: int) -> float:
    """Stay at `peak` after the warm-up; `constant_with_warmup` of transformers.

    Args:
        update: number of the update, from 1.
        peak: highest rate.
        warmup: updates of linear warm-up.

    Returns:
        The learning rate.

    Examples:
        >>> constant(1, peak=1.0, warmup=4), constant(9, peak=1.0, warmup=4)
        (0.25, 1.0)
    """
    return peak * min(1.0, update / warmup)


def _left(update: int, warmup: int, updates: int) -> float:
    """The share of the training after the warm-up that is still to come; 0 after more updates than planned."""
    return max(0.0, (updates + 1 - update) / max(1, updates + 1 - warmup))


def needs_updates(schedule: str) -> bool:
    """Whether a schedule has the argument `updates`: it depends on how many updates the whole training has.

    Args:
        schedule: its name in `SCHEDULES`.
    """
    return "updates" in inspect.signature(SCHEDULES.get(schedule)).parameters
