#!/bin/sh
# ONNX's own inliner fails on a valid node that leaves an attribute at its default.
#
# onnx 1.23.2, numpy 2.4.6, Python 3.11 to 3.13. Some operations are functions: the standard gives them a body, and
# onnx.inliner puts it in their place. The body of HardSigmoid refers to its attributes alpha and beta, which have
# defaults, so that most exporters leave them out, and onnx.checker accepts that.
#
# Expected: the same nodes whether alpha and beta are left out or written down with their default values.
# Seen:     written down, the body; left out, "Assertion `false` failed: Type unknown for Alpha__1".
# What helps: to write an operation's default attributes into the node first (onnx.defs.get_schema(…).attributes).
#
# Exits with 0 while this is so, and with 1 once it has changed.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet onnx==1.23.2 numpy==2.4.6
"$place/env/bin/python" - <<'END'
import onnx
import onnx.inliner
from onnx import TensorProto, helper

assert onnx.__version__ == "1.23.2", onnx.__version__


def bodies(**attributes):
    """The operations that stand for one HardSigmoid behind the inliner, or what it raises."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("HardSigmoid", ["x"], ["y"], **attributes)], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    try:
        return [node.op_type for node in onnx.inliner.inline_selected_functions(model, [], True, True).graph.node]
    except Exception as error:
        return str(error)


written, left_out = bodies(alpha=0.2, beta=0.5), bodies()
print("written down:", written)
print("left out:    ", left_out)
raise SystemExit(not (isinstance(written, list) and len(written) > 1 and "Type unknown for Alpha" in left_out))
END
