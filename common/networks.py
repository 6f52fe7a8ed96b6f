"""TensorFlow without its start-up noise, and the trained networks that a script opens.

A script imports this before anything else that imports TensorFlow. TensorFlow's C++ libraries write to the process's
standard error before any log level is in force, so the descriptor itself is pointed elsewhere while they load; if
loading fails, what they wrote is shown.
"""

import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from common.script import ScriptError, one_line

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


OPTIONAL = ("matplotlib", "pandas", "sklearn")  # Keras loads them where they are there, for what nothing here uses


@contextmanager
def _without(packages):
    """A context in which the packages that are not loaded yet cannot be imported; after it they can."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _import_quietly():
    sys.stderr.flush()
    with tempfile.TemporaryFile() as noise, _without(OPTIONAL):
        shown = os.dup(2)
        os.dup2(noise.fileno(), 2)
        try:
            import tensorflow as tf

            tf.constant(0.0)  # starts the runtime, which has words of its own
            import keras  # noqa: F401
        except BaseException:
            os.dup2(shown, 2)
            noise.seek(0)
            sys.stderr.write(noise.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)
    tf.get_logger().setLevel("ERROR")


_import_quietly()

from models.files.errors import CheckpointError
from models.generator.loading import load_generator
from models.generator.readers.arguments import whole_number
from models.networks.classifier import PerceptualLoss, load_classifier
from models.networks.inverse_mapping import INVERSE_MAPPING_FILE, load_inverse_mapping
from models.networks.judge import load_judge


def open_generator(folder, facts="", any_label=False, **options):
    """The generator in `folder`, with a line that describes it. Raises models.files.errors.CheckpointError, in one
    line.

    facts: as models.generator.facts.stated_facts takes them, in place of what lies beside the weights. any_label: the
    caller finds out which label it is, where the facts say none, so it gets a
    models.generator.labelled.LabelledGenerator. options: of models.generator.loading.load_generator. Raises ScriptError
    for a label that is missing.
    """
    generator = load_generator(folder, facts, **options)
    if generator.takes_label and not (any_label and generator.num_labels):
        which = f"0 to {generator.num_labels - 1}" if generator.num_labels else "a number"
        raise ScriptError(
            f"{folder}: the generator takes a label besides its latent vector, {which}: {stating('label', '3')}"
        )
    weights = f"SHA-256 {generator.sha256[:16]}"
    print(f"Generator: {generator.description}, {generator.sample_rate:,} Hz, {weights}, from {folder}")
    warnings = list(generator.warnings)
    if not generator.rate_is_known:
        warnings.append(
            f"{folder}: neither clip.json nor args.txt says a sample rate; {generator.sample_rate:,} Hz is assumed; if "
            f"it is another, {stating('sample_rate', '22050')}"
        )
    categories = whole_number(folder, "num_categ")
    if categories and categories > generator.latent_dim:
        warnings.append(f"args.txt says num_categ {categories}; the latent vector has {generator.latent_dim} numbers")
    elif categories and not generator.codes:
        warnings.append(
            f"args.txt says num_categ {categories}, so the latent vectors begin with a code: "
            f"{stating('code', f'onehot:{categories}')} for a ciwGAN, bits:{categories} for a fiwGAN"
        )
    for warning in warnings:
        print(one_line(f"warning: {warning}"), file=sys.stderr)
    return generator


def stating(name, value):
    """How a user states a fact of the generator, in words. name, value: such as "code" and "onehot:10"."""
    written = value if value.isdecimal() else f'"{value}"'
    return f'write {{"{name}": {written}}} into clip.json there, or give --facts={name}={value}'


def clip_of(generator):
    """What a recording has to be for a generator: shape and preparation, as models.audio.clip.read_clip takes them."""
    names = ("num_samples", "num_channels", "preparation")
    return {name: getattr(generator, name) for name in names}


def open_perceptual_loss(folder, taps="blocks"):
    """The perceptual loss of the classifier in `folder`, or None, with a line that says why there is none.

    Raises ValueError, in one line, for a damaged classifier.
    """
    try:
        classifier = load_classifier(folder)
    except FileNotFoundError as error:
        print(f"No perceptual loss: {error}; python train_sc09_classifier.py trains a classifier")
        return None
    return PerceptualLoss(classifier, taps)


def open_judge(folder):
    """The judge in `folder`, or None, with a line that says why there is none."""
    try:
        return load_judge(folder)
    except FileNotFoundError as error:
        print(f"Reconstructions are not judged: {error}")
        return None


def open_inverse_mapping(folder, generator):
    """The inverse mapping in `folder` for a generator, with a line that describes it.

    Raises ScriptError, in one line that says what to do instead.
    """
    try:
        mapping = load_inverse_mapping(folder, generator)
    except CheckpointError as error:
        instead = "python train.py trains one, --gradient --inverse_mapping=False does without"
        raise ScriptError(f"{error}; {instead}") from error
    if not mapping.generator_sha256:
        print("Inverse mapping: the published weights, which name no generator; it is the published SC09 model")
    else:
        refined = f", refined {mapping.refinements} times" if mapping.refinements else ""
        described = f"{mapping.settings['network']} network of width {mapping.settings['width']}{refined}"
        print(f"Inverse mapping: {described}, from {folder}")
    return mapping


def open_resnet(folder, generator):
    """The second inverse mapping in `folder`, or None where there is none for this generator, with a line that says why
    if there is another's."""
    if not (Path(folder) / INVERSE_MAPPING_FILE).exists():
        return None
    try:
        return open_inverse_mapping(folder, generator)
    except ScriptError as error:
        print(f"Left out: {error}")
        return None
