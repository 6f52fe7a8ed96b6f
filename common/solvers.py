"""The solver that a script's settings describe."""

import contextlib

from models.generator.codes import LARGEST_SCALE
from models.recovery.codes import Coded
from models.recovery.exact import LevenbergMarquardt
from models.recovery.layer import Layer
from models.recovery.lbfgsb import LBFGSB
from models.recovery.perceptual import Perceptual


def solver_of(settings, perceptual_loss, codes=None):
    """The solver that a script's settings describe, or None where the prediction is the answer.

    settings: {name: value} with gradient, solver, space and what the solvers take. perceptual_loss: the
    models.networks.classifier.PerceptualLoss, or None. codes: of the generator, whose code is then recovered too; their
    settings are hold_code and code_scale. Raises ValueError, in one line, for those that the layout lacks.
    """
    solver = None
    if settings["gradient"]:
        exact = LevenbergMarquardt(settings["max_iter"], settings["restarts"], settings["stft_share"])
        weights = settings["log_spectral_weight"], settings["perceptual_weight"]
        solver = {
            "perceptual": Perceptual(perceptual_loss, weights[0], exact=exact),
            "levenberg_marquardt": exact,
            "l_bfgs_b": LBFGSB(settings["max_iter"], perceptual_loss, weights[1]),
        }[settings["solver"]]
    solver = coded(solver, codes, settings.get("hold_code", ""), settings.get("code_scale", "1"))
    return Layer(solver, perceptual_loss) if settings["space"] == "layer" else solver


def coded(solver, codes, hold_code="", code_scale="1"):
    """The solver that recovers codes too, where a generator has `codes`; else `solver` itself, which may be None.

    hold_code, code_scale: the settings. Raises ValueError, in one line, for a code that the layout lacks, for no scale,
    and for either without a layout.
    """
    scale = code_scale_of(code_scale)
    if codes is None:
        if hold_code or scale != 1:
            raise ValueError("hold_code and code_scale: no layout says where it is; give one, --facts=code=onehot:10")
        return solver
    if hold_code:
        codes.code(hold_code)
    return Coded(solver, hold_code, scale)


def code_scale_of(text):
    """The setting code_scale as a number above 0, up to 20, or "free". Raises ValueError for anything else."""
    with contextlib.suppress(ValueError):
        if text == "free" or 0 < float(text) <= LARGEST_SCALE:
            return text if text == "free" else float(text)
    raise ValueError(f'code_scale is a number above 0, up to {LARGEST_SCALE:g}, or "free", not {text!r}')
