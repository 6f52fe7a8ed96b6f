"""Which of several generators made a sound: how much of it each one's closest latent vector leaves."""

from common.networks import clip_of

import numpy as np

from models.audio.clip import prepare
from models.recovery.recover import recovered_clips
from models.recovery.verdict import EXPLAINED, nearest


def left_of(answer):
    """The share of a clip's energy that an Answer leaves."""
    return 10 ** (-float(answer.snr_db) / 10)


def compared(path, name, answer, others, solver, prepared=None, seed=0):
    """Which of several generators explains the most of a recording, as the columns `closest`, `next` and `closer_db`;
    {} where none explains it for the most part.

    name: of the generator that `answer` is of. others: {name: generator}; in each the solver looks for the recording
    from zero. prepared: as of models.audio.clip.prepare.
    """
    answers = {name: answer}
    for other, generator in others.items():
        clip = prepare(path, prepared=prepared, **clip_of(generator))
        ((answers[other],), _) = recovered_clips([clip], generator, solver=solver, only_exact=True, seed=seed)
    left = {name: left_of(one) for name, one in answers.items() if np.isfinite(one.snr_db)}
    if len(left) < 2 or not any((one.explained or 0) >= EXPLAINED for one in answers.values()):
        return {}
    first, second, margin = nearest(left)
    return {"closest": first, "next": second, "closer_db": margin}
