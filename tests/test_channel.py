"""What happened to a sound on its way is part of what is recovered: sign, filter, speed, altered samples."""

import numpy as np
import pytest
import scipy.signal
import tf1_wavegan

from models.audio.channels import one_channel
from models.generator.generator import Generator, generate, random_latent
from models.generator.loading import load_generator
from models.metrics.metrics import EXACT, latent_mse
from models.recovery import filter_words, speed
from models.recovery.altered import clicks, unaltered
from models.recovery.attempts import LevenbergMarquardt
from models.recovery.channel import Channelled
from models.recovery.filters import ORIGIN, Basis, BestChannel, filters, through, without
from models.recovery.noise import Noise, lapped, unlapped
from models.recovery.placing import Levels, Played
from models.recovery.recover import recover
from models.recovery.residual import Residual
from models.recovery.rooms import BEFORE, BestRoom, Room
from models.recovery.stretching import at, in_clip, in_recording

RATE = 16384


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    """A tiny WaveGAN of 8 latent dimensions."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tf1_wavegan.write(folder, latent_dim=8, width=2, seed=5)
    return load_generator(folder)


def smooth_noise(samples, seed=0):
    """Noise [samples, 1] below a quarter of the rate, faint at either end."""
    noise = np.random.default_rng(seed).normal(size=samples)
    sections = scipy.signal.butter(8, 0.5, output="sos")
    return (scipy.signal.sosfiltfilt(sections, noise) * np.hanning(samples))[:, None]


def high_pass(corner):
    return scipy.signal.butter(2, corner, "high", fs=RATE, output="sos")


def low_pass(corner):
    return scipy.signal.butter(8, corner, fs=RATE, output="sos")


@pytest.mark.parametrize("sections", [high_pass(20), high_pass(60), high_pass(300), low_pass(3400)])
def test_usual_filters_are_met_to_the_rounding_of_16_bits(sections):
    sound = smooth_noise(RATE)
    target = scipy.signal.sosfilt(sections, sound[:, 0])
    fit = BestChannel(Basis(RATE, RATE).columns(sound), target, lambda waves: waves, 1e-11)
    assert 10 * np.log10((target**2).sum() / (fit.residual**2).sum()) > 65


@pytest.mark.parametrize(
    "basis",
    [Basis(4096, RATE), Played(4096), Played(4096, 1, np.ones((2, 4096))), Levels(4096)],
    ids=["filters", "played", "beside another", "levels"],
)
def test_a_channel_is_what_its_columns_say_and_has_a_transpose(basis):
    rng = np.random.default_rng(1)
    sound, other = smooth_noise(4096, 1), smooth_noise(4096, 2)
    coefficients = rng.normal(size=basis.size)
    coefficients[-3 if getattr(basis, "moves", 2) == 1 else -1 :] = 0  # of what does not depend on the sound
    response = basis.response(coefficients)
    through_it = basis.filtered(sound, response)
    expected = (coefficients @ basis.columns(sound))[:, None]
    np.testing.assert_allclose(through_it, expected, atol=1e-9 * np.abs(expected).max())
    products = np.sum(through_it * other), np.sum(sound * basis.correlated(other, response))
    assert products[0] == pytest.approx(products[1], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("level", [0.0, 0.7])
def test_a_constant_has_a_room_that_explains_nothing(level):
    target = np.random.default_rng(4).normal(size=4096)
    best = BestRoom(Room(4096, 1e-2), np.full(4096, level), target, np.ones(4096))
    energy, left = ((target - target.mean()) ** 2).sum(), (best.residual**2).sum()
    assert np.isfinite(best.off(np.ones((2, 4096)))).all() and 0.8 * energy < left <= energy * (1 + 1e-9)


def test_a_room_is_the_best_sum_of_its_taps_without_writing_them_down():
    """Against plain least squares on every column, the penalty's square roots behind the samples."""
    rng, n = np.random.default_rng(0), 2000
    room, sound, target, weights = Room(n, 1e-3), rng.normal(size=n), rng.normal(size=n) + 0.3, np.zeros(n)
    weights[30:1900] = 0.7
    best = BestRoom(room, sound, target, weights)
    padded = np.pad(sound, n)
    columns = np.stack([*(padded[n + BEFORE - i :][:n] for i in range(room.taps)), np.ones(n)])
    held = 0.7 * np.hstack([np.diag(best.roots), np.zeros((room.taps, 1))])
    matrix, right = np.vstack([(columns * weights).T, held]), np.append(target * weights, np.zeros(room.taps))
    expected = np.linalg.lstsq(matrix, right)[0]
    np.testing.assert_allclose(best.coefficients, expected, atol=1e-9)
    np.testing.assert_allclose(best.residual, right - matrix @ expected, atol=1e-9)
    np.testing.assert_allclose(best.fitted, columns.T @ expected, atol=1e-9)
    rows = np.hstack([rng.normal(size=(3, n)) * weights, np.zeros((3, room.taps))]).T
    np.testing.assert_allclose(best.off(rows[:n].T), (rows - matrix @ np.linalg.lstsq(matrix, rows)[0]).T, atol=1e-9)
    response, others = room.response(expected), rng.normal(size=(2, n, 1))
    products = [np.sum(room.filtered(others[:1], response) * others[1]), others[0].ravel()]
    assert products[0] == pytest.approx(products[1] @ room.correlated(others[1:], response).ravel(), rel=1e-9)


