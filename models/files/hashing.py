"""SHA-256 of files, of named arrays and of networks."""

import hashlib

import numpy as np


def content_hash(path):
    """SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(variables):
    """SHA-256 of {name: array}: names, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(variables):
        digest.update(f"{name} {variables[name].shape} ".encode() + np.ascontiguousarray(variables[name]).tobytes())
    return digest.hexdigest()


def network_hash(network):
    """SHA-256 of a Keras model's variables; the state of its random numbers is none of them."""
    variables = [v for v in network.variables if "seed_generator" not in v.path]
    return fingerprint({f"{i} {v.path}": v.numpy() for i, v in enumerate(variables)})
