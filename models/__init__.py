"""The library: what a notebook or another project imports. It knows no folder, no flag and no script.

For example, a recording's latent vector and its reconstruction:

    from models.audio import read_clip, write_wav
    from models.inverse_mapping import load_inverse_mapping
    from models.recovery import recover
    from models.wavegan import load_wavegan

    generator = load_wavegan("checkpoint/")  # z [n, 100] → [n, 16384, 1]
    mapping = load_inverse_mapping("inverse_mapping_checkpoint/", generator)  # [n, 16384] → z [n, 100]
    clip = read_clip("Audio_Examples/real/3.wav", preparation=generator.preparation)  # [16384]
    found = recover(clip[None], generator, inverse_mapping=mapping, gradient=False)
    write_wav("reconstruction.wav", found.waveforms[0])
"""
