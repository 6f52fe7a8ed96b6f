"""Recordings as batches for training: decoded and resampled once, kept in memory as 16-bit floats (32 KiB a second),
shuffled over everything.
"""

from collections import Counter

import numpy as np
import tensorflow as tf

from models.audio.clip import NUM_SAMPLES, AudioError, read_clip
from models.audio.preparation import PUBLISHED

MOST_UNREADABLE = 0.01  # a share above which something is wrong with the data set, not with a file


def decoded(
    recordings, *, num_samples=NUM_SAMPLES, num_channels=1, preparation=PUBLISHED, tell=lambda done, total: None
):
    """Reads every recording once, several at a time, into a tf.data cache in memory.

    recordings: list of datasets.layouts.Recording. num_samples, num_channels: of a clip. preparation: see
    models.audio.clip. tell: called with the count read so far and the total. Returns a dataset of (waveform float16
    [num_samples], of several channels [num_samples, num_channels], digit int32), the recordings in it in its order,
    and the one-line reasons for those left out. Raises ValueError where more than 1 % cannot be read, naming the
    first. Memory: 32 KiB a recording, 640 MiB for 20,000.
    """
    unreadable = {}
    kwargs = {"num_samples": num_samples, "num_channels": num_channels, "preparation": preparation}
    shape = (num_samples,) if num_channels == 1 else (num_samples, num_channels)

    def read(index):
        try:
            return read_clip(recordings[index].path, **kwargs).astype(np.float16), True
        except (AudioError, OSError) as error:
            unreadable[int(index)] = str(error)
            return np.zeros(shape, np.float16), False

    def read_in_graph(index, digit):
        waveform, good = tf.numpy_function(read, [index], (tf.float16, tf.bool))
        return tf.ensure_shape(waveform, shape), digit, good

    digits = np.array([r.digit for r in recordings], np.int32)
    indices = np.arange(len(recordings))  # not paths: a name may be no text
    dataset = tf.data.Dataset.from_tensor_slices((indices, digits)).map(read_in_graph, tf.data.AUTOTUNE)
    dataset = (
        dataset.filter(lambda waveform, digit, good: good).map(lambda waveform, digit, good: (waveform, digit)).cache()
    )
    count = 0
    for _ in dataset:  # fills the cache, which only a complete pass does
        count += 1
        tell(count, len(recordings))
    if len(unreadable) > MOST_UNREADABLE * len(recordings):
        first = min(unreadable.values())
        raise ValueError(f"{len(unreadable)} of {len(recordings)} recordings cannot be read, the first being {first}")
    readable = [r for i, r in enumerate(recordings) if i not in unreadable]
    return dataset.apply(tf.data.experimental.assert_cardinality(len(readable))), readable, sorted(unreadable.values())


def _in_memory(dataset):
    """Tells tf.distribute that there are no files to divide between workers."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options)


def shares(recordings):
    """How often each recording is to be drawn, [n], adding up to 1: digits evenly, data sets evenly within a digit."""
    groups = [(r.digit, r.dataset) for r in recordings]
    sizes, sets = Counter(groups), Counter(digit for digit, _ in set(groups))
    return np.array([1 / (len(sets) * sets[digit] * sizes[digit, dataset]) for digit, dataset in groups])


def _drawn(dataset, recordings, seed, balanced):
    """Endless clips in random order. balanced: see `shares`; otherwise each clip once before any comes again."""
    if not balanced:
        return dataset.shuffle(len(recordings), seed=seed).repeat()
    names = list(dict.fromkeys((r.digit, r.dataset) for r in recordings))
    group = tf.constant([names.index((r.digit, r.dataset)) for r in recordings], tf.int64)
    parts, weights, share = [], [], shares(recordings)
    for i in range(len(names)):  # the caches hold the same clips as that of `dataset`, once in memory
        members = np.flatnonzero(group == i)
        part = dataset.enumerate().filter(lambda n, clip, i=i: group[n] == i).map(lambda n, clip: clip).cache()
        part = part.apply(tf.data.experimental.assert_cardinality(len(members)))
        parts.append(part.shuffle(len(members), seed=seed + i).repeat())
        weights.append(share[members].sum())
    return tf.data.Dataset.sample_from_datasets(parts, weights, seed, rerandomize_each_iteration=False)


def training_batches(dataset, recordings, batch_size, seed, augmentation=None, balanced=False, skipped=0):
    """Endless batches (waveform float32 [batch, 16384], digit int32 [batch]); of fewer recordings than a batch has,
    batches of all of them.

    dataset, recordings: from `decoded`. augmentation: what makes of waveforms [batch, 16384] and a seed [2] what a
    network is to see, an Augmentation or a SpectrogramAugmentation, or None for the recordings as they are. balanced:
    draw the digits evenly, and the data sets evenly within a digit; otherwise each clip comes once before any comes
    again. The same seed gives the same batches; skipped: how many of them an earlier run has had.
    """
    clips = _drawn(dataset, recordings, seed, balanced)
    clips = clips.batch(min(batch_size, len(recordings)), drop_remainder=True).skip(skipped)
    if augmentation is None:
        return _in_memory(clips.map(_as_float32, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE))
    seeds = tf.data.Dataset.random(seed).batch(2).skip(skipped)

    def changed(clips, fresh):
        waveform, digit = _as_float32(*clips)
        return augmentation(waveform, fresh), digit

    return _in_memory(tf.data.Dataset.zip(clips, seeds).map(changed, tf.data.AUTOTUNE).prefetch(2))


def displaced_batches(dataset, recordings, batch_size, shift, seed, augmentation=None, balanced=False, skipped=0):
    """Endless batches (waveform float32 [batch, …], digit int32 [batch]) of clips moved, around the end, by up to
    `shift` samples either way.

    dataset, recordings: from `decoded`. augmentation: an Augmentation of the clips [16384] after that, or None; each
    keeps its peak. balanced: draw the digits evenly, and the data sets evenly within a digit. The same seed gives the
    same batches; skipped: how many of them an earlier run has had.
    """
    clips = _drawn(dataset, recordings, seed, balanced)
    seeds = tf.data.Dataset.random(seed).batch(2)

    def displaced(clip, fresh):
        waveform, digit = _as_float32(*clip)
        return tf.roll(waveform, tf.random.stateless_uniform((), fresh, -shift, shift + 1, tf.int32), axis=0), digit

    left = tf.data.Dataset.zip(clips, seeds).skip(skipped * batch_size)
    moved = left.map(displaced).batch(batch_size, drop_remainder=True)
    if augmentation is None:
        return _in_memory(moved.prefetch(4))

    def changed(clips, fresh):
        waveform, digit = clips
        other = augmentation(waveform, fresh)
        peak, new_peak = (tf.reduce_max(tf.abs(a), axis=1, keepdims=True) for a in (waveform, other))
        return other * peak / tf.maximum(new_peak, 1e-6), digit

    more = tf.data.Dataset.random(seed + 1).batch(2).skip(skipped)
    return _in_memory(tf.data.Dataset.zip(moved, more).map(changed, tf.data.AUTOTUNE).prefetch(4))


def _as_float32(waveform, digit):
    return tf.cast(waveform, tf.float32), digit


def evaluation_batches(dataset, batch_size):
    """Batches (waveform float32 [n, …], digit int32 [n]) in order, unchanged, the last one as short as it comes."""
    return _in_memory(dataset.batch(batch_size).map(_as_float32, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE))
