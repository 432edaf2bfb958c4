"""How certain a share is, in microseconds: a server tells it with each answer, and scipy takes seconds to import.

In: counts. Out: shares.
"""

import math

Interval = tuple[float, float]
_Z = 1.959963984540054
"""The 97.5th percentile of the normal distribution."""


def wilson_interval(successes: int, n: int) -> Interval:
    """95% interval of a share by the score test: Wilson 1927, doi:10.1080/01621459.1927.10502953. `n` is above 0."""
    share, spread = successes / n, _Z * _Z / n
    center = share + spread / 2
    width = _Z * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    # At the ends the bound is exact, and rounding is not.
    low = 0.0 if successes == 0 else (center - width) / (1 + spread)
    high = 1.0 if successes == n else (center + width) / (1 + spread)
    return low, high
