"""Draw star profiles, textures and streaks into a plane of rates.

A profile is a table over ``u = 1 / (1 + q)``, where ``q`` is the elliptical distance squared in units
of the profile's width: a Moffat is then the smooth ``u**beta`` and one division and one look-up replace
a power. Pixels are integrated by Gauss-Legendre quadrature (3 x 3 points in the core, 2 x 2 outside).
A plane may be a color mosaic: ``phase[y % rows, x % columns]`` names the column of the level that a
pixel takes.
"""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit

__all__ = ["add_stars", "add_streak", "add_texture"]

NODE3, END3, MID3 = 0.3872983346207417, 5.0 / 18.0, 8.0 / 18.0  # Gauss-Legendre on one pixel, 3 and 2 points
NODE2 = 0.28867513459481287  # 1 / (2 sqrt 3): Gauss-Legendre with two nodes over a pixel


@inner
def _pixel(dx, dy, a, b, c, table, nodes, weights):
    """Return the mean of the profile over the pixel centered at (dx, dy) from the star."""
    scale = table.size - 1
    total = 0.0
    for j in range(nodes.size):
        v = dy + nodes[j]
        row = 0.0
        for i in range(nodes.size):
            u = dx + nodes[i]
            t = scale / (1.0 + (a * u + 2.0 * b * v) * u + c * v * v)
            k = int(t)
            if k >= scale:  # u = 1 exactly: the center of the star
                row += weights[i] * table[scale]
            else:
                f = t - k
                row += weights[i] * (table[k] * (1.0 - f) + table[k + 1] * f)
        total += weights[j] * row
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def add_stars(plane, phase, x, y, rate, ellipse, radius, core, table, trail):
    """Add stars to `plane` in place.

    ``plane`` float32[y, x]; ``phase`` int64[2, 2] (X-Trans [6, 6]); ``x, y`` float64[star] [pixel]; ``rate``
    float64[star, channel], already divided by the profile's integral; ``ellipse`` float64[star, 3]
    (a, b, c of q = a dx2 + 2 b dx dy + c dy2); ``radius, core`` float64[star] half sizes of the
    stamp and of its finely integrated part [pixel]; ``table`` float64 profile over u;
    ``trail`` float64[node, 3] (dx, dy, weight), one row (0, 0, 1) for a round star.
    """
    rows, columns = plane.shape
    fine, fine_weight = np.array([-NODE3, 0.0, NODE3]), np.array([END3, MID3, END3])
    coarse, coarse_weight = np.array([-NODE2, NODE2]), np.array([0.5, 0.5])
    for s in range(x.size):
        for n in range(trail.shape[0]):
            cx, cy = x[s] + trail[n, 0], y[s] + trail[n, 1]
            r, inner = radius[s], core[s]
            x0, x1 = max(0, int(np.ceil(cx - r))), min(columns - 1, int(np.floor(cx + r)))
            y0, y1 = max(0, int(np.ceil(cy - r))), min(rows - 1, int(np.floor(cy + r)))
            a, b, c = ellipse[s, 0], ellipse[s, 1], ellipse[s, 2]
            for j in range(y0, y1 + 1):
                dy = j - cy
                for i in range(x0, x1 + 1):
                    dx = i - cx
                    near = dx * dx + dy * dy
                    if near > r * r:
                        continue
                    if near < inner * inner:
                        value = _pixel(dx, dy, a, b, c, table, fine, fine_weight)
                    else:
                        value = _pixel(dx, dy, a, b, c, table, coarse, coarse_weight)
                    plane[j, i] += (
                        value * trail[n, 2] * rate[s, phase[j % phase.shape[0], i % phase.shape[1]]]
                    )


@njit(nogil=True, cache=True, error_model="numpy")
def add_texture(plane, phase, texture, level, map_x, map_y):
    """Add ``level[channel] * texture`` to `plane` in place, bilinear, nothing outside the texture.

    ``map_x, map_y`` float64[10] are cubic polynomials from (x, y) in pixel to texture pixels, terms
    1; x, y; x2, xy, y2; x3, x2y, xy2, y3.
    """
    rows, columns = plane.shape
    height, width = texture.shape
    for j in range(rows):
        v = float(j)
        v2 = v * v
        # For one row the map is a cubic in x.
        a0 = map_x[0] + map_x[2] * v + map_x[5] * v2 + map_x[9] * v2 * v
        a1 = map_x[1] + map_x[4] * v + map_x[8] * v2
        a2 = map_x[3] + map_x[7] * v
        b0 = map_y[0] + map_y[2] * v + map_y[5] * v2 + map_y[9] * v2 * v
        b1 = map_y[1] + map_y[4] * v + map_y[8] * v2
        b2 = map_y[3] + map_y[7] * v
        for i in range(columns):
            u = float(i)
            tx = a0 + u * (a1 + u * (a2 + u * map_x[6]))
            ty = b0 + u * (b1 + u * (b2 + u * map_y[6]))
            if not (tx >= 0.0 and ty >= 0.0 and tx < width - 1 and ty < height - 1):
                continue
            k, m = int(tx), int(ty)
            f, g = tx - k, ty - m
            low = texture[m, k] * (1.0 - f) + texture[m, k + 1] * f
            high = texture[m + 1, k] * (1.0 - f) + texture[m + 1, k + 1] * f
            plane[j, i] += level[phase[j % phase.shape[0], i % phase.shape[1]]] * (low * (1.0 - g) + high * g)


@njit(nogil=True, cache=True, error_model="numpy")
def add_streak(plane, x0, y0, x1, y1, sigma, level):
    """Add a straight streak of Gaussian cross-section to `plane` in place.

    From (x0, y0) to (x1, y1) [pixel]; ``level`` is the light per pixel of length.
    """
    rows, columns = plane.shape
    length = np.hypot(x1 - x0, y1 - y0)
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    peak, reach = level / (sigma * np.sqrt(2.0 * np.pi)), 5.0 * sigma
    for j in range(rows):
        for i in range(columns):
            along = (i - x0) * ux + (j - y0) * uy
            across = (j - y0) * ux - (i - x0) * uy
            if along >= 0.0 and along <= length and abs(across) < reach:
                plane[j, i] += peak * np.exp(-0.5 * (across / sigma) ** 2)
