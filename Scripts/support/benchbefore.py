"""Two builds side by side: the ratio of what they took in the same round.

A machine that is shared changes its speed from minute to minute, and both builds of a round meet nearly the same speed. So the median of
the rounds' ratios says more than the ratio of two medians, and its interval says how much.
"""

import random
import statistics

WORSE = 1.03
RESAMPLES = 2000


def ratios(samples):
    """For wall and processor time the median ratio and its 95 % interval, of samples round by round; empty unless both builds have all."""
    ours, theirs = (samples.get(name) or [] for name in ("s3mirror", "before"))
    if not ours or len(ours) != len(theirs):
        return {}
    return {what: interval([getattr(one, what) / getattr(other, what) for one, other in zip(ours, theirs)]) for what in ("wall", "cpu")}


def interval(values):
    """The median, and the 2.5th and the 97.5th percentile of the medians of resamples (Efron's bootstrap, 1979)."""
    random_values = random.Random(0)
    medians = sorted(statistics.median(random_values.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return statistics.median(values), medians[RESAMPLES // 40], medians[-RESAMPLES // 40 - 1]


def told(found):
    parts = [f"{what} {median:.3f} ({low:.3f} to {high:.3f})" for what, (median, low, high) in found.items()]
    return f"s3mirror / before, round by round, with 95 % intervals: {', '.join(parts)}"


def promises(results):
    """One sentence for each table in which this build is slower than allowed, or was not compared."""
    broken = []
    for each in results:
        if "before" not in each:
            broken.append(f"{each['title']}: the two builds have no figures of the same rounds")
        elif each["before"]["wall"][0] > WORSE:
            broken.append(f"{each['title']}: {each['before']['wall'][0]:.3f} of the time of the build before; the goal is {WORSE}")
    return broken
