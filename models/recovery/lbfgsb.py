"""The published solver: L-BFGS-B on mean absolute errors and the perceptual loss, many clips side by side.

Each clip has SciPy's L-BFGS-B to itself, in a thread of its own; what the threads ask for is computed in one batch.
"""

import queue
import threading
from dataclasses import dataclass

import numpy as np
import scipy.optimize
import tensorflow as tf

from models.audio.clip import spectrogram
from models.audio.second import Second
from models.recovery.descent import AT_ONCE, take
from models.recovery.solution import Solution
from models.recovery.starts import random_starts


class PublishedObjective:
    """The paper's objective of each clip: mean absolute error of the waveforms, plus that of the real parts of their
    spectrograms, plus the weighted perceptual loss (where there is a `models.networks.classifier.PerceptualLoss`).
    Compiled once, for any number of clips.
    """

    def __init__(self, generator, perceptual_loss=None, perceptual_weight=0.002):
        self.generator, self.perceptual_loss, self.perceptual_weight = generator, perceptual_loss, perceptual_weight
        self.second = Second(generator.num_samples, generator.sample_rate)

    def originals(self, waveforms):
        """Targets [n, num_samples, num_channels] → all that the objective has to know of them, a list of tensors
        [n, …].
        """
        waveforms = tf.convert_to_tensor(waveforms, tf.float32)
        begin, activations = self.second.begin(waveforms), []
        if self.perceptual_loss:
            activations = self.perceptual_loss.activations(self.second(waveforms, begin))
        return [waveforms, _real_parts(waveforms), begin, *activations]

    def values_and_gradients(self, z, originals):
        """Latent vectors [n, latent_dim] and the originals of as many clips → objectives [n] and their gradients
        [n, latent_dim], float64.
        """
        values, gradients = self._compiled(tf.constant(z, tf.float32), originals)
        return values.numpy().astype(np.float64), gradients.numpy().astype(np.float64)

    @tf.function(reduce_retracing=True, autograph=False)
    def _compiled(self, z, originals):
        target, real, begin, *activations = originals
        with tf.GradientTape() as tape:
            tape.watch(z)
            waveform = self.generator(z)
            values = tf.reduce_mean(tf.abs(waveform - target), axis=(1, 2))
            values += tf.reduce_mean(tf.abs(_real_parts(waveform) - real), axis=(1, 2, 3))
            if self.perceptual_loss:
                values += self.perceptual_weight * self.perceptual_loss(activations, self.second(waveform, begin))
        return values, tape.gradient(values, z)


def _real_parts(waveforms):
    """Waveforms [n, samples, channels] → real parts of their spectrograms [n, channels, frames, bins]."""
    samples, channels = waveforms.shape[1:]
    real = spectrogram(tf.reshape(tf.transpose(waveforms, (0, 2, 1)), (-1, samples)))[0]
    return tf.reshape(real, (-1, channels, *real.shape[1:]))


class SideBySide:
    """Descents that each ask for one value at a time, and get it from a batch of all that are waiting.

    The batch is computed as soon as no descent is at work on its own any more, so it holds the same clips whichever
    thread was first. function: z [m, latent_dim], index [m] of the clips → values [m], gradients [m, latent_dim].
    """

    def __init__(self, function):
        self.function = function
        self._asked = queue.SimpleQueue()  # (clip, z), or (clip, None) from a descent that has ended

    def run(self, descend, starts, report):
        """descend(function of z → value and gradient, start) → a result; returns those of all starts [n, …]."""
        results, errors = [None] * len(starts), []
        answers = [queue.SimpleQueue() for _ in starts]

        def work(i):
            def ask(z):
                self._asked.put((i, z.copy()))
                answer = answers[i].get()
                if answer is None:
                    raise InterruptedError("the batch could not be computed")
                return answer

            try:
                results[i] = descend(ask, starts[i])
            except InterruptedError:
                pass
            except Exception as error:
                errors.append(error)
            finally:
                self._asked.put((i, None))

        threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(len(starts))]
        for thread in threads:
            thread.start()
        try:
            self._answer(answers, report)
        finally:
            for answer in answers:
                answer.put(None)  # nobody waits for ever where the function or the user stopped the batch
        if errors:
            raise errors[0]
        return results

    def _answer(self, answers, report):
        working = len(answers)
        while working:
            asked = [self._asked.get() for _ in range(working)]
            waiting = sorted(((i, z) for i, z in asked if z is not None), key=lambda one: one[0])
            if report and len(waiting) < working:
                report(len(waiting))
            working = len(waiting)
            if waiting:
                index = np.array([i for i, _ in waiting])
                values, gradients = self.function(np.stack([z for _, z in waiting]), index)
                for i, value, gradient in zip(index, values, gradients):
                    answers[i].put((value, gradient))


@dataclass(frozen=True)
class LBFGSB:
    """The paper's solver (section 3.3): L-BFGS-B on the published objective.

    max_iter: iterations of each clip. perceptual_loss: models.networks.classifier.PerceptualLoss, or None.
    perceptual_weight: of it; 1 in the authors' recovery script, 0.002 in their metrics.
    """

    max_iter: int = 200
    perceptual_loss: object = None
    perceptual_weight: float = 1.0

    def solve(self, targets, generator, start=None, *, seed=0, report=None):
        """targets: waveforms [n, num_samples, num_channels]. start: latent vectors [n, latent_dim], or None for random
        ones. seed: of these, a number or a list of numbers. report: called with the number of clips that remain.
        → Solution.
        """
        begun = None
        if start is None:
            start = begun = random_starts(targets, generator.latent_dim, [0, *np.atleast_1d(seed)], generator.prior)
        published = PublishedObjective(generator, self.perceptual_loss, self.perceptual_weight)

        def descend(function, begin):
            return scipy.optimize.minimize(
                function,
                begin.astype(np.float64),
                method="L-BFGS-B",
                jac=True,
                tol=1e-8,
                options={"maxiter": self.max_iter, "maxfun": 20 * self.max_iter},
            )

        results = []
        for i in range(0, len(targets), AT_ONCE):
            originals = published.originals(targets[i : i + AT_ONCE])
            later = max(0, len(targets) - i - AT_ONCE)
            batch = SideBySide(lambda z, index, known=originals: published.values_and_gradients(z, take(known, index)))
            tell = report and (lambda active, later=later: report(active + later))
            results += batch.run(descend, start[i : i + AT_ONCE], tell)
        z, objective, iterations = zip(*((result.x, result.fun, result.nit) for result in results))
        return Solution(np.array(z, np.float32), np.array(objective, np.float64), np.array(iterations, int), begun)
