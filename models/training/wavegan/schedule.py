"""How much each term of WaveGAN training counts, and how that changes with the steps.

A pair (a, b) ramps from a to b over RAMP_STEPS. A prior term that is strong from the start makes the generator ignore
its codes.
"""

from keras import ops

RAMP_STEPS = (5000, 6000)  # the first and the last step of the ramp
SHARPNESS = (5.0, 10.0)  # factor of the digits' sums in a code, as the logits of a digit
EMPHASIS = (1.0, 2.0)  # factor of the digits' sums in the generator's input; with 2.5 from the start it never speaks
WEIGHTS = {  # of the generator's and encoder's terms
    "generator": 2.0,
    "reconstruction": 4.0,
    "pitch": 4.0,
    "voicing": (4.0, 8.0),
    "matching": 2.0,
    "latent": (1.0, 3.0),
    "prior": 0.1,
    "moments": (0.01, 0.03),
    "digit_sums": (0.1, 0.3),
    "digit_means": (0.0, 0.4),
    "digit_code": 0.5,
    "digit_recognised": (0.5, 1.0),
    "quiet": 1.0,
}


def at_step(value, step):
    """The value of a number, or of a pair, at a step."""
    if not isinstance(value, tuple):
        return value
    begin, end = RAMP_STEPS
    share = ops.clip((ops.cast(step, "float32") - begin) / (end - begin), 0.0, 1.0)
    return value[0] + (value[1] - value[0]) * share
