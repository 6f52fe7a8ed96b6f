"""A model of Keras 2, from `.h5` or `.keras`, read as data: a configuration of built-in layers, and arrays.

Nothing that the configuration names is run but Keras 3's own layers. What only says how weights began or are trained is
left out; a key that Keras 3 does not know is left out where it says nothing, and refused by name where it does.
"""

import inspect
import json
import re

import h5py
import keras

from models.files.errors import CheckpointError

SAVED = "where it was made, call tf.saved_model.save(model, 'generator') and put that folder in its place"
CONTAINERS = {"Functional": "Functional", "Model": "Functional", "Sequential": "Sequential"}
MODULES = {"Functional": "keras.src.models.functional", "Sequential": "keras"}  # of Keras 3
CODE = frozenset(
    "Lambda TFSMLayer TorchModuleWrapper JaxLayer FlaxLayer".split()
)  # layers that run what they are given
NOTHING = (None, False, [], {})  # what a key says nothing by
USUAL = {"groups": (1,), "implementation": (1, 2)} | dict.fromkeys(
    ("input_length", "query_shape", "key_shape", "value_shape")
)  # values by which other keys do; None: any
PARTS = ("vars", "cell", "forward_layer", "backward_layer", "layer", "_query_dense", "_key_dense", "_value_dense",
         "_output_dense")  # of a layer in a .keras file, in the order of its weights  # fmt: skip


def converted(configuration, path):
    """The configuration of a model of Keras 2, a dict, as Keras 3 reads it. Raises CheckpointError, in one line, for a
    layer that is not built in, holds code, or does what Keras 3 does not know.
    """
    kind, config = configuration.get("class_name"), configuration.get("config")
    if kind in CONTAINERS:
        config = {"layers": config} if isinstance(config, list) else dict(config)
        first = config["layers"][0]
        shape = first["config"].get("batch_input_shape") if CONTAINERS[kind] == "Sequential" else None
        config["layers"] = [_from_zero(converted(layer, path), config["layers"]) for layer in config["layers"]]
        config.pop("build_input_shape", None)
        if shape and first["class_name"] != "InputLayer":
            entry = {"name": "input", "batch_shape": shape}
            config["layers"].insert(0, {"module": "keras.layers", "class_name": "InputLayer", "config": entry})
        for key in ("input_layers", "output_layers"):
            if key in config:
                config[key] = _from_zero({"inbound_nodes": [config[key]]}, config["layers"])["inbound_nodes"][0]
        named = {"class_name": CONTAINERS[kind], "module": MODULES[CONTAINERS[kind]], "registered_name": None}
        return {**configuration, **named, "config": config}
    layer = getattr(keras.layers, str(kind), None)
    if kind in CODE or not (inspect.isclass(layer) and issubclass(layer, keras.layers.Layer)):
        raise CheckpointError(f"{path}: its layer {kind} is none of Keras's own, or runs what the file holds; {SAVED}")
    known = {"name", "trainable", "dtype", "batch_input_shape", "alpha"}
    for base in inspect.getmro(layer):
        known |= set(inspect.signature(base.__init__).parameters) - {"self", "args", "kwargs"}
    new = {}
    for key, value in config.items():
        if key.endswith(("_initializer", "_regularizer", "_constraint")):
            continue
        if key not in known:
            if value not in NOTHING and not (key in USUAL and (USUAL[key] is None or value in USUAL[key])):
                name = config.get("name", kind)
                raise CheckpointError(
                    f"{path}: its layer {name} ({kind}) has {key} {value}, which Keras 3 does not know"
                )
        elif isinstance(value, dict) and "class_name" in value:
            new[key] = value["config"]["name"] if key == "dtype" else converted(value, path)
        elif kind == "BatchNormalization" and key == "axis":
            new[key] = value[0] if isinstance(value, list) and len(value) == 1 else value
        else:
            new["negative_slope" if (kind, key) == ("LeakyReLU", "alpha") else key] = value
    if kind == "InputLayer":
        new["batch_shape"] = new.get("batch_input_shape", new.get("batch_shape"))
    new.pop("batch_input_shape", None)
    kept = {key: configuration[key] for key in ("name", "inbound_nodes") if key in configuration}
    return {"module": "keras.layers", "registered_name": None, **kept, "class_name": kind, "config": new}


