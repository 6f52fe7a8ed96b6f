"""Loading the trained networks that a script can do without, and saying so where it does."""

from common.script import ScriptError
from models.audio import NUM_SAMPLES
from models.classifier import PerceptualLoss, load_classifier


def perceptual_loss(folder, generator):
    """The perceptual loss of the classifier in `folder`, or None, with a line that says why. Raises ScriptError for a damaged classifier."""
    if (generator.num_samples, generator.num_channels) != (NUM_SAMPLES, 1):
        print(f"The classifier hears clips of {NUM_SAMPLES} samples, so there is no perceptual loss for this generator")
        return None
    try:
        return PerceptualLoss(load_classifier(folder))
    except FileNotFoundError as error:
        print(f"No perceptual loss: {error}")
        return None
    except ValueError as error:
        raise ScriptError(str(error)) from error
