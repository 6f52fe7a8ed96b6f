"""The frozen generator: whatever lies in a folder in, a differentiable function z → waveform out.

Each format has its reader in models/generator/readers/. A recognised WaveGAN runs as sub-pixel convolutions
(models/generator/layers.py); what is not recognised runs as the graph that it is.
"""

from dataclasses import asdict

from models.audio.preparation import USUAL_RATE
from models.files.errors import CheckpointError, first_line
from models.files.file_set import read_together
from models.files.hashing import fingerprint
from models.generator.facts import CLIP, Facts, read_facts, stated_facts
from models.generator.generator import READ_WITH, Generator
from models.generator.labelled import LabelInput, LabelledGenerator
from models.generator.layers import DENSE, SubpixelWaveGAN, recognised
from models.generator.readers.arguments import ARGUMENTS, trained_rate
from models.generator.readers.keras import load_keras
from models.generator.readers.onnx import read_onnx
from models.generator.readers.saved_model import read_saved_model
from models.generator.readers.strangers import is_pointer, what_lies_in
from models.generator.readers.tf1 import DAMAGE, as_function, checkpoint_prefix, checkpoints, freeze, read_graph_def
from models.generator.readers.training_checkpoint import read_wavegan

Z, OUTPUT = "z", "G_z"  # WaveGAN's names of its latent vector and its waveform
KERAS = (".keras", ".h5", ".hdf5")
CHECKPOINT, SAVED_MODEL = "model.ckpt", "saved_model.pb"
BESIDE_SAVED_MODEL = ("fingerprint.pb", "keras_metadata.pb")


def load_generator(folder, facts=(), *, subpixel=True, check_derivative=True):
    """Loads the one generator in `folder`: infer.meta with model.ckpt.* (WaveGAN's names; also a training run's
    folder), a WaveGAN's model.ckpt-N.* or best_score-N.* alone, a .pb, .onnx, .keras or .h5 file, or a SavedModel.

    facts: of the generator, in place of what `clip.json` beside it says: {name: value} or text, as
    models.generator.facts.stated_facts takes it. subpixel: False keeps the frozen graph even of a WaveGAN that is
    recognised. check_derivative: False does not check the derivative of a recognised WaveGAN, for whoever wants its
    sounds only. Returns a Generator, or a LabelledGenerator (models/generator/labelled.py) for what takes a label
    besides its latent vector and whose facts say none. Raises CheckpointError, in one line, for a folder without a
    generator, with several, or with half of one, for facts that are not allowed, and for one that cannot be used:
    damaged, not finite, no function of its latent vector, without a derivative, or doing more than to compute.
    """
    try:
        stated = stated_facts(facts) if isinstance(facts, str) else dict(facts)
        Facts(**stated)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"facts: {error}") from error
    return read_together(folder, lambda place: _load(place, stated, subpixel, check_derivative))


def _load(folder, stated, subpixel, check_derivative):
    path, clip = _generator_in(folder), folder / CLIP
    try:
        rate = trained_rate(folder)
        facts, said = read_facts(clip, rate or USUAL_RATE)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    generator = _read(path, folder, facts.changed(stated), subpixel, check_derivative)
    warnings, beside = (), facts.sample_rate if rate or "sample_rate" in said or said.get("generator") else None
    if said.get("generator", generator.sha256) != generator.sha256:
        facts, beside = Facts(sample_rate=rate or USUAL_RATE).changed(stated), rate
        if all(getattr(facts, name) == getattr(generator.facts, name) for name in READ_WITH):
            generator = generator.with_facts(**asdict(facts))
        else:
            generator = _read(path, folder, facts, subpixel, check_derivative)
        warnings = (f"{clip} belongs to another generator and is ignored; clips are prepared as published",)
    elif rate and rate != beside:
        warnings = (f"{folder / ARGUMENTS} says {rate:,} Hz, clip.json {beside:,}; clip.json counts",)
    if beside and beside != generator.sample_rate:
        warnings += (
            f"sample_rate is {generator.sample_rate:,} Hz, and what lies beside the generator says {beside:,}",
        )
    generator = generator.with_facts(warnings, bool(beside or "sample_rate" in stated))
    if generator.facts.label is None:
        return generator
    if not generator.takes_label:
        raise CheckpointError(f"{path}: label {generator.facts.label}: the generator takes no label")
    try:
        return generator.with_label(generator.facts.label)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _generator_in(folder):
    """The path of the one generator in a folder; model.ckpt stands for a checkpoint without a graph."""
    metas = [p for p in (folder / "infer.meta", folder / "infer" / "infer.meta") if p.exists()][:1]
    graphs = [p for p in sorted(folder.glob("*.pb")) if p.name not in BESIDE_SAVED_MODEL]
    candidates = [*metas, *graphs, *sorted(folder.glob("*.keras")), *sorted(folder.glob("*.onnx"))]
    if not metas and folder.is_dir() and checkpoints(folder):
        candidates.append(folder / CHECKPOINT)
    if not candidates:  # beside another generator these are most often weights
        candidates = sorted(path for path in folder.glob("*") if path.suffix in KERAS and path.is_file())
    if not candidates:
        raise CheckpointError(what_lies_in(folder))
    if len(candidates) > 1:
        names = ", ".join(str(path.relative_to(folder)) for path in candidates)
        raise CheckpointError(f"{folder}: several generators ({names}); one folder holds one")
    parts = [*candidates[:1], *folder.glob("*.data*"), *folder.glob("*.index"), *folder.glob("variables/*")]
    if pointers := [path for path in parts if path.is_file() and is_pointer(path)]:
        raise CheckpointError(f"{pointers[0]}: a pointer of Git LFS, not the file itself; git lfs pull fetches it")
    return candidates[0]


