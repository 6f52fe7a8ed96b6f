"""The unit of error in recovery, and the rungs by which a clip's way is decided.

An error is how far the energy of what remains of a target lies below the target's own, in dB: silence has 0 dB, a sound
without anything in common about -3, and float32's rounding leaves 100 and more. Solvers minimise the objective, half
the squared error relative to the target's energy, so that its gradient has no factor.
"""

import numpy as np

LEAST = 1e-14  # objective or squared error that counts as zero


def objective_at(db):
    """The objective of an error in dB below the target's energy: 0.5 of 0 dB."""
    return 0.5 * 10 ** (-db / 10)


def margin_db(first, second):
    """How far an objective or a squared error, a number or an array, is above another, in dB."""
    return 10 * np.log10(np.maximum(second, LEAST) / np.maximum(first, LEAST))


# Objectives, from the worst to the best.
HOPELESS = objective_at(0.7572)  # averaged over the noise of a first Jacobian, above which a clip has no exact answer
PROMISING = objective_at(2.2185)  # of a start, below which an exact answer may exist
EXPLAINED = objective_at(6.9897)  # below which an exact answer seems to exist
FAR = objective_at(13.9794)  # above which a clip is begun anew where its level, offset and position are found
CLOSE = objective_at(20.0)  # below which STFT magnitudes only disturb a descent of the waveform
NEAR_TRUTH = objective_at(26.9897)  # below which a clip is where it was taken to be, and its minimum a local one
NOISY = objective_at(50.0)  # from which on noise may hide that a minimum is a local one
MISSED = objective_at(65.0)  # above which an exact answer was missed, unless what remains is noise, as that of 16 bits
ENOUGH = objective_at(77.0)  # below which a descent by excerpts goes on by whole waveforms
CONVERGED = objective_at(100.0)  # below which no Jacobian is taken any more
