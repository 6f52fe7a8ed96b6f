"""A page to listen to: a row for each clip, with a player, a spectrogram and the latent vector of the original and of
each reconstruction.

One HTML file that a browser opens from disk; it refers to the WAV files beside it and to nothing else.
"""

import base64
import html
import io
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import soundfile

from common.view import png_of, pyplot
from models.audio.clip import spectrogram
from models.files.writing import written_whole

RANGE_DB = 70  # shown below the loudest magnitude of a row's first sound
LONGEST_SHOWN = 10.0  # seconds of a sound's beginning that its spectrogram shows, at most
MOST_SHOWN = 1.2  # of a coordinate of a latent vector, as a bar
STYLE = (Path(__file__).parent / "page.css").read_text()
SCRIPT = (Path(__file__).parent / "page.js").read_text()


@dataclass(frozen=True)
class Sound:
    """One cell of the page. title: such as "hybrid". wav: its file. caption: how close it is. z: its latent vector
    [latent_dim], or None.
    """

    title: str
    wav: Path
    caption: str = ""
    z: np.ndarray | None = None


@dataclass(frozen=True)
class Picture:
    """A figure between the rows of the page. title: its heading. figure: of matplotlib; it is closed."""

    title: str
    figure: object


def _level(wav):
    """Magnitudes of a WAV file's spectrogram in dB, [frames, bins]."""
    frames = int(LONGEST_SHOWN * soundfile.info(wav).samplerate)
    samples, _ = soundfile.read(wav, frames, dtype="float32", always_2d=True)
    return 20 * np.log10(np.hypot(*(np.asarray(part)[0] for part in spectrogram(samples[:, :1].T))) + 1e-6)


def _picture(level, top):
    """A spectrogram as the source of an img element."""
    png = io.BytesIO()
    pyplot().imsave(png, level.T, cmap="magma", vmin=top - RANGE_DB, vmax=top, origin="lower", format="png")
    return _source(png.getvalue())


def _source(png):
    """PNG, bytes, as the source of an img element."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _drawn(picture):
    title = html.escape(picture.title)
    return (
        f'<section><h3>{title}</h3><img class="figure" src="{_source(png_of(picture.figure))}" alt="{title}"></section>'
    )


def _bars(z, true):
    """Latent vectors as an SVG element: the recovered one as bars, the true one, where it is known, as a line of steps
    over them.
    """
    z = np.clip(np.asarray(z, float).ravel(), -MOST_SHOWN, MOST_SHOWN)
    bars = "".join(f"M{i} 0h.8v{-v:.2f}h-.8z" for i, v in enumerate(z))
    steps = ""
    if true is not None:
        true = np.asarray(true, float).ravel()
        steps = f'<path class="true" d="{"".join(f"M{i} {-v:.2f}h.8" for i, v in enumerate(true))}"/>'
    shape = f'viewBox="0 -{MOST_SHOWN} {len(z)} {2 * MOST_SHOWN}" preserveAspectRatio="none"'
    shape += ' role="img" aria-label="latent vector"'
    return f'<svg {shape}><path d="{bars}"/>{steps}</svg>'


def _cell(sound, folder, top, true):
    source = html.escape(quote(Path(os.path.relpath(sound.wav, folder)).as_posix()), quote=True)
    title = html.escape(sound.title)
    parts = [f'<figure tabindex="-1"><figcaption><b>{title}</b> <span>{html.escape(sound.caption)}</span></figcaption>']
    parts.append(f'<img src="{_picture(_level(sound.wav), top)}" alt="spectrogram: {title}">')
    parts.append(f'<audio controls preload="metadata" src="{source}"></audio>')
    if sound.z is not None:
        parts.append(_bars(sound.z, true))
    return "".join(parts) + "</figure>"


def write_page(path, title, made_with, rows):
    """Writes the page.

    path: of the HTML file. made_with: lines that say which weights made it. rows: (heading, true latent vector or
    None, [Sound, …]) for each clip, the original first; one string for a heading over the rows that follow; or a
    Picture.
    """
    body = [f"<h1>{html.escape(title)}</h1>", *(f"<p>{html.escape(line)}</p>" for line in made_with)]
    spectrograms = f"Spectrograms: the whole sound across, {LONGEST_SHOWN:.0f} s at most, 0 to half the rate upwards."
    bars = f"Bars: the coordinates of the latent vector, drawn up to ±{MOST_SHOWN:g}."
    body.append(f'<p class="keys">Arrow keys move, space plays and stops. {spectrograms} {bars}</p>')
    for row in rows:
        if isinstance(row, str):
            body.append(f"<h2>{html.escape(row)}</h2>")
            continue
        if isinstance(row, Picture):
            body.append(_drawn(row))
            continue
        heading, true, sounds = row
        top = float(_level(sounds[0].wav).max())
        cells = "".join(_cell(sound, Path(path).parent, top, true) for sound in sounds)
        body.append(f'<section><h3>{html.escape(heading)}</h3><div class="row">{cells}</div></section>')
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>{html.escape(title)}</title><style>{STYLE}</style>"
    body = "".join(body) + f"<script>{SCRIPT}</script>"
    page = f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'
    with written_whole(path) as file:
        file.write(page.encode())