def test_noise_is_weighed_by_a_transform_that_keeps_energies():
    waves = np.random.default_rng(0).normal(size=(2, 5000))
    np.testing.assert_allclose(unlapped(lapped(waves), 5000), waves, atol=1e-12)
    assert np.sum(lapped(waves) ** 2) == pytest.approx(np.sum(waves**2))
    remains = waves.T * np.array([1, 10])  # of two channels
    noise, others = Noise(remains), np.random.default_rng(1).normal(size=(2, 10000))
    weighed = noise.weighed(others)
    assert np.sum(weighed[0] * weighed[1]) == pytest.approx(others[0] @ noise.transposed(weighed[1]))
    assert noise.uneven and not Noise(waves[0][:, None]).uneven
    loud, faint = (np.abs(noise.weighed(remains.ravel())).reshape(2, -1) ** 2).mean(axis=1)
    assert loud == pytest.approx(faint, rel=0.1)


def test_hum_and_levels_that_change_are_told_from_the_sound(generator):
    true = random_latent(generator, 2, 8)
    sounds = generate(generator, true)
    times = np.arange(sounds.shape[1])[:, None] / generator.sample_rate
    hum = 0.2 * sounds.std() * np.sin(2 * np.pi * 50 * times + 1)
    targets = np.stack([sounds[0] + hum, sounds[1] * (0.3 + 0.7 * np.cos(3 * times) ** 2)]).astype(np.float32)
    found = recover(targets, generator, solver=LevenbergMarquardt(), only_exact=True)
    assert (latent_mse(true, found.z) < EXACT).all()
    levels = found[1].alignment.levels
    np.testing.assert_allclose(levels / levels[0], 0.3 + 0.7 * np.cos(3 * times[:, 0]) ** 2, atol=0.02)
    assert found[0].alignment.levels is None and found.snr_db[1] > 40


def test_gradients_of_what_no_filter_explains_are_its_differences(generator):
    z = random_latent(generator, 1, 3).astype(np.float64)
    targets = scipy.signal.sosfilt(high_pass(100), generate(generator, random_latent(generator, 1, 4)), axis=1)
    problem = Channelled(generator, targets, filters(generator))
    index = np.zeros(1, int)
    problem.linearise(z, index, np.zeros(1, np.float32), np.eye(8)[None])
    gradient = problem.gradients(z, index)[0]
    direction = gradient / np.linalg.norm(gradient)
    step = 1e-2
    ahead, back = (problem.evaluate(z + sign * step * direction, index)[0] for sign in (1, -1))
    assert (ahead - back) / (2 * step) == pytest.approx(gradient @ direction, rel=0.05)


def test_a_sound_that_was_turned_over_or_filtered_comes_back_exactly(generator):
    true = random_latent(generator, 3, 7)
    sounds = generate(generator, true)
    targets = np.stack(
        [-0.5 * sounds[0], *(scipy.signal.sosfilt(high_pass(60), sound, axis=0) for sound in sounds[1:])]
    )
    targets = (np.round(targets * 32768) / 32768).astype(np.float32)
    found = recover(targets, generator, solver=LevenbergMarquardt(), only_exact=True)
    assert (latent_mse(true, found.z) < EXACT).all() and (found.snr_db > 65).all()
    assert found.gain[0] == pytest.approx(-0.5, rel=1e-3) and found[0].alignment.filter is None
    for filter_found in (answer.alignment.filter for answer in found[1:]):
        assert np.linalg.norm(filter_found) == pytest.approx(1, rel=1e-3)
        assert np.abs(filter_found).argmax() == ORIGIN and filter_found[ORIGIN] > 0
    assert "below" in filter_words.described(found[1].alignment.filter, sounds[1], RATE)


