"""Heat over a picture, for every heat map that is shown."""

import matplotlib
import numpy as np


def heat_over(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Colour a picture by a heat map: the hotter, the more of the colour and the less picture.

    Args:
        picture: RGB (H, W, 3), 0 … 255.
        heat: float (H, W), 0 … 1; where it is 0, the picture stays as it is.

    Returns:
        uint8 RGB (H, W, 3).
    """
    coloured, hot = np.round(picture).astype(np.uint8), heat > 0
    colours = 255 * matplotlib.colormaps["inferno"](heat[hot])[:, :3]
    share = 0.75 * np.sqrt(heat[hot])[:, None]
    coloured[hot] = np.round(picture[hot] * (1 - share) + colours * share)
    return coloured
