"""Learning curves with fewer points that look like the whole."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Point = tuple[float, float]


def down_sample(points: Sequence[Point], most: int) -> list[Point]:
    """At most so many of a curve's points, chosen so that its shape is kept.

    Largest triangle, three buckets: the first and the last point stay; of each bucket between
    them, the one stays that spans the largest triangle with the one kept before it and the mean of
    the next bucket. So peaks stay, which means and every n-th point would lose.

    Args:
        points: (x, y) by ascending x. Those that are not finite are left out.
        most: at least 3.

    Raises:
        ValueError: `most` is less than 3.

    References:
        S. Steinarsson, "Downsampling Time Series for Visual Representation", MSc thesis, University
        of Iceland, 2013.
    """
    if most < 3:
        raise ValueError(f"expected at least 3 points to keep, got {most}")
    shown = [point for point in points if all(map(math.isfinite, point))]
    if len(shown) <= most:
        return shown
    table = np.array(shown, dtype=float)
    edges = np.linspace(1, len(table) - 1, most - 1).astype(int)
    kept = [0]
    for bucket in range(most - 2):
        start, end = edges[bucket], edges[bucket + 1]
        after = table[end : edges[bucket + 2] if bucket + 2 < len(edges) else None].mean(axis=0)
        to_after, to_each = after - table[kept[-1]], table[start:end] - table[kept[-1]]
        areas = np.abs(to_each[:, 0] * to_after[1] - to_each[:, 1] * to_after[0])
        kept.append(int(start + np.argmax(areas)))
    return [shown[index] for index in (*kept, -1)]
