"""The facts of a generator: clip.json belongs to one, what is stated comes before it, and new facts make another."""

import json

from common.networks import open_generator

import numpy as np
import pytest
import tf1_wavegan

from models.files.errors import CheckpointError
from models.generator.codes import held, relaxed
from models.generator.facts import PUBLISHED_FACTS, Facts, read_facts, stated_facts
from models.generator.generator import random_latent
from models.generator.loading import load_generator


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny WaveGAN of 12 latent dimensions."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tf1_wavegan.write(folder, latent_dim=12, width=2, seed=5)
    return folder


def test_a_clip_json_of_another_generator_is_ignored_with_a_warning(tmp_path, capsys):
    tf1_wavegan.write(tmp_path, latent_dim=8, width=2, seed=5)
    own, generator = Facts(0.9, "center", 10), load_generator(tmp_path)
    own.write(tmp_path / "clip.json", generator.sha256)
    assert load_generator(tmp_path).facts == own and not load_generator(tmp_path).warnings
    tf1_wavegan.write(tmp_path, latent_dim=8, width=2, seed=6)  # other files saved over them
    assert open_generator(tmp_path).facts == PUBLISHED_FACTS
    error = capsys.readouterr().err
    assert "belongs to another generator" in error and error.count("\n") == 1
    own.write(tmp_path / "clip.json")
    assert load_generator(tmp_path).facts == own, "one that names no generator counts for whichever lies there"


def test_clip_json_travels_with_every_fact(tmp_path):
    assert read_facts(tmp_path / "clip.json") == (Facts(sample_rate=16000), {})
    rare = Facts(None, "start", 3, 22050, 2.0, "normal", "bits:3", 16384, 4, "z1", "sound", {"e": [0, 1]})
    for facts in (Facts(0.9, "center", 800), rare, Facts(prior="normal")):
        for generator in ("", "0123abcd"):
            facts.write(tmp_path / "clip.json", generator)
            read, said = read_facts(tmp_path / "clip.json")
            assert read == facts and said.get("generator", "") == generator
    assert "Infinity" not in (tmp_path / "clip.json").read_text()


@pytest.mark.parametrize(
    "text",
    [
        '{"peak": 7}', '{"peak": true}', '{"shift": -1}', '{"shift": 1.5}', '{"code": 3}', '{"code": ["onehot:2"]}',
        '{"bounds": 1' + 400 * "0" + "}", '{"bounds": 1' + 5000 * "0" + "}", '{"bounds": NaN}', '{"bounds": [1]}',
        '{"prior": {}}', '{"position": []}', '{"label": 1.0}', '{"label": false}', '{"latent": 3}', '{"level": 1}',
        '{"inputs": ["e"]}', '{"inputs": {"e": {}}}',
        "[" * 100000, '{"a":' * 50000, "[]", "null", "\x00", '{"sample_rate": 16000.0}',
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_a_clip_json_that_is_none_is_one_short_line(tmp_path, text):
    (tmp_path / "clip.json").write_text(text)
    with pytest.raises(ValueError, match="clip.json: not the facts of a generator") as refused:
        read_facts(tmp_path / "clip.json")
    assert "\n" not in str(refused.value) and len(str(refused.value)) < len(str(tmp_path)) + 300


def test_a_comma_ends_a_fact_where_a_name_follows():
    stated = stated_facts(
        'sample_rate=22050,code=onehot:2,bits:3@end, bounds=inf,peak=null,latent=0,inputs={"e":0,"f":1}'
    )
    expected = {"sample_rate": 22050, "code": "onehot:2,bits:3@end", "bounds": "inf", "peak": None, "latent": "0"}
    expected["inputs"] = {"e": 0, "f": 1}
    assert stated == expected and stated_facts("") == {}


def test_what_is_stated_comes_before_clip_json_and_new_facts_make_another_generator(folder):
    generator = load_generator(folder, "sample_rate=22050,code=onehot:10,bounds=1")
    other = generator.with_facts(bounds=4, code="bits:3")
    for one, bounds, code in ((generator, 1, "2"), (other, 4, "101")):
        size = one.codes.size
        assert one.sample_rate == 22050 and one.bounds == bounds and held(one, code).latent_dim == 12 - size
        assert np.abs(np.diag(relaxed(one).matrix)[one.codes.places]).max() == pytest.approx(1 / bounds)
        assert relaxed(one) is relaxed(one)
    with pytest.raises(AttributeError, match="with_facts"):
        generator.facts = other.facts
    z = random_latent(other, 2, 0)
    assert np.array_equal(generator(z), other(z))
    for wrong in ({"sample_rate": 1}, {"code": "onehot:13"}, {"latent": "other"}):
        with pytest.raises(ValueError):
            generator.with_facts(**wrong)


def test_facts_that_do_not_fit_the_weights_are_refused(folder, tmp_path):
    for facts in ("code=onehot:13", "num_samples=32768", "label=3"):
        with pytest.raises(CheckpointError) as refused:
            load_generator(folder, facts)
        assert "\n" not in str(refused.value) and facts.partition("=")[0] in str(refused.value)


@pytest.mark.parametrize("categories, words", [(10, "onehot:10"), (99, "99; the latent vector has 12 numbers")])
def test_missing_facts_are_asked_for(folder, tmp_path, capsys, categories, words):
    for path in folder.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "args.txt").write_text(f"num_categ,{categories}\n")
    assert open_generator(tmp_path).sample_rate == 16000
    said = capsys.readouterr().err
    assert 'write {"sample_rate": 22050} into clip.json there, or give --facts=sample_rate=22050' in said
    assert words in said and said.count("\n") == 2
    (tmp_path / "clip.json").write_text(json.dumps({"sample_rate": 22050, "code": "onehot:10"}))
    assert open_generator(tmp_path).codes.size == 10 and "write" not in capsys.readouterr().err
