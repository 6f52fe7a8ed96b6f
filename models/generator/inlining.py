"""Calls of functions in a TensorFlow graph, replaced by the operations that the functions are made of.

What stands in a call cannot be looked at operation by operation, as forward mode (models/generator/jacobian/) and the
list of what a generator may use (models/generator/readers/allow_list.py) do. Nothing is run here: a graph is data.
"""

import tensorflow as tf
from tensorflow.python.framework import op_def_registry

CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
MOST_NODES = 100_000  # of the whole graph; functions that call others may describe far more than they hold
MOST_DEPTH = 50  # calls within calls


class InliningError(ValueError):
    """A graph whose calls cannot be replaced; the message is one phrase."""


def inline_calls(graph):
    """A GraphDef → the same without calls and without a library of functions, and a function that says what a tensor
    of the old one ("call:1") is called in the new one.

    Control inputs are left out, so what only has to run before something else is not part of the result. Raises
    InliningError for a function that is missing, that calls itself, or that is more than a generator.
    """
    inlining = _Inlining(graph)
    inlining.add_nodes(graph.node, "", {}, 0)
    for node in inlining.result.node:
        node.input[:] = [inlining.resolved(name) for name in node.input]
    return inlining.result, inlining.resolved


class _Inlining:
    def __init__(self, graph):
        self.functions = {function.signature.name: function for function in graph.library.function}
        self.result = tf.compat.v1.GraphDef()
        self.result.versions.CopyFrom(graph.versions)
        self.same = {}  # {output of a call: the tensor that it is}

    def add_nodes(self, nodes, prefix, arguments, depth):
        """Adds the nodes of the graph, or of a function's body where `prefix` is not empty, their calls replaced.

        arguments: {name of a function's argument: tensor}.
        """
        if depth > MOST_DEPTH:
            raise InliningError(f"functions call each other more than {MOST_DEPTH} deep")
        operations = {node.name: node for node in nodes}

        def tensor(name):
            if not prefix:
                return _plain(name)
            if name in arguments:
                return arguments[name]
            source, _, rest = name.partition(":")
            if source not in operations or not rest:
                raise InliningError(f"a function's node takes {name}, which is not in it")
            output, _, index = rest.partition(":")
            return f"{prefix}{source}:{_position(operations[source], output) + int(index or 0)}"

        for node in nodes:
            inputs = [tensor(name) for name in node.input if not name.startswith("^")]
            if node.op in CALLS and node.attr["f"].func.name in self.functions:
                self._add_call(node, prefix, inputs, depth)
                continue
            if len(self.result.node) >= MOST_NODES:
                raise InliningError(f"its functions describe more than {MOST_NODES:,} operations")
            new = self.result.node.add()
            new.CopyFrom(node)
            new.name = prefix + node.name
            new.input[:] = inputs
            if any(value.WhichOneof("value") == "placeholder" for value in node.attr.values()):
                raise InliningError(f"the operation {node.op} ({new.name}) takes an attribute from a call")
        return tensor

    def _add_call(self, node, prefix, inputs, depth):
        function = self.functions[node.attr["f"].func.name]
        names = [argument.name for argument in function.signature.input_arg]
        if len(names) != len(inputs):
            raise InliningError(f"{node.name} calls a function of {len(names)} arguments with {len(inputs)}")
        inside = f"{prefix}{node.name}/"
        tensor = self.add_nodes(function.node_def, inside, dict(zip(names, inputs)), depth + 1)
        for i, output in enumerate(function.signature.output_arg):
            self.same[f"{prefix}{node.name}:{i}"] = tensor(function.ret[output.name])

    def resolved(self, name):
        """A tensor's name, behind all calls."""
        name, steps = _plain(name), 0
        while name in self.same:
            name, steps = self.same[name], steps + 1
            if steps > len(self.same):
                raise InliningError(f"the graph runs in a circle through {name}")
        return name


def _plain(name):
    """ "node" and "node:0" are the same tensor; here it is always the second."""
    return name if ":" in name else f"{name}:0"


def _position(node, output):
    """Which output of a node is the first of its argument `output`."""
    definition = op_def_registry.get(node.op)
    if definition is None:
        raise InliningError(f"the operation {node.op} ({node.name}) is not one that a generator may use")
    position = 0
    for argument in definition.output_arg:
        if argument.name == output:
            return position
        if argument.number_attr:
            position += node.attr[argument.number_attr].i
        elif argument.type_list_attr:
            position += len(node.attr[argument.type_list_attr].list.type)
        else:
            position += 1
    raise InliningError(f"the operation {node.op} ({node.name}) has no output {output}")


def inlined(function):
    """A tf.ConcreteFunction as another one without calls, of the same inputs and variables; without any calls in it,
    itself."""
    if not any(op.type in CALLS for op in function.graph.get_operations()):
        return function
    graph, resolved = inline_calls(function.graph.as_graph_def())
    used = {name for node in graph.node for name in node.input}
    captures = [(outside, inside.name) for outside, inside in function.graph.captures if inside.name in used]
    names, output = [tensor.name for tensor in function.inputs], resolved(function.outputs[0].name)
    names = names[: len(names) - len(function.graph.captures)]

    def run(*inputs):
        here = tf.compat.v1.get_default_graph()
        known = {name: tensor for name, tensor in zip(names, inputs) if name in used}
        known |= {name: here.capture(outside) for outside, name in captures}
        return tf.graph_util.import_graph_def(graph, known, [output], name="")[0]

    signature = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in function.inputs[: len(names)]]
    return tf.function(run, input_signature=signature).get_concrete_function()
