"""The method of recovery that a script's settings describe."""

import contextlib
from dataclasses import replace

from models.generator.codes import LARGEST_SCALE
from models.recovery.alternatives import Code
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.channelled import CHANNELS
from models.recovery.layer import Layer
from models.recovery.perceptual import Perceptual
from models.recovery.published import LBFGSB

NO_CODE = "the facts of this generator name no code; if it has one, such as onehot:10, say --facts=code=onehot:10"


def method_of(settings, perceptual_loss, codes=None):
    """{name: argument of models.recovery.recover.recover_clips}: its solver, which is None where the prediction is the
    answer, its layer and its code.

    settings: {name: value} with gradient, solver, space and what the solvers take. perceptual_loss: the
    models.networks.classifier.PerceptualLoss, or None. codes: of the generator; their settings are hold_code and
    code_scale. Raises ValueError, in one line, for those that the layout lacks.
    """
    solver, layer = None, None
    weight = {} if (chosen := settings["log_spectral_weight"]) < 0 else {"log_spectral_weight": chosen}
    if settings["gradient"]:
        exact = exact_solver(settings)
        solver = {
            "perceptual": Perceptual(perceptual_loss, exact=exact, **weight),
            "levenberg_marquardt": exact,
            "l_bfgs_b": LBFGSB(settings["max_iter"], perceptual_loss, settings["perceptual_weight"]),
        }[settings["solver"]]
    if settings["space"] == "layer":
        layer = Layer(perceptual_loss, **weight)
    code = code_of(codes, settings.get("hold_code", ""), settings.get("code_scale", "1"))
    return {"solver": solver, "layer": layer, "code": code}


def exact_solver(settings):
    """The LevenbergMarquardt of a script's settings; what it has no setting for is as usual."""
    exact = LevenbergMarquardt(settings["max_iter"], settings["restarts"], settings["stft_share"])
    channels = channels_of(settings["channels"]) if "channels" in settings else exact.channels
    return replace(exact, budget=settings.get("budget", exact.budget), channels=channels)


def code_of(codes, hold_code="", code_scale="1"):
    """What is known of the code of every clip, or None for a generator without codes.

    hold_code, code_scale: the settings. Raises ValueError, in one line, for a code that the layout lacks, for no scale,
    and for either without a layout.
    """
    scale = _scale_of(code_scale)
    if codes is None:
        if hold_code or scale != 1:
            raise ValueError(f"hold_code and code_scale: {NO_CODE}")
        return None
    if hold_code:
        codes.code(hold_code)
    return Code(hold_code, scale)


def channels_of(text):
    """The setting channels as names in a tuple. Raises ValueError for one that is not known."""
    names = tuple(filter(None, text.split(",")))
    unknown = [name for name in names if name not in CHANNELS]
    if unknown:
        raise ValueError(f"channels are among {', '.join(CHANNELS)}, not {', '.join(unknown)}")
    return names


def _scale_of(text):
    """The setting code_scale as a number above 0, up to 20, or "free". Raises ValueError for anything else."""
    with contextlib.suppress(ValueError):
        if text == "free" or 0 < float(text) <= LARGEST_SCALE:
            return text if text == "free" else float(text)
    raise ValueError(f'code_scale is a number above 0, up to {LARGEST_SCALE:g}, or "free", not {text!r}')