def test_a_filter_is_undone_but_for_what_hardly_came_through():
    sound, taps = smooth_noise(4096, 3).astype(np.float32), np.zeros(4096, np.float32)
    taps[ORIGIN : ORIGIN + 2] = 0.9, -0.3
    back = without(through(sound, taps), taps)
    assert np.abs(back - sound).max() < 0.02 * np.abs(sound).max()


def test_a_sound_stretched_and_back_is_the_same_and_its_speed_is_found_to_first_order():
    sound = smooth_noise(8192, 4)
    played, known = at(sound, in_clip(8192, 0.99, 3.4))
    assert known[4096] == 1 and known[0] == 0
    back, _ = at(played, in_recording(8192, 0.99, 3.4))
    assert np.abs(back - sound)[200:-200].max() < 1e-3 * np.abs(sound).max()
    basis = Played(8192)
    near, _ = at(played, in_recording(8192, 0.99002, 3.5))
    fit = BestChannel(basis.columns(sound), near[:, 0], lambda waves: waves, 0)
    assert basis.refined(fit.coefficients, 0.99002, 3.5) == pytest.approx((0.99, 3.4), abs=0.05)  # half of what it was
    assert basis.refined(fit.coefficients, 0.99002, 3.5)[0] == pytest.approx(
        0.99, abs=1e-5
    )  # a twelfth of a sample at the ends


@pytest.mark.parametrize("turned", [1, -1])
def test_a_sound_that_a_clip_is_like_tells_its_speed_and_place(generator, turned):
    sound = smooth_noise(generator.num_samples, 6)
    played, _ = at(sound, in_clip(len(sound), 1.013, 47.0))
    for coarsely, sure, samples in ((True, 1e-3, 10), (False, 1e-4, 1)):
        found, shift, alike = speed.refined_by(
            (turned * played).astype(np.float32), generator, 1.0145, 40.0, sound, coarsely
        )
        assert found == pytest.approx(1.013, abs=sure) and shift == pytest.approx(47, abs=samples)
        assert (0.1 if coarsely else 0.8) < alike < 1.01  # to whole samples, and of what is below half a lower rate
    _, _, other = speed.refined_by(played.astype(np.float32), generator, 1.0145, 40.0, smooth_noise(len(sound), 7))
    assert other < 0.1


def test_words_for_speeds_name_a_wrong_header():
    assert speed.described(1.01, RATE) == "1.0 % slower" and speed.described(0.999, RATE) == "0.10 % faster"
    for rate in (16000, 16384):
        assert speed.described(1.024, rate) == "its header says 16,000 Hz, its samples are 16,384"
    assert speed.described(44100 / 48000, 48000) == "its header says 48,000 Hz, its samples are 44,100"


@pytest.mark.parametrize(
    "sections, words",
    [
        (high_pass(60), "filtered: -18 dB below 63 Hz"),
        (low_pass(3400), "filtered: -60 dB above 3,200 Hz"),
        (np.array([[1.0, 0, 0, 1, 0, 0]]), "filtered"),
    ],
)
def test_words_for_filters_name_the_bands(sections, words):
    impulse = np.zeros(RATE)
    impulse[0] = 1
    sound = scipy.signal.lfilter([1], [1, -0.9], np.random.default_rng(0).normal(size=(RATE, 1)), axis=0)
    assert filter_words.described(scipy.signal.sosfilt(sections, impulse), sound, RATE) == words


def test_the_louder_of_two_channels_that_differ_by_a_delay_or_a_sign_is_taken():
    sound = smooth_noise(8192, 5)[:, 0]
    late, other = np.roll(sound, 200), smooth_noise(8192, 6)[:, 0]
    assert np.array_equal(one_channel(np.column_stack([0.7 * late, sound]))[:, 0], sound)
    assert np.array_equal(one_channel(np.column_stack([sound, -0.7 * sound]))[:, 0], sound)
    for second in (0.7 * sound, other, np.zeros(8192)):
        assert np.array_equal(one_channel(np.column_stack([sound, second]))[:, 0], (sound + second) / 2)


