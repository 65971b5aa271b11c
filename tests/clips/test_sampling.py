"""Frame sampling: one frame from each of T equal segments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfer.clips.sampling import SAMPLERS, sample_frames


def test_middle_frames_by_hand():
    assert sample_frames(16, 8, None).tolist() == [1, 3, 5, 7, 9, 11, 13, 15]
    assert sample_frames(24, 8, None).tolist() == [1, 4, 7, 10, 13, 16, 19, 22]
    assert sample_frames(4, 8, None).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert sample_frames(1, 8, None).tolist() == [0] * 8


@given(st.integers(1, 400), st.integers(1, 32), st.integers(0, 2**32))
def test_every_frame_lies_in_its_segment(length, frames, seed):
    chosen = sample_frames(length, frames, np.random.default_rng(seed))
    assert len(chosen) == frames
    for segment, frame in enumerate(chosen):
        # frame's interval [frame, frame + 1) meets the segment's [s·length/T, (s + 1)·length/T)
        assert 0 <= frame < length
        assert frame < (segment + 1) * length / frames
        assert frame + 1 > segment * length / frames


def test_a_long_clip_has_all_its_frames_drawn():
    drawn = {
        int(frame)
        for seed in range(400)
        for frame in sample_frames(20, 8, np.random.default_rng(seed))
    }
    assert drawn == set(range(20))


def test_dfer_clip_s_segments_have_whole_numbers_of_frames():
    """In training the rest of a clip is never seen; in test the middles are those of `segments`."""
    drawn = np.stack(
        [sample_frames(39, 16, np.random.default_rng(n), "dfer_clip") for n in range(200)]
    )
    offsets = drawn - 2 * np.arange(16)
    assert set(offsets.flatten()) == {0, 1}
    for length in (17, 39, 160):
        middles = sample_frames(length, 16, None)
        assert sample_frames(length, 16, None, "dfer_clip").tolist() == middles.tolist()
        by_hand = [int(length / 32 + k * length / 16) for k in range(16)]
        assert middles.tolist() == by_hand


def test_dfer_clip_shows_a_short_clip_whole_and_repeats_its_last_frame():
    for rng in (None, np.random.default_rng(0)):
        assert sample_frames(3, 8, rng, "dfer_clip").tolist() == [0, 1, 2, 2, 2, 2, 2, 2]
        assert sample_frames(8, 8, rng, "dfer_clip").tolist() == list(range(8))


def test_middle_frames_are_those_of_test():
    rng = np.random.default_rng(0)
    assert sample_frames(37, 8, rng, "middle").tolist() == sample_frames(37, 8, None).tolist()


@pytest.mark.parametrize("sampler", SAMPLERS)
@given(st.integers(1, 400), st.sampled_from([7, 14, 35]), st.integers(0, 2**32))
def test_every_sampler_gives_frames_that_there_are(sampler, length, frames, seed):
    frames += frames % 2 * (sampler == "pairs")
    for rng in (None, np.random.default_rng(seed)):
        chosen = sample_frames(length, frames, rng, sampler)
        assert len(chosen) == frames and chosen.dtype == np.int64
        assert chosen.min() >= 0 and chosen.max() < length


def test_pairs_are_of_neighbours():
    """8 × 2 of 33 frames: a step of 4, from a random one of the 4 frames of each segment."""
    drawn = np.stack([sample_frames(33, 16, np.random.default_rng(n), "pairs") for n in range(99)])
    starts = drawn[:, ::2]
    assert np.all(drawn[:, 1::2] == starts + 1)
    assert {*(starts - 4 * np.arange(8)).flatten()} == {0, 1, 2, 3}
    found = sample_frames(33, 16, None, "pairs").tolist()
    assert found[::2] == [2, 6, 10, 14, 18, 22, 26, 30]
    assert sample_frames(20, 16, None, "pairs").tolist()[::2] == [1, 3, 5, 8, 10, 13, 15, 17]


def test_pairs_of_a_short_clip_are_its_first_two_frames():
    for length, rng in ((8, np.random.default_rng(0)), (9, None), (3, None)):
        assert sample_frames(length, 16, rng, "pairs").tolist() == [0, 1] * 8
    assert sample_frames(1, 16, None, "pairs").tolist() == [0] * 16


def test_a_grid_s_rest_is_never_seen_and_a_short_clip_shows_one_frame():
    rng = np.random.default_rng(0)
    drawn = np.stack([sample_frames(47, 16, rng, "grid") for _ in range(99)])
    assert {*(drawn - 2 * np.arange(16)).flatten()} == {0, 1}
    assert sample_frames(48, 16, None, "grid").tolist() == list(range(1, 48, 3))
    assert sample_frames(16, 16, rng, "grid").tolist() == list(range(16))
    for length, own in ((15, rng), (16, None)):
        assert sample_frames(length, 16, own, "grid").tolist() == [0] * 16


def test_a_shifted_grid_may_break_the_order():
    rng = np.random.default_rng(0)
    drawn = np.stack([sample_frames(64, 16, rng, "shifted") for _ in range(200)])
    shifts = drawn - 4 * np.arange(16)
    assert {*shifts[:, 0]} == set(range(16)) and np.any(np.diff(drawn) < 0)
    assert sample_frames(64, 16, None, "shifted").tolist() == [
        *range(8, 64, 4),
        *[63, 63],  # no frame lies behind the last
    ]


def test_ordered_frames_are_different_where_there_are_enough():
    rng = np.random.default_rng(0)
    for _ in range(50):
        assert np.all(np.diff(sample_frames(17, 16, rng, "ordered")) > 0)
    counts = np.bincount(sample_frames(5, 16, rng, "ordered"), minlength=5)
    assert counts.sum() == 16 and counts.max() <= 4  # of four times the clip
    assert sample_frames(31, 16, None, "ordered").tolist() == list(range(0, 31, 2))
    assert sample_frames(20, 4, None, "ordered").tolist() == [0, 6, 12, 19]


def test_snippets_overlap_and_lie_within_75_of_105_frames():
    own = sample_frames(105, 35, None, "snippets").reshape(7, 5)
    assert own[0].tolist() == [15, 18, 21, 24, 27] and np.all(np.diff(own, axis=0) == 10)
    rng, firsts = np.random.default_rng(0), set()
    for _ in range(200):
        windows = sample_frames(105, 35, rng, "snippets").reshape(7, 5)
        assert np.all(np.diff(windows) > 0) and np.all(np.ptp(windows, axis=1) < 15)
        firsts.add(int((windows - 10 * np.arange(7)[:, None]).min()))
    assert min(firsts) == 0 and 27 <= max(firsts) <= 32
    assert np.array_equal(sample_frames(210, 35, None, "snippets"), 2 * own.flatten())
