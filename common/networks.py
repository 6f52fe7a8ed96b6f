"""Loading the trained networks for a script, and saying what a user should know about them."""

from common.script import ScriptError
from models.audio import NUM_SAMPLES
from models.classifier import PerceptualLoss, load_classifier
from models.generator import fingerprint
from models.inverse_mapping import load_inverse_mapping


def perceptual_loss(folder, generator, taps="blocks"):
    """The perceptual loss of the classifier in `folder`, or None, with a line that says why. Raises ScriptError for a damaged classifier."""
    if (generator.num_samples, generator.num_channels) != (NUM_SAMPLES, 1):
        print(f"The classifier hears clips of {NUM_SAMPLES} samples, so there is no perceptual loss for this generator")
        return None
    try:
        return PerceptualLoss(load_classifier(folder), taps)
    except FileNotFoundError as error:
        print(f"No perceptual loss: {error}")
        return None
    except ValueError as error:
        raise ScriptError(str(error)) from error


def inverse_mapping_of(folder, generator):
    """The inverse mapping in `folder` for a generator, and the SHA-256 of its variables. Raises models.errors.CheckpointError."""
    mapping = load_inverse_mapping(folder, generator)
    if not mapping.generator_sha256:
        print("Inverse mapping: the published weights, which do not say what generator they are for: the published SC09 model's, as far as is known")
    else:
        refined = f", refined {mapping.refinements} times" if mapping.refinements else ""
        print(f"Inverse mapping: {mapping.settings['network']} network of width {mapping.settings['width']}{refined}, from {folder}")
    return mapping, fingerprint({f"{i} {v.path}": v.numpy() for i, v in enumerate(mapping.variables)})
