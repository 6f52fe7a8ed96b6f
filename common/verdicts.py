"""Who made a sound, in words."""

from models.recovery import verdict as v

WORDS = {  # after "the sound is …"
    v.UNTOUCHED: "this generator's, untouched",
    v.NOISE: "this generator's, then noise or another sound",
    v.CHANNEL: "this generator's, then {channel}",
    v.NEAR: "not this generator's but of one near it, such as another state of its training",
    v.UNSURE: "this generator's, changed in a way that is not known, or of one near it: what remains follows the sound",
    v.OTHER: "not made by this generator",
    v.SILENT: "no sound in it",
}


def in_words(key, channel=""):
    """A verdict as a phrase. channel: what was done to the sound, in words, of v.CHANNEL."""
    return WORDS[key].format(channel=channel)


def compared_in_words(energies):
    """Which of several generators made a sound, as a phrase. energies: as of models.recovery.verdict.nearest."""
    first, second, margin = v.nearest(energies)
    return f"closest to {first}, {margin:.1f} dB before {second}"


def determined_in_words(count, latent_dim):
    """How much of its latent vector a clip determines, as a phrase; "" where that is all of it."""
    return f"the clip determines {count} of {latent_dim} coordinates" if count < latent_dim else ""