def test_samples_that_hold_a_value_are_altered_and_clicks_stand_out():
    sound = smooth_noise(8192, 7)
    assert unaltered(sound).all()
    most = 0.5 * np.abs(sound).max()
    clipped = np.clip(sound, -most, most)
    assert np.array_equal(unaltered(clipped) == 0, np.abs(clipped) == most)
    cut = sound.copy()
    cut[3000:5000] = 0
    assert not unaltered(cut)[3000:5000].any() and unaltered(cut)[:3000].all() and unaltered(cut)[5000:].all()
    remains = 0.01 * np.random.default_rng(0).normal(size=(8192, 1))
    assert not clicks(remains, np.ones_like(remains)).any()
    remains[4000:4005] += 0.5
    assert clicks(remains, np.ones_like(remains))[4000:4005].all() and clicks(remains, np.ones_like(remains)).sum() < 20


def exactly(generator, z, recovery):
    errors = latent_mse(z, recovery.z)
    assert (errors < EXACT).all(), errors
    return recovery


def test_a_clipped_sample_bounds_the_sound_on_one_side(generator):
    z = random_latent(generator, 2, 11)
    sounds = generate(generator, z)
    most = 0.4 * np.abs(sounds).max(axis=(1, 2), keepdims=True)
    clipped = np.clip(sounds, -most, most)
    bounded = np.abs(clipped) == most
    problem = Residual(generator, clipped, present=~bounded.reshape(2, -1), bounded=bounded.reshape(2, -1))
    index = np.arange(2)
    assert (problem.evaluate(z, index) < 1e-12).all()  # farther from zero than the target, where that is clipped
    nearer = generate(generator, 0.5 * z)
    short = np.where(bounded, np.maximum(np.sign(clipped) * (clipped - nearer), 0), clipped - nearer)
    expected = 0.5 * (short**2).sum(axis=(1, 2)) / (clipped**2).sum(axis=(1, 2))
    np.testing.assert_allclose(problem.evaluate(0.5 * z, index), expected, rtol=1e-4)
    exactly(generator, z, recover(clipped, generator, solver=LevenbergMarquardt()))


def test_what_is_cut_is_told_from_what_a_generator_holds_by_itself(generator):
    """One whose sounds fade to silence in their second half; then a part of the first is cut."""
    fade = np.clip(np.linspace(3, -1, 16384), 0, 1).astype(np.float32) ** 2

    def fading(z):
        return generator(z)[..., 0] * fade

    own = Generator(fading, generator.latent_dim, "fading", "0")
    z = random_latent(own, 2, 12)
    sounds = generate(own, z)
    assert all(unaltered(sound, own).all() for sound in sounds) and unaltered(sounds[0], own).all()
    cut = sounds.copy()
    cut[:, 3000:6000] = 0
    for sound in cut:
        known = unaltered(sound, own)
        assert not known[3000:6000].any() and known[:3000].all() and known[6000:].all()
    exactly(own, z, recover(cut, own, solver=LevenbergMarquardt()))


def test_an_echo_is_found_with_its_delay(generator):
    z = random_latent(generator, 2, 13)
    sounds = generate(generator, z)
    late = np.pad(sounds, [(0, 0), (3001, 0), (0, 0)])[:, :16384]
    recovery = exactly(
        generator, z, recover(sounds - 0.4 * late, generator, solver=LevenbergMarquardt(channels=("echo",)))
    )
    for one in recovery:
        taps = one.alignment.filter
        assert np.abs(taps).argmax() == ORIGIN and np.abs(taps[ORIGIN + 2000 :]).argmax() == 1001
        assert taps[ORIGIN + 3001] / taps[ORIGIN] == pytest.approx(-0.4, abs=1e-3)


def test_a_click_is_only_what_has_most_of_what_remains():
    remains = 0.01 * np.random.default_rng(0).normal(size=(8192, 1))
    remains[4000:4005] += 0.5
    assert clicks(remains, np.ones_like(remains)).any()
    remains[:2000] *= 20  # as a local minimum leaves it
    assert not clicks(remains, np.ones_like(remains)).any()


def test_what_was_done_to_samples_is_said(generator):
    z = random_latent(generator, 3, 14)
    sounds = generate(generator, z)
    most = 0.4 * np.abs(sounds[0]).max()
    sounds[0] = np.clip(sounds[0], -most, most)
    sounds[1, 3000:6000] = 0
    sounds[2, 9000:9005] += np.abs(sounds[2]).max()
    recovery = exactly(generator, z, recover(sounds, generator, solver=LevenbergMarquardt()))
    assert [one.altered for one in recovery] == ["clipped", "silenced in places", "hit by a click"]
