"""Downloads recordings into datasets/, or the published WaveGAN into checkpoint/, from their official addresses.

--what is one of
  sc09             the ten digits of Speech Commands as WaveGAN and the paper use them
  speech_commands  the original, 35 words
  fsdd             the Free Spoken Digit Dataset, which the weights here were trained on
  wavegan          the published generator (76 MB); the one in checkpoint/ moves to checkpoint/previous/

Each file is downloaded in one go; for a connection that does not last for the larger archives, datasets/README.md has
a line of curl that goes on where it stopped. What is there already is not downloaded again.
"""

what = ""  # data set or generator to download ["", "sc09", "speech_commands", "fsdd", "wavegan"]
datasets = "datasets/"  # folder for recordings, each data set in a folder of its own
checkpoint = "checkpoint/"  # folder for the generator
address = ""  # folder on another server to take the files from, under their names there; "": the official one
keep_archive = False  # keep the archive in .downloads/ after it is unpacked
timeout = 30.0  # seconds without a byte after which a connection is lost [0.1 to 3,600]

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common.settings import from_shell

from_shell(globals())

from common.script import ScriptError, complain, one_line_errors
from datasets.download import download, unpack
from datasets.layouts import counts, find_dataset
from datasets.placing import place
from datasets.sources import SOURCES
from models.files.hashing import content_hash

DOWNLOADS = ".downloads"  # below the folder of what is downloaded: what is not unpacked or placed yet


def fetched(source, folder):
    """Downloads the files of `source` that are not in `folder` yet, prints what came → their paths, in order."""
    paths = []
    for name, official in source.files.items():
        path = folder / name
        url = f"{address.rstrip('/')}/{official.rsplit('/', 1)[-1]}" if address else official
        print(f"{path} is there already" if path.exists() else url)
        download(url, path, source.sha256, timeout)
        verdict = "as expected" if source.sha256 else "none is published to compare it with"
        print(f"{path}: {path.stat().st_size:,} bytes, SHA-256 {source.sha256 or content_hash(path)} ({verdict})")
        paths.append(path)
    return paths


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
    downloads = Path(datasets) / DOWNLOADS
    before = set(downloads.glob("*"))
    (archive,) = fetched(source, downloads)
    try:
        unpack(archive, folder, source.most_bytes)
    except ValueError as error:
        if archive in before:
            raise ScriptError(f"{error}; go on with curl -C - (datasets/README.md), or delete it") from error
        archive.unlink()
        raise ScriptError(f"{error}; it is deleted, run this again to fetch it anew") from error
    if not keep_archive:
        archive.unlink()
    return recognised(source, folder)


def fetch_generator(source):
    """Downloads the published generator and puts it in the place of the one in the checkpoint folder, which is kept."""
    folder = Path(checkpoint)
    files = fetched(source, folder / DOWNLOADS)
    previous = place(files, folder)
    for path in files:
        path.unlink()
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
    with one_line_errors(__file__, interrupted="stopped; nothing is kept of what had not arrived whole"):
        main()
