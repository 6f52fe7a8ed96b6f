"""Generators' own clips anywhere in recordings of any length, as files: a table of when each begins and ends, its
latent vector, and a recording of what was found.
"""

from contextlib import contextmanager
from pathlib import Path

import numpy as np

from common.columns import FOUND, columns
from common.files import open_wave, write_array
from common.store import table_line
from models.audio.windows import duration_of, samples_of
from models.recovery.finding import find

SILENCE = 1 << 16  # samples of it that are written at once, at most


def find_in(path, name, folder, generator, solve, measure, tell=None):
    """Finds a generator's clips in the recording `path` → the row of each, {column: value}, as soon as it is known;
    start and end are in seconds from the recording's beginning.

    Writes {name}.csv, a row a clip, each on the disk before the next is looked for; when all are known {name}.npy, the
    latent vectors [clips, latent_dim], and {name}_reconstruction.wav, as long as the recording, silent where nothing
    was found. solve: as of models.recovery.finding.find. measure: function of clips, a list, and their answers → their
    rows' columns. tell: as of models.audio.windows.duration_of. Raises models.audio.clip.AudioError for what cannot be
    read.
    """
    folder, rate, latents = Path(folder), generator.sample_rate, []
    duration = duration_of(path, rate, tell)  # samples
    (folder / f"{name}.npy").unlink(missing_ok=True)  # an earlier run's
    with (
        _silence_but(folder / f"{name}_reconstruction.wav", duration, generator) as put,
        open(folder / f"{name}.csv", "wb") as file,
    ):
        file.write(table_line(column.name for column in columns(FOUND)))
        for one in find(samples_of(path, generator.num_channels, rate), generator, solve):
            start = round(one.start - one.answer.shift)
            put(start, one.clip.undo(one.answer.matched.reshape(one.clip.samples.shape)))
            times = {"start": one.start / rate, "end": (one.start + generator.num_samples) / rate}
            row = times | measure([one.clip], [one.answer])[0]
            latents.append(one.answer.z)
            file.write(table_line(column.text(row.get(column.name)) for column in columns(FOUND)))
            file.flush()
            yield row
    write_array(folder / f"{name}.npy", np.reshape(latents, (-1, generator.latent_dim)).astype(np.float32))


@contextmanager
def _silence_but(path, duration, generator):
    """A WAV file of `duration` samples of silence, but for what is put there: a function of the sample at which a sound
    begins and its samples [n, …], later ones behind earlier ones. Where two overlap the first stays.
    """
    with open_wave(path, duration, generator.sample_rate, generator.num_channels) as wave:

        def put(start, samples):
            while (done := wave.tell()) < min(start, duration):
                wave.write(np.zeros((min(start - done, SILENCE), generator.num_channels), np.float32))
            samples = samples.reshape(-1, generator.num_channels)[max(wave.tell() - start, 0) :]
            wave.write(samples[: duration - wave.tell()])

        yield put
        put(duration, np.zeros((0, generator.num_channels), np.float32))
