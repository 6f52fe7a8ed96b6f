"""How much faster a WaveGAN runs as sub-pixel convolutions than as the frozen graph it was loaded from: both in one
run, in turns.

Random weights of the published shape serve; speed does not depend on them.   python benchmarks/loader_speed.py
--width=64
"""

width = 64  # d of the generator; the published one has 64 [1 to 256]
batches = "1,16,64"  # batch sizes
repeats = 5  # timings of each form; the medians are compared [1 to 1000]
seed = 0  # of the weights [0 to 2,147,483,647]

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

from_shell(globals())

import tempfile
import time

import common.networks  # noqa: F401

import keras
import numpy as np
import tensorflow as tf

from models.generator.tf1_export import export_wavegan, wavegan_variables
from models.generator.wavegan import load_wavegan
from models.training.wavegan.networks import build_generator


def seconds(function, z):
    begin = time.perf_counter()
    function(z).numpy()
    return time.perf_counter() - begin


def main():
    keras.utils.set_random_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        export_wavegan(folder, wavegan_variables(build_generator(width)))
        forms = [tf.function(load_wavegan(folder, subpixel=subpixel)) for subpixel in (False, True)]
        print(f"width {width}   frozen graph   sub-pixel   ratio")
        for batch in map(int, batches.split(",")):
            z = tf.random.uniform((batch, 100), -1, 1)
            for function in forms:
                function(z)  # traces
            times = np.array([[seconds(function, z) for function in forms] for _ in range(repeats)])
            slow, fast = np.median(times, axis=0)
            ratio = np.median(times[:, 0] / times[:, 1])
            print(f"batch {batch:3}   {1000 * slow:9.0f} ms   {1000 * fast:6.0f} ms   {ratio:.1f} times")


if __name__ == "__main__":
    main()
