"""Freq-HD's selection of frames."""

import numpy as np
import pytest

from dfer.clips.freq_hd import amplitudes, select, window_weights


def noise(*shape, seed=3):
    return np.random.RandomState(seed).randint(0, 256, (*shape, 3)).astype(np.uint8)


def test_amplitudes_are_those_of_the_authors_code():
    """Which reads blue first, and does not divide where it transforms back."""
    low, high = amplitudes(noise(7, 32, 32)[..., ::-1])
    expected_low = [3506761423.0, 3432951806.9, 3364180943.3, 3310809642.6]
    expected_high = [228125791.4, 227600519.8, 225463002.4, 222111496.6]
    np.testing.assert_allclose(low * 1024**2, expected_low, rtol=1e-6)
    np.testing.assert_allclose(high * 1024**2, expected_high, rtol=1e-6)


@pytest.mark.parametrize("shape", [(9, 20, 20), (6, 15, 22)])
def test_amplitudes_are_what_the_equations_say(shape):
    """With pictures that are transformed back, and a grey picture so that no weights matter."""
    frames = np.repeat(noise(*shape)[..., :1], 3, axis=-1)
    height, width = shape[1:]
    down, across = np.mgrid[:height, :width]
    distance = (down - height // 2) ** 2 + (across - width // 2) ** 2
    mask = np.exp(-distance / (2 * 5.0**2))
    found = amplitudes(frames, radius=5.0)
    for share, values in zip((mask, 1 - mask), found, strict=True):
        centred = np.fft.fftshift(np.fft.fft2(frames[..., 0]), axes=(1, 2))
        pictures = np.fft.ifft2(np.fft.ifftshift(centred * share, axes=(1, 2)))
        for start, value in enumerate(values):
            spectrum = np.fft.fft(pictures[start : start + 4].real, axis=0)
            power = np.abs(spectrum[2:]) ** 2
            np.testing.assert_allclose(power.sum(axis=0).mean() / 4, value, rtol=1e-5)


def test_windows_off_the_line_weigh_less():
    low = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0])
    high = low * 10
    on_line = window_weights(low, high)
    np.testing.assert_allclose(on_line, high / high.max() * len(high), rtol=1e-6)
    high[3] = 75.0  # 40 on the line
    weights = window_weights(low, high)
    assert weights[3] < weights.min(initial=np.inf, where=np.arange(7) != 3)


def test_the_part_that_moves_finely_is_selected():
    """Rather than the part that the light of the whole frame changes in."""
    frames = np.repeat(noise(1, 48, 48), 60, axis=0) // 4 + 60
    frames[20:30] = noise(10, 48, 48, seed=4) // 4 + 60
    frames[40:50] += np.tile([0, 60], 5).astype(np.uint8)[:, None, None, None]
    chosen = select(frames, 8)
    assert set(chosen) <= set(range(17, 33))
    assert np.array_equal(chosen, select(frames, 8))


@pytest.mark.parametrize("length", [1, 3, 4, 5, 6, 16, 17, 40])
@pytest.mark.parametrize("number", [1, 5, 16])
@pytest.mark.parametrize("still", [False, True])
def test_as_many_frames_as_asked_for_and_each_once_where_there_are_enough(length, number, still):
    frames = noise(length, 12, 10)
    if still:
        frames[:] = frames[0]
    chosen = select(frames, number)
    assert chosen.shape == (number,) and chosen.dtype == np.int64
    assert chosen.min() >= 0 and chosen.max() < length and (np.diff(chosen) >= 0).all()
    assert len(set(chosen)) == min(number, length)


def test_a_short_clip_is_sampled_evenly():
    assert select(noise(4, 8, 8), 8).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert select(noise(4, 8, 8), 2).tolist() == [1, 3]
