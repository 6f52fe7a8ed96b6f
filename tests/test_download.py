"""Downloads that arrive whole, however often they are interrupted, against a server on the loopback address."""

import numpy as np
import pytest
from downloads import CONTENT, NOW, interrupted, is_whole, remote, sha256
from loopback import serving

from datasets.download import DownloadError, Remote, download


@pytest.mark.parametrize("length", [True, False], ids=["length", "chunks"])
def test_a_file_arrives_whole_and_is_not_asked_for_again(tmp_path, length):
    seen = []
    with serving(files={"/file": CONTENT}, length=length) as server:
        known = remote(server, size=len(CONTENT), sha256=sha256(CONTENT))
        found = download(known, tmp_path, lambda done, total: seen.append((done, total)))
        assert is_whole(tmp_path) and (found.size, found.sha256) == (len(CONTENT), sha256(CONTENT))
        assert download(known, tmp_path) == found
        assert server.asked == [("/file", None)]
    assert seen[0][0] == 0 and seen[-1] == (len(CONTENT), len(CONTENT)) and seen == sorted(seen)


def test_a_size_that_nobody_knows_stays_unknown(tmp_path):
    totals = set()
    with serving(files={"/file": CONTENT}, length=False) as server:
        download(remote(server), tmp_path, lambda done, total: totals.add(total))
    assert is_whole(tmp_path) and totals == {None}


@pytest.mark.parametrize("length", [True, False], ids=["length", "chunks"])
def test_a_cut_connection_is_taken_up_where_it_ended(tmp_path, length):
    with serving(files={"/file": CONTENT}, cut=120_000, length=length) as server:
        download(remote(server), tmp_path, pauses=NOW)
        assert server.asked == [("/file", None), ("/file", "bytes=120000-"), ("/file", "bytes=240000-")]
    assert is_whole(tmp_path)


DATE = "Mon, 01 Jan 2024 00:00:00 GMT"
VALIDATORS = {"tag": {}, "date": {"tagged": False, "date": DATE}, "none": {"tagged": False}, "weak tag": {"weak": True}}


@pytest.mark.parametrize("validator", VALIDATORS.values(), ids=VALIDATORS)
def test_an_interrupted_download_is_resumed(tmp_path, validator):
    seen = []
    with serving(files={"/file": CONTENT}, **validator) as server:
        kept = interrupted(server, tmp_path)
        download(remote(server), tmp_path, lambda done, total: seen.append(done))
        assert server.asked == [("/file", None), ("/file", f"bytes={kept}-")]
    assert is_whole(tmp_path) and seen[0] == kept


def test_a_server_that_answers_with_another_part_is_asked_for_everything(tmp_path):
    with serving(files={"/file": CONTENT}, elsewhere=1000) as server:
        interrupted(server, tmp_path)
        download(remote(server), tmp_path)
        assert [wanted is None for _, wanted in server.asked] == [True, False, True]
    assert is_whole(tmp_path)


def test_what_a_server_sends_behind_the_end_is_not_taken(tmp_path):
    with serving(files={"/file": CONTENT}, more=bytes(1000)) as server:
        download(remote(server), tmp_path)
    assert is_whole(tmp_path)


def test_a_server_without_ranges_sends_everything_again(tmp_path):
    with serving(files={"/file": CONTENT}, ranges=False) as server:
        interrupted(server, tmp_path)
        download(remote(server), tmp_path)
    assert is_whole(tmp_path)


@pytest.mark.parametrize("length", [len(CONTENT), len(CONTENT) + 1000, 50_000], ids=["same size", "longer", "shorter"])
@pytest.mark.parametrize("server_knows", [True, False], ids=["validator", "no validator"])
def test_a_file_that_changed_in_between_is_never_mixed(tmp_path, length, server_knows):
    changed = np.random.default_rng(1).bytes(length)
    with serving(files={"/file": CONTENT}, if_range=server_knows, tagged=server_knows) as server:
        interrupted(server, tmp_path)
        server.files["/file"] = changed
        if length == len(CONTENT) and not server_knows:  # nothing tells the two apart but the SHA-256
            with pytest.raises(DownloadError, match="SHA-256"):
                download(remote(server, sha256=sha256(changed)), tmp_path)
        download(remote(server, sha256=sha256(changed)), tmp_path)
    assert is_whole(tmp_path, changed)


def test_the_beginning_of_another_address_is_not_used(tmp_path):
    with serving(files={"/file": CONTENT, "/other": CONTENT[::-1]}, tagged=False) as server:
        interrupted(server, tmp_path)
        download(Remote(f"{server.address}/other", "file"), tmp_path)
    assert is_whole(tmp_path, CONTENT[::-1])
