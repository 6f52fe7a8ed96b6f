"""Latent vectors as people keep them: every format gives the same numbers, and nothing in a file is run."""

import os
import pickle
import struct

import numpy as np
import pytest

from common.files import write_latents
from models.files.latents import known_latent, read_latents

Z = np.random.default_rng(0).uniform(-1, 1, (3, 100)).astype(np.float32)


def pickled_by_python_2(array):
    """An array as Python 2's pickle.dump wrote it by default (protocol 0), with NumPy's old module names."""
    text = "".join(f"\\x{byte:02x}" for byte in array.tobytes())
    shape = "".join(f"I{n}\n" for n in array.shape)
    return (
        "cnumpy.core.multiarray\n_reconstruct\np0\n(cnumpy\nndarray\np1\n(I0\ntp2\nS'b'\np3\ntp4\nRp5\n(I1\n"
        f"({shape}tp6\ncnumpy\ndtype\np7\n(S'f4'\np8\nI0\nI1\ntp9\nRp10\n(I3\nS'<'\np11\nNNNI-1\nI-1\nI0\n"
        f"tp12\nbI00\nS'{text}'\np13\ntp14\nb."
    ).encode()


def written(folder, kind):
    """Z in a file of one of the kinds → its path."""
    path = folder / f"z.{kind.split()[0]}"
    heading = ",".join(f"z{i}" for i in range(100))
    if kind == "npy":
        np.save(path, Z)
    elif kind.startswith("npz"):
        np.savez(path, **({"z": Z, "other": Z[:1]} if "named" in kind else {"anything": Z.astype(np.float64)}))
    elif kind.startswith("pkl"):
        protocol = int(kind.split()[-1])
        path.write_bytes(pickled_by_python_2(Z) if protocol == 0 else pickle.dumps(Z, protocol))
    elif kind == "csv of this project":
        write_latents(path, [({"file": f"a, {i}.wav", "code": "2"}, z) for i, z in enumerate(Z)])
    elif kind == "csv of R":
        rows = [f'"{i}",' + ",".join(f"{x:.9g}" for x in z) for i, z in enumerate(Z)]
        path.write_text("\n".join(['"",' + ",".join(f'"V{i}"' for i in range(100)), *rows]) + "\n")
    elif kind == "csv with semicolons":
        path.write_text("\n".join([heading.replace(",", ";")] + [";".join(map(str, z)) for z in Z]))
    else:
        np.savetxt(path, Z, fmt="%.9g", delimiter="," if "commas" in kind else " ")
    return path


@pytest.mark.parametrize(
    "kind",
    ["npy", "npz", "npz named", *(f"pkl protocol {n}" for n in range(6)), "csv of this project", "csv of R",
     "csv with semicolons", "csv with commas", "csv with spaces"],
)  # fmt: skip
def test_every_format_gives_the_same_numbers(tmp_path, kind):
    path = written(tmp_path, kind)
    assert np.array_equal(read_latents(path, 100), Z)
    with pytest.raises(ValueError, match="no latent vectors of 99 numbers"):
        read_latents(path, 99)


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def refused(tmp_path, name, content):
    """What is said of a file with some content, or of a function that writes it: one line that names the file."""
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else content(path)
    with pytest.raises(ValueError) as said:
        read_latents(path, 100)
    assert "\n" not in str(said.value) and name in str(said.value)
    return str(said.value)


def test_nothing_in_a_pickle_is_run(tmp_path):
    made = tmp_path / "made"
    for hostile in (Hostile(made), [Z, Hostile(made)], {"z": Hostile(made)}):
        for protocol in range(6):
            assert "nothing in it was run" in refused(tmp_path, "z.pkl", pickle.dumps(hostile, protocol))
    for call in (b"cnumpy\nload\n(S'x'\ntR.", b"cnumpy.testing\nruntests\n(tR.", b"cbuiltins\neval\n(S'1'\ntR."):
        assert "nothing in it was run" in refused(tmp_path, "z.pkl", call)
    inside = np.empty(100, object)
    inside[0] = Hostile(made)
    refused(tmp_path, "z.pkl", pickle.dumps(inside))
    refused(tmp_path, "z.npy", lambda path: np.save(path, inside, allow_pickle=True))
    refused(tmp_path, "z.npz", lambda path: np.savez(path, z=inside))
    assert not made.exists()


def test_what_is_no_latent_vector_is_one_line(tmp_path):
    row = ["0.5"] * 100
    for name, content, words in [
        ("z.csv", ",".join([*row[:-1], "yes"]).join(["\n".join([",".join(row), ""]), "\n"]), "'yes'"),
        ("z.csv", ",".join(row[:-1]), "1 rows of 99 numbers"),
        ("z.csv", ",".join(row) + "\n" + ",".join(row[:-1]), "row 2 has 99 cells"),
        ("z.csv", ",".join([*row[:-1], "nan"]), "NaN"),
        ("z.csv", "", "damaged"),
        ("z.pkl", "", "damaged"),
        ("z.npz", "PK\x03\x04", "damaged"),
    ]:
        assert words in refused(tmp_path, name, content.encode())
    for ending in ("npy", "pkl"):
        write = np.save if ending == "npy" else lambda path, array: path.write_bytes(pickle.dumps(array))
        assert "NaN" in refused(tmp_path, f"z.{ending}", lambda path, w=write: w(path, np.full(100, np.nan)))
        assert "99" in refused(tmp_path, f"z.{ending}", lambda path, w=write: w(path, np.zeros(99)))
    assert "named z" in refused(tmp_path, "z.npz", lambda path: np.savez(path, a=Z, b=Z))
    whole = pickle.dumps(Z)
    for cut in (10, len(whole) // 2, len(whole) - 1):
        refused(tmp_path, "z.pkl", whole[:cut])
    refused(tmp_path, "z.pkl", struct.pack("<B", 0x80) + b"\x05" + b"(" * 100_000)
    with pytest.raises(FileNotFoundError):
        read_latents(tmp_path / "none.csv", 100)


@pytest.mark.parametrize("ending", [".npy", ".npz", ".csv", ".pkl"])
def test_a_latent_vector_beside_a_recording_is_its_own_in_every_format(tmp_path, ending):
    path, recording = tmp_path / f"x{ending}", tmp_path / "x.wav"
    assert known_latent(recording, 100) is None
    if ending == ".csv":
        path.write_text("start,snr_db\n0,1\n")
        assert known_latent(recording, 100) is None, "a table of something else"
        write_latents(path, [({"file": "x.wav"}, Z[1])])
    elif ending == ".pkl":
        path.write_bytes(pickle.dumps(Z[1]))
    else:
        (np.save if ending == ".npy" else np.savez)(path, Z[1])
    assert np.array_equal(known_latent(recording, 100), Z[1:2])
