"""The array that every picture is here."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""uint8 (height, width, 3), RGB in sRGB; with a leading axis where there are several."""