def _from_zero(layer, layers):
    """A layer whose nodes count the calls of models within the model from 0, as Keras 3 does; Keras 2 begins with 1."""
    models = {described["config"]["name"] for described in layers if described["class_name"] in CONTAINERS}

    def changed(item):
        if isinstance(item, list) and len(item) > 2 and isinstance(item[0], str) and item[0] in models:
            return [item[0], max(item[1] - 1, 0), *item[2:]]
        return [changed(part) for part in item] if isinstance(item, list) else item

    return {**layer, "inbound_nodes": changed(layer["inbound_nodes"])} if "inbound_nodes" in layer else layer


def configuration_of(file, path):
    """The model's configuration in an open `.h5` file, a dict. Raises CheckpointError where there is none."""
    if "model_config" not in file.attrs:
        raise CheckpointError(f"{path}: weights without their network; where it was made, model.save writes both")
    text = file.attrs["model_config"]
    return json.loads(text.decode() if isinstance(text, bytes) else text)


def fill(model, configuration, file, path):
    """Gives a Keras 3 model the arrays of an open `.h5` file, or of a `.keras` file's, of Keras 2. Raises
    CheckpointError where they are not the model's.
    """
    if "model_weights" in file:
        _fill_by_name(model, file["model_weights"], path)
    else:
        _fill_by_kind(model, configuration, file, path)


def _set(layer, arrays, path):
    if [array.shape for array in arrays] != [tuple(variable.shape) for variable in layer.weights]:
        raise CheckpointError(f"{path}: its arrays of the layer {layer.name} are not of the shapes that it has")
    layer.set_weights([array[()] for array in arrays])


def _fill_by_name(model, group, path):
    for layer in model.layers:
        inner = group.get(layer.name)
        names = [] if inner is None else inner.attrs.get("weight_names", [])
        names = [name.decode() if isinstance(name, bytes) else name for name in names]
        if isinstance(layer, keras.Model):
            _fill_inside(layer, {name: inner[name] for name in names}, path)
        else:
            _set(layer, [inner[name] for name in names], path)


def _fill_inside(model, arrays, path):
    """A model within a model, whose arrays lie side by side, named after their layers."""
    for layer in model.layers:
        own = {name: array for name, array in arrays.items() if f"/{layer.name}/" in f"/{name}"}
        if isinstance(layer, keras.Model):
            _fill_inside(layer, own or arrays, path)
        else:
            _set(layer, list(own.values()), path)


def _fill_by_kind(model, configuration, group, path):
    """Arrays that are named after their layers' kinds, counted in the order of the configuration."""
    counts, group = {}, group.get("layers", group.get("_layer_checkpoint_dependencies"))
    for described in configuration["config"]["layers"]:
        kind = CONTAINERS.get(described["class_name"], described["class_name"])
        kind = re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", kind)).lower()
        counts[kind] = counts.get(kind, -1) + 1
        inner = None if group is None else group.get(f"{kind}_{counts[kind]}" if counts[kind] else kind)
        if kind == "input_layer":
            continue
        layer = model.get_layer(described["config"]["name"])
        if isinstance(layer, keras.Model):
            _fill_by_kind(layer, described, inner, path)
        else:
            _set(layer, _arrays(inner, path) if inner is not None else [], path)


def _arrays(group, path):
    """The arrays of one layer, in the order of its weights."""
    if isinstance(group.get("0"), h5py.Dataset):
        return [group[str(i)] for i in range(len(group))]
    arrays, parts = [], [name for name in group if not _is_empty(group[name])]
    if unknown := [name for name in parts if name not in PARTS]:
        raise CheckpointError(f"{path}: its layer {group.name} holds {unknown[0]}, whose order is not known")
    return sum((_arrays(group[name], path) for name in sorted(parts, key=PARTS.index)), arrays)


def _is_empty(item):
    return isinstance(item, h5py.Group) and all(_is_empty(item[name]) for name in item)
