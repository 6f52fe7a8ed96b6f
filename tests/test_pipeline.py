"""Reading recordings into memory, batches, augmentation."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from datasets import pipeline
from datasets.augmentation import Elsewhere
from datasets.layouts import find_dataset
from models.audio.clip import read_clip

UNCHANGED = Elsewhere(speed=0.0, pace=0.0, room=0.0, equalizer_db=0.0, noise_db=0.0)


@pytest.fixture
def recordings(tmp_path):
    """120 short tones in FSDD's layout, each of a frequency of its own."""
    for i in range(120):
        tone = 0.3 * np.sin(2 * np.pi * (200 + 20 * i) * np.arange(2000) / 8000)
        soundfile.write(tmp_path / f"{i % 10}_anna_{5 + i // 10}.wav", tone, 8000, subtype="PCM_16")
    return find_dataset(tmp_path)[2]


def tones(count=4, start=0, length=4000):
    waveform = np.zeros((count, 16384), np.float32)
    waveform[:, start : start + length] = 0.5 * np.sin(2 * np.pi * 440 * np.arange(length) / 16384)
    return tf.constant(waveform)


def test_every_file_is_read_once_whatever_the_number_of_epochs(recordings, monkeypatch):
    read = []
    monkeypatch.setattr(pipeline, "read_clip", lambda path, **options: read.append(path) or read_clip(path, **options))
    dataset, used, unreadable = pipeline.decoded(recordings)
    batches = pipeline.training_batches(dataset, used, 16, 0, Elsewhere())
    assert sum(len(digits) for _, digits in batches.take(3 * 120 // 16)) > 2 * 120
    assert sorted(read) == sorted(r.path for r in recordings) and used == recordings and not unreadable


def test_clips_and_labels_stay_together_and_in_order(recordings):
    dataset, used, _ = pipeline.decoded(recordings)
    waveforms, digits = (np.concatenate(x) for x in zip(*pipeline.evaluation_batches(dataset, 50).as_numpy_iterator()))
    assert waveforms.dtype == np.float32 and waveforms.shape == (120, 16384)
    assert list(digits) == [r.digit for r in used]
    assert np.abs(waveforms[7] - read_clip(used[7].path)).max() < 3e-4  # 16-bit floats


def test_shuffled_over_everything_anew_each_epoch_and_repeatable(recordings):
    dataset, used, _ = pipeline.decoded(recordings)

    def epochs(seed, skipped=0):
        batches = pipeline.training_batches(dataset, used, 40, seed, skipped=skipped).take(6 - skipped)
        return np.split(np.concatenate([waveform for waveform, _ in batches.as_numpy_iterator()]), 2 - skipped // 3)

    first, second = epochs(1)
    in_order = np.concatenate([w for w, _ in pipeline.evaluation_batches(dataset, 40).as_numpy_iterator()])
    place = [int(np.flatnonzero((in_order == clip).all(axis=1))[0]) for clip in first]
    assert sorted(place) == list(range(120))
    assert max(abs(np.array(place[:40]) - np.arange(40))) > 60  # from the other end of the list too
    assert not np.array_equal(first, second)
    assert np.array_equal(first, epochs(1)[0]) and not np.array_equal(first, epochs(2)[0])
    assert np.array_equal(second, epochs(1, skipped=3)[0])


def test_one_unreadable_file_is_named_and_skipped_many_are_an_error(recordings):
    recordings[3].path.write_bytes(b"not audio")
    dataset, used, unreadable = pipeline.decoded(recordings)
    assert len(used) == 119 and recordings[3] not in used and len(list(dataset)) == 119
    assert len(unreadable) == 1 and str(recordings[3].path) in unreadable[0]
    recordings[4].path.write_bytes(b"")
    with pytest.raises(ValueError, match="2 of 120 recordings cannot be read") as error:
        pipeline.decoded(recordings)
    assert "\n" not in str(error.value)


def test_augmentation_with_everything_off_changes_nothing():
    clip = tones()
    np.testing.assert_array_equal(UNCHANGED(clip, [1, 2]), clip)


def test_noise_stays_within_what_was_asked_for():
    clip = tones(200)
    noisy = replace(UNCHANGED, noise_db=10.0)(clip, [1, 2]).numpy()
    ratio = 10 * np.log10(np.sum(clip.numpy() ** 2, axis=1) / ((noisy - clip.numpy()) ** 2).sum(axis=1))
    assert 9.8 < ratio.min() < 14 and 45 < ratio.max() < 50.2


def test_speed_changes_the_pitch_within_its_bounds():
    changed = replace(UNCHANGED, speed=0.2)(tones(64), [3, 4]).numpy()
    pitch = np.abs(np.fft.rfft(changed)).argmax(axis=1)
    assert 360 <= pitch.min() < 400 and 485 < pitch.max() <= 532 and np.abs(changed).max() <= 0.5


def test_augmentation_repeats_with_its_seed_and_differs_between_clips():
    clip = tones(2)
    once, again, other = (Elsewhere()(clip, seed).numpy() for seed in ([1, 2], [1, 2], [1, 3]))
    assert np.array_equal(once, again) and not np.allclose(once, other) and not np.allclose(once[0], once[1])


def test_silence_stays_finite():
    assert np.isfinite(Elsewhere()(tf.zeros((2, 16384)), [0, 0])).all()


def peak_frequency(clips):
    """The strongest frequency of each clip of one second, Hz."""
    return np.abs(np.fft.rfft(clips)).argmax(axis=1)


def audible_seconds(clips):
    """Time within which each clip is above a tenth of its peak."""
    loud = np.abs(clips) > 0.1 * np.abs(clips).max(axis=1, keepdims=True)
    return (clips.shape[1] - loud[:, ::-1].argmax(axis=1) - loud.argmax(axis=1)) / 16384


def test_pace_changes_the_duration_and_keeps_the_pitch():
    time = np.arange(16384) / 16384
    tone = np.sin(2 * np.pi * 640 * time) * ((time > 0.3) & (time < 0.7))  # 0.4 s
    clips = np.repeat(tone[None], 16, axis=0).astype(np.float32)
    paced = replace(UNCHANGED, pace=0.5)(clips, [1, 2]).numpy()
    assert paced.shape == clips.shape and np.abs(peak_frequency(paced) - 640).max() <= 3  # the resolution of 0.3 s
    seconds = audible_seconds(paced)
    blur = 2 * 512 / 16384  # a vocoder's frame at either end
    assert seconds.min() >= 0.4 / 1.5 - blur and seconds.max() <= 0.4 * 1.5 + blur and np.ptp(seconds) > 0.1


def test_a_room_rings_on_after_the_sound_in_about_half_of_the_clips():
    clip = np.zeros((64, 16384), np.float32)
    clip[:, 1000:1100] = 0.5
    echoed = replace(UNCHANGED, room=0.5)(clip, [1, 2]).numpy()
    after = np.abs(echoed[:, 1200:]).sum(axis=1) > 1e-3
    assert 16 < after.sum() < 48 and np.allclose(echoed[:, :1000], 0, atol=1e-5) and np.isfinite(echoed).all()


def test_bands_are_cut_off_above_and_below_but_never_in_the_middle():
    clip = np.random.default_rng(0).normal(size=(64, 16384)).astype(np.float32)
    lost = 20 * np.log10(
        np.abs(np.fft.rfft(replace(UNCHANGED, equalizer_db=1e-9)(clip, [1, 2]).numpy()) / np.fft.rfft(clip))
    )
    assert np.abs(lost[:, 1000:1500]).max() < 1  # dB
    above, below = lost[:, 6000:7000].mean(axis=1), lost[:, 60:70].mean(axis=1)
    for part in (above, below):
        assert (part < -30).any() and (part > -3).any()  # 60 Hz above the lowest cut-off 2 dB are still lost


def test_displaced_batches_are_augmented_at_the_level_that_the_generator_knows(recordings):
    clips, used, _ = pipeline.decoded(recordings)
    plain, other, again = (
        next(pipeline.displaced_batches(clips, used, 4, 0, 3, augmentation).as_numpy_iterator())[0]
        for augmentation in (None, Elsewhere(), Elsewhere())
    )
    np.testing.assert_array_equal(other, again)
    np.testing.assert_allclose(np.abs(other).max(axis=1), np.abs(plain).max(axis=1), rtol=1e-5)
    assert (np.abs(other - plain).max(axis=1) > 0.01 * np.abs(plain).max(axis=1)).all()


@pytest.mark.parametrize("augmentation", [None, Elsewhere()], ids=["as they are", "augmented"])
def test_a_run_that_goes_on_gets_the_batches_that_it_would_have_had(recordings, augmentation):
    clips, used, _ = pipeline.decoded(recordings)
    for batches in (
        lambda skipped: pipeline.displaced_batches(clips, used, 8, 100, 3, augmentation, True, skipped),
        lambda skipped: pipeline.training_batches(clips, used, 8, 3, augmentation, True, skipped),
    ):
        whole, rest = (list(batches(n).take(20 - n).as_numpy_iterator()) for n in (0, 17))
        for (waveform, digit), (expected, known) in zip(rest, whole[17:], strict=True):
            np.testing.assert_array_equal(digit, known)
            np.testing.assert_array_equal(waveform, expected)


def test_digits_are_drawn_evenly_and_data_sets_evenly_within_a_digit(recordings):
    """Of 12 recordings a digit, of digit 0 three are of another data set, and of digit 1 only two remain."""
    several = [replace(r, dataset="other" if i < 3 else "FSDD") for i, r in enumerate(recordings)]
    several = [r for i, r in enumerate(several) if r.digit != 1 or i < 14]
    share = pipeline.shares(several)
    of = {(r.digit, r.dataset): 0.0 for r in several}
    for r, value in zip(several, share):
        of[r.digit, r.dataset] += value
    assert of[0, "other"] == pytest.approx(0.05) and of[0, "FSDD"] == pytest.approx(0.05)
    assert all(value == pytest.approx(0.1) for (digit, _), value in of.items() if digit)

    clips, used, _ = pipeline.decoded(several)
    originals = np.concatenate([w for w, _ in pipeline.evaluation_batches(clips, 40).as_numpy_iterator()])

    def drawn(count, seed):
        batches = pipeline.displaced_batches(clips, used, 50, 0, seed, balanced=True).take(count).as_numpy_iterator()
        waveforms, digits = (np.concatenate(parts) for parts in zip(*batches))
        return [int(np.flatnonzero((originals == clip).all(axis=1))[0]) for clip in waveforms], digits

    indices, digits = drawn(40, 1)
    assert [several[i].digit for i in indices] == list(digits)
    counted = np.bincount(digits, minlength=10)
    deviation = np.sqrt(2000 * 0.1 * 0.9)
    assert np.abs(counted - 200).max() < 4.5 * deviation  # each is off by more once in 100,000 draws
    other = sum(several[i].dataset == "other" for i in indices)
    assert abs(other - 100) < 4.5 * np.sqrt(2000 * 0.05 * 0.95)
    assert set(indices) == set(range(len(several)))
    assert drawn(3, 1)[0] == indices[:150] and drawn(3, 2)[0] != indices[:150]
