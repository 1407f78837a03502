"""Student's t distribution, which scipy would give for forty megabytes more. Pure."""

from __future__ import annotations

from math import exp, lgamma, log, log1p

_TINY, _ENOUGH, _STEPS = 1e-300, 1e-15, 500


def tails(t: float, freedom: float) -> float:
    """How likely a value at least as far from 0 as `t` is, on either side."""
    return _beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def quantile(share: float, freedom: float) -> float:
    """The value below which `share` of the distribution lies."""
    if share < 0.5:
        return -quantile(1 - share, freedom)
    low, high, wanted = 0.0, 1.0, 2 * (1 - share)
    while tails(high, freedom) > wanted:
        low, high = high, high * 2
    for _step in range(100):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if tails(middle, freedom) > wanted else (low, middle)
    return (low + high) / 2


def _beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    # The fraction converges fast on this side only; the other is the rest of it.
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, 1 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    """Its continued fraction, by the method of Lentz (1976)."""
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d = 1 / _away(1 + step * d)
            c = _away(1 + step / c)
            value *= d * c
        if abs(d * c - 1) < _ENOUGH:
            break
    return value


def _away(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
