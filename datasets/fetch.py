"""Downloads recordings into datasets/, or the published WaveGAN into checkpoint/, from their official addresses.

--what is one of
  sc09             the ten digits of Speech Commands as WaveGAN and the paper use them
  speech_commands  the original, 35 words
  fsdd             the Free Spoken Digit Dataset, which the weights here were trained on
  wavegan          the published generator (76 MB); the one in checkpoint/ moves to checkpoint/previous/

Stopped and started again, it goes on where it stopped; what is there already is not downloaded again.
"""

what = ""  # data set or generator to download ["", "sc09", "speech_commands", "fsdd", "wavegan"]
datasets = "datasets/"  # folder for recordings, each data set in a folder of its own
checkpoint = "checkpoint/"  # folder for the generator
address = ""  # folder on another server to take the files from, under their names there; "": the official one
keep_archive = False  # keep the archive in .downloads/ after it is unpacked
timeout = 30.0  # seconds without a byte after which a connection is lost [0.1 to 3,600]

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

from_shell(globals())

from tqdm import tqdm

from common.script import ScriptError, complain, one_line_errors
from datasets.download import DownloadError, download
from datasets.layouts import counts, find_dataset
from datasets.placing import is_placed, place, remember
from datasets.sources import SOURCES
from datasets.unpack import UnpackError, unpack

DOWNLOADS = ".downloads"  # below the folder of what is downloaded: what is not finished, or not unpacked


class Bar(tqdm):
    """A progress bar for functions that report how many bytes are done, of how many."""

    def __init__(self, text):
        super().__init__(desc=text, unit="B", unit_scale=True, unit_divisor=1024, disable=None)

    def show(self, done, total):
        """Moves to `done` of `total` bytes; total None: not known."""
        if done < self.n or self.total != total:  # a new connection: what is here already says nothing about the speed
            self.reset(total)
            self.total = total
            self.n = self.initial = done
        self.update(done - self.n)


def fetched(remote, folder):
    """Downloads the file `remote` into `folder` unless it is there; prints what is known of it and what came."""
    if address:
        remote = replace(remote, address=f"{address.rstrip('/')}/{remote.address.rsplit('/', 1)[-1]}")
    size = "unknown" if remote.size is None else f"{remote.size:,} bytes"
    print(f"{remote.address}: size {size}, SHA-256 {remote.sha256 or 'unknown'}")
    partial = folder / f"{remote.name}.partial"
    if partial.exists() and partial.stat().st_size:
        print(f"{partial}: {partial.stat().st_size:,} bytes are here already")
    with Bar(remote.name) as bar:
        found = download(remote, folder, bar.show, timeout=timeout)
    verdict = "as expected" if remote.sha256 else "none is published to compare it with"
    print(f"{found.path}: {found.size:,} bytes, SHA-256 {found.sha256} ({verdict})")
    return found


def recognised(source, folder):
    """Prints what recordings are in `folder`; raises ScriptError if they are not those of `source`."""
    try:
        layout, _, recordings = find_dataset(folder)
    except FileNotFoundError:
        layout, recordings = "", []
    if layout != source.layout:
        raise ScriptError(f"{folder}: no {source.layout} recordings there; move it away and run this again")
    print(f"{folder}: {layout}, {len(recordings):,} recordings of digits\n{counts(recordings)}")
    print(f"Use them with --datasets={folder}")
    if len(recordings) != source.recordings:
        complain(__file__, f"{source.recordings:,} recordings of digits were expected, {len(recordings):,} are there")


def fetch_recordings(source):
    """Downloads a data set and unpacks it into a folder of its own."""
    folder = Path(datasets) / what
    if folder.exists():
        print(f"{folder} is there already and is left as it is")
        return recognised(source, folder)
    archive = fetched(source.remotes[0], Path(datasets) / DOWNLOADS).path
    try:
        with Bar("unpacking") as bar:
            unpack(archive, folder, bar.show, most_bytes=source.most_bytes, most_files=source.most_files)
    except UnpackError as error:
        archive.unlink()  # it would be no better the next time
        raise ScriptError(f"{error}; the archive is deleted, run this again to fetch it anew") from error
    if not keep_archive:
        archive.unlink()
    return recognised(source, folder)


def fetch_generator(source):
    """Downloads the published generator and puts it in the place of the one in the checkpoint folder, which is kept."""
    folder = Path(checkpoint)
    downloads, mark = folder / DOWNLOADS, folder / DOWNLOADS / f"{what}.json"
    if is_placed(folder, mark):
        print(f"{folder} holds {source.title} already")
        return
    found = [fetched(remote, downloads) for remote in source.remotes]
    previous = place([file.path for file in found], folder)
    remember(found, mark)
    for file in found:
        file.path.unlink()
    if previous:
        print(f"The generator that was in {folder} is now in {previous}")
    print(f"{folder} holds {source.title}; an inverse mapping has to be trained for it: python train.py")


def main():
    if what not in SOURCES:
        raise ScriptError(f"what is {what!r}; --what={'|'.join(SOURCES)}")
    source = SOURCES[what]
    print(source.title[0].upper() + source.title[1:])
    if source.layout:
        fetch_recordings(source)
    else:
        fetch_generator(source)


if __name__ == "__main__":
    with one_line_errors(__file__, DownloadError, interrupted="stopped; run it again to go on where it stopped"):
        main()
