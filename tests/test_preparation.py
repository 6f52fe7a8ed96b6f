"""clip.json belongs to one generator: files put over it are not treated as the one that was there."""

from common.networks import open_generator

import tf1_wavegan

from models.audio.preparation import PUBLISHED, Preparation
from models.generator.loading import load_generator


def test_a_clip_json_of_another_generator_is_ignored_with_a_warning(tmp_path, capsys):
    tf1_wavegan.write(tmp_path, latent_dim=8, width=2, seed=5)
    own, generator = Preparation(0.9, "center", 10), load_generator(tmp_path)
    own.write(tmp_path / "clip.json", generator.sha256)
    assert load_generator(tmp_path).preparation == own and not load_generator(tmp_path).warnings
    tf1_wavegan.write(tmp_path, latent_dim=8, width=2, seed=6)  # other files saved over them
    assert open_generator(tmp_path).preparation == PUBLISHED
    error = capsys.readouterr().err
    assert "belongs to another generator" in error and error.count("\n") == 1
    own.write(tmp_path / "clip.json")
    assert load_generator(tmp_path).preparation == own, "one that names no generator counts for whichever lies there"