def _read(path, folder, facts, subpixel, check_derivative):
    """The generator of a file, with its facts as they are stated. Raises CheckpointError, in one line."""
    try:
        generator = _as_generator(path, folder, facts, subpixel, check_derivative)
    except CheckpointError as error:
        raise CheckpointError(str(error) if str(folder) in str(error) else f"{path}: {error}") from error
    except DAMAGE as error:
        raise CheckpointError(f"{path}: damaged, what it describes cannot be run ({first_line(error)})") from error
    if facts.num_samples and not generator.takes_label and facts.num_samples != generator.num_samples:
        raise CheckpointError(f"{path}: num_samples is {facts.num_samples:,}, its clips have {generator.num_samples:,}")
    return generator


def _as_generator(path, folder, facts, subpixel, check_derivative):
    if path.suffix in KERAS:
        return load_keras(path, facts, facts.latent, facts.output, facts.inputs or None)
    if path.name == CHECKPOINT:
        variables, length = read_wavegan(checkpoint_prefix(folder), folder, facts.num_samples)
        function, latent_dim = SubpixelWaveGAN(variables, length), variables[DENSE].shape[0]
        return Generator(function, latent_dim, function.description, fingerprint(variables), facts, check_derivative)
    inputs = facts.inputs or None
    stated = None if path.suffix == ".onnx" else inputs  # whose other inputs are part of its graph
    graph, z, output, names, variables, described = _frozen(path, folder, facts.latent, facts.output, inputs)
    function, sha256 = as_function(graph, path, z, output, names, stated), fingerprint(variables)
    (batch, latent_dim), labels = function.inputs[0].shape, function.inputs[1:]
    if labels:
        label = LabelInput(labels[0].op.name, tuple(labels[0].shape[1:]), labels[0].dtype)
        return LabelledGenerator(function, latent_dim, label, described, sha256, facts, batch=batch)
    if fast := recognised(function, variables) if subpixel else None:
        return Generator(fast, latent_dim, fast.description, sha256, facts, check_derivative)
    return Generator(function, latent_dim, described, sha256, facts)


def _frozen(path, folder, latent, output, inputs):
    """A file with a graph → (frozen GraphDef, names of its latent vector and its output, {name of a placeholder: its
    owner's name of it}, {name of a variable: array}, a description)."""
    if path.suffix == ".onnx":
        graph, variables = read_onnx(path, latent, output, inputs)
        return graph, Z, OUTPUT, {}, variables, f"ONNX file {path.name}"
    if path.name == SAVED_MODEL:
        graph, names, variables = read_saved_model(path, output)
        return graph, latent, OUTPUT, names, variables, f"SavedModel {path.parent.name}"
    z, output, described = latent or Z, output or OUTPUT, f"frozen graph {path.name}"
    if path.suffix == ".meta":
        graph, variables = freeze(path, checkpoint_prefix(folder), output)
        return graph, z, output, {}, variables, described
    graph, variables = read_graph_def(path, output)
    # A WaveGAN's variables keep their names when they are frozen, and so does the generator its fingerprint.
    variables = {name: value for name, value in variables.items() if name.startswith("G/")} or variables
    return graph, z, output, {}, variables, described
