"""Preprocessing in plain Python and NumPy, from the definitions in the features' docstrings."""

import collections
import itertools
import math

import numpy as np


def vocabulary_of(values, missing, min_count=1, max_tokens=None):
    """Distinct values, most frequent first, ties in their own order."""
    counts = {}
    for value in values:
        if value != missing:
            counts[value] = counts.get(value, 0) + 1
    kept = [value for value in counts if counts[value] >= min_count]
    kept.sort(key=lambda value: (-counts[value], value))
    return kept[:max_tokens]


def vocabulary_id(value, vocabulary, missing):
    """0 for a missing value, 1 for an unknown one, then the vocabulary in order."""
    if value == missing:
        return 0
    return 2 + vocabulary.index(value) if value in vocabulary else 1


def hash_number(fingerprint, number):
    """The hash function `number` of a fingerprint: SplitMix64, `number` steps on; 0 as it is."""
    if number == 0:
        return fingerprint
    z = (fingerprint + number * 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def shared_by_chance(buckets, hashes):
    """Share of pairs of values with the same ids, in any order, by independent hash functions."""
    same = 0
    for ids in itertools.product(range(buckets), repeat=hashes):
        orders = math.factorial(hashes)
        for count in collections.Counter(ids).values():
            orders //= math.factorial(count)
        same += orders
    return same / buckets ** (2 * hashes)


def plain_id(value, num_ids):
    """0 for a missing value, 1 for one out of range, then the value itself."""
    if value == -1:
        return 0
    return 2 + value if 0 <= value < num_ids else 1


def fixed_length(ids, length, keep):
    """The first `length` ids that are no padding, or the last ones, the last first; then zeros."""
    present = [i for i in ids if i != 0]
    present = (present if keep == "first" else present[::-1])[:length]
    return present + [0] * (length - len(present))


def numeric_statistics(values, normalize):
    """Mean and standard deviation of the finite values, in float64."""
    if normalize is None:
        return 0.0, 1.0
    known = [transformed(float(x), normalize) for x in values if math.isfinite(x)]
    if not known:
        return 0.0, 1.0
    mean = math.fsum(known) / len(known)
    deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in known) / len(known))
    return mean, deviation if deviation > 1e-12 * max(1.0, abs(mean)) else 1.0


def transformed(x, normalize):
    return math.copysign(math.log1p(abs(x)), x) if normalize == "log" else x


def numeric(values, normalize, mean, deviation, clip):
    """Normalised values and their missing-value indicators, each (rows,)."""
    out, missing = [], []
    for x in values:
        if not math.isfinite(x):
            out.append(0.0)
            missing.append(1.0)
            continue
        y = (transformed(float(x), normalize) - mean) / deviation
        if clip is not None:
            y = min(max(y, -clip), clip)
        out.append(y)
        missing.append(0.0)
    return np.array(out), np.array(missing)
