"""Frame sampling: one frame from each of T equal segments."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dfer.clips.sampling import sample_frames


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
