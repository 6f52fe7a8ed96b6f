"""Training on two hosts, as two processes: what Keras refuses and what works, as the inverse mapping's card says."""

import json
import os
import socket
import subprocess
import sys

import numpy as np

WORKER = """
import json, os, sys
import tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
import keras
import numpy as np
x = np.arange(32, dtype=np.float32).reshape(16, 2) / 32
y = x.sum(axis=1, keepdims=True)
batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
with strategy.scope():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)

def step(inputs, targets):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum((model(inputs) - targets) ** 2) / 8  # of the batch of all hosts
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

@tf.function
def run(batch):
    strategy.run(step, args=batch)

for _ in range(2):
    for batch in strategy.experimental_distribute_dataset(batches):
        run(batch)
found = {"weights": [w.ravel().tolist() for w in model.get_weights()], "fit": "works"}
try:
    with strategy.scope():
        model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(batches, verbose=0)
except Exception as error:
    found["fit"] = str(error)
print("FOUND" + json.dumps(found), flush=True)
os._exit(0)
"""


def by_hand():
    """The weights after two passes over the same batches, by NumPy."""
    x = np.arange(32, dtype=np.float64).reshape(16, 2) / 32
    kernel, bias = np.zeros((2, 1)), np.zeros(1)
    for _ in range(2):
        for part in (x[:8], x[8:]):
            error = part @ kernel + bias - part.sum(axis=1, keepdims=True)
            kernel, bias = kernel - 0.1 * 2 * part.T @ error / 8, bias - 0.1 * 2 * error.sum(axis=0) / 8
    return kernel.ravel(), bias


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def test_a_loop_of_ones_own_trains_on_two_hosts_and_keras_fit_does_not():
    hosts = [f"localhost:{port}" for port in free_ports(2)]
    workers = []
    for index in range(2):
        task = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        environment = os.environ | {"TF_CONFIG": json.dumps(task), "CUDA_VISIBLE_DEVICES": ""}
        piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        workers.append(subprocess.Popen([sys.executable, "-c", WORKER], env=environment, **piped))
    said = [worker.communicate()[0] for worker in workers]
    assert all("FOUND" in text for text in said), "\n".join(said)
    found = [json.loads(text.rpartition("FOUND")[2]) for text in said]
    assert found[0]["weights"] == found[1]["weights"]
    rounding = 100 * np.finfo(np.float32).eps  # some hundred operations on numbers of about 1
    for weights, expected in zip(found[0]["weights"], by_hand()):
        np.testing.assert_allclose(weights, expected, atol=rounding)
    # where this fails, Keras has learnt it: then training_strategy can offer several hosts, and the card has to say so
    assert all("PerReplica" in host["fit"] for host in found)
