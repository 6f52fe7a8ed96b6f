"""Finding and labelling recordings in the three layouts."""

import pytest

from datasets.layouts import counts, find_dataset, find_datasets


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def labels(recordings):
    return {r.path.name: (r.digit, r.speaker, r.split) for r in recordings}


def test_sc09(tmp_path):
    touch(
        tmp_path,
        "sc09/train/Zero_ab12_nohash_0.wav",
        "sc09/valid/Nine_cd_nohash_1.wav",
        "sc09/test/Six_ef_nohash_0.wav",
        "sc09/test/Bed_ef.wav",
    )
    layout, folder, recordings = find_dataset(tmp_path)
    assert (layout, folder) == ("SC09", tmp_path / "sc09")
    assert labels(recordings) == {
        "Zero_ab12_nohash_0.wav": (0, "ab12", "train"),
        "Nine_cd_nohash_1.wav": (9, "cd", "valid"),
        "Six_ef_nohash_0.wav": (6, "ef", "test"),
    }


def test_speech_commands_honours_its_lists_and_takes_digits_only(tmp_path):
    touch(
        tmp_path,
        "seven/a_nohash_0.wav",
        "seven/b_nohash_0.wav",
        "two/b_nohash_1.wav",
        "cat/a_nohash_0.wav",
        "_background_noise_/hum.wav",
    )
    (tmp_path / "validation_list.txt").write_text("cat/a_nohash_0.wav\nseven/b_nohash_0.wav\n")
    (tmp_path / "testing_list.txt").write_text("two/b_nohash_1.wav\n")
    layout, _, recordings = find_dataset(tmp_path)
    assert layout == "Speech Commands"
    assert sorted((r.path.parent.name, r.path.name, r.digit, r.split) for r in recordings) == [
        ("seven", "a_nohash_0.wav", 7, "train"),
        ("seven", "b_nohash_0.wav", 7, "valid"),
        ("two", "b_nohash_1.wav", 2, "test"),
    ]


def test_speech_commands_as_kaggle_packs_it_has_its_lists_beside_the_audio_folder(tmp_path):
    touch(
        tmp_path,
        "train/audio/seven/a_nohash_0.wav",
        "train/audio/seven/b_nohash_0.wav",
        "train/audio/two/b_nohash_1.wav",
    )
    (tmp_path / "train" / "validation_list.txt").write_text("seven/b_nohash_0.wav\n")
    (tmp_path / "train" / "testing_list.txt").write_text("two/b_nohash_1.wav\n")
    for folder in (tmp_path, tmp_path / "train", tmp_path / "train" / "audio"):
        layout, place, recordings = find_dataset(folder)
        assert (layout, place) == ("Speech Commands", tmp_path / "train" / "audio")
        assert [r.split for r in recordings] == ["test", "train", "valid"]


def test_fsdd_keeps_takes_0_to_4_for_testing(tmp_path):
    touch(tmp_path, *(f"free-spoken-digit-dataset/recordings/3_theo_{take}.wav" for take in range(50)))
    layout, _, recordings = find_dataset(tmp_path)  # two levels down, as the archive unpacks
    assert layout == "FSDD"
    splits = {int(r.path.stem.split("_")[2]): r.split for r in recordings}
    assert {take for take, split in splits.items() if split == "test"} == set(range(5))
    valid = {take for take, split in splits.items() if split == "valid"}
    assert 3 <= len(valid) <= 10 and min(valid) >= 5
    assert all(r.digit == 3 and r.speaker == "theo" for r in recordings)
    assert counts(recordings).splitlines()[-1].split() == [
        "test",
        "0",
        "0",
        "0",
        "5",
        "0",
        "0",
        "0",
        "0",
        "0",
        "0",
        "5",
    ]


def test_several_data_sets_keep_their_own_splits_and_names(tmp_path):
    touch(tmp_path / "a", "3_theo_2.wav", "3_theo_8.wav")
    touch(tmp_path / "b", "seven/c_nohash_0.wav", "seven/d_nohash_0.wav")
    (tmp_path / "b/testing_list.txt").write_text("seven/d_nohash_0.wav\n")
    touch(tmp_path / "c", "1_anna_0.wav", "2_anna_0.flac", "notes.txt")
    words, recordings = find_datasets(f"{tmp_path}/a/, {tmp_path}/b,{tmp_path}/c,{tmp_path}/a")
    assert [(r.dataset, r.digit, r.split) for r in recordings] == [
        ("FSDD", 3, "test"),
        ("FSDD", 3, "train"),
        ("Speech Commands", 7, "train"),
        ("Speech Commands", 7, "test"),
        (f"FSDD ({tmp_path}/c)", 1, "test"),
    ]
    more = " (sound files beside them, left out: 1)"
    assert words == f"FSDD in {tmp_path}/a, Speech Commands in {tmp_path}/b, FSDD in {tmp_path}/c{more}"
    for folders in (f"{tmp_path}/a,{tmp_path}/absent", ","):
        with pytest.raises(FileNotFoundError, match="datasets/README.md"):
            find_datasets(folders)


def test_nothing_there_is_said_in_one_line(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(FileNotFoundError, match=r"no SC09, Speech Commands or FSDD recordings") as error:
            find_dataset(folder)
        assert str(folder) in str(error.value) and "\n" not in str(error.value)
