"""The library: what a notebook or another project imports. It knows no folder, no flag and no script.

Its rooms, each of which imports only those before it:

- files/      whole writes, saved networks, files that belong together, errors
- audio/      the clip: reading, preparing, windows, what networks see of it
- generator/  a checkpoint of any kind → a differentiable function with its Jacobian; a reader for each format
- networks/   the ResNet, the classifier, the judge, the inverse mapping, the authors' files
- metrics/    how close a reconstruction is
- recovery/   a latent vector from a waveform: recover(); a Problem goes into a solver, an Answer comes out
- training/   what only the training scripts need

Where a new thing goes:

- a solver: a file in recovery/, of the shape that recovery/problem.py describes
- one more thing to try with a clip that may be the generator's own: a row in recovery/attempts.py
- a format of generators: a file in generator/readers/, called by generator/loading.py: `_generator_in` recognises the
  file, `_frozen` or `_read` makes a function of it
- a discriminator: a network and its view in training/wavegan/discriminators.py, added by `Discriminators`
- a layout of recordings: outside the library, a function in datasets/layouts.py

For example, a recording's latent vector and its reconstruction:

    from models.audio.clip import read_clip, write_wav
    from models.networks.inverse_mapping import load_inverse_mapping
    from models.recovery.perceptual import Perceptual
    from models.recovery.recover import recover
    from models.recovery.starts import predict
    from models.generator.loading import load_generator

    generator = load_generator("checkpoint/")  # z [n, 100] → [n, 16384, 1]
    mapping = load_inverse_mapping("inverse_mapping_checkpoint/", generator)  # [n, 16384] → z [n, 100]
    clip = read_clip("Audio_Examples/real/3.wav", preparation=generator.preparation)  # [16384]
    start = predict(clip[None], mapping)  # z [1, 100]
    recovery = recover(clip[None], generator, start=start, solver=Perceptual())  # without a solver: the prediction
    write_wav("reconstruction.wav", recovery.waveforms[0])
"""
