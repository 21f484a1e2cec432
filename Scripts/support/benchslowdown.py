"""What transfers get through, and how much is refused, at a server with a limit: `Scripts/bench slowdown`.

The server answers 503 SlowDown while it serves a number of requests, or to those beyond a number a second, as S3 does. S3's
own limits are 3,500 requests that write, or 5,500 that read, a second and prefix (AWS, "Best practices design patterns:
optimizing Amazon S3 performance").
"""

import benchnetwork

GOAL = 0.05  # of a client's requests may be refused
MANY = benchnetwork.MANY
LATENCY_MILLISECONDS = 15
RATE = 60_000_000  # bytes a second of a connection, so that large files need many
# What the server takes, as the sink is told it, and whether that limits large files too.
LIMITS = {
    "24 requests at one time": ("24/0", True),
    "1,000 requests a second": ("0/1000", False),
    "3,500 requests a second": ("0/3500", False),
}


def measure(options, work):
    ground = benchnetwork.Ground(options, work)
    taking_part = benchnetwork.contestants(ground.tools, options.only, (MANY,))
    ground.sink.ask(f"rate/{RATE}")
    ground.sink.delay(LATENCY_MILLISECONDS)
    results = []
    for limit, (asked, limits_large) in LIMITS.items():
        ground.sink.ask(f"limit/{asked}")
        for shape in ground.shapes:
            if options.cells in shape and (limits_large or "4 KiB" in shape):
                results.append(ground.cell(shape, f"the server takes {limit}", taking_part))
    ground.sink.stop()
    return results


def share(requests):
    """Of a client's requests, how many were refused."""
    return requests.get("SlowDown", 0) / max(sum(requests.values()), 1)


def promises(results):
    """One sentence for each table in which the default is refused more than allowed, or in which nothing is refused."""
    broken = []
    print()
    for each in results:
        shares = {name: share(figures["requests"]) for name, figures in each["clients"].items()}
        print(f"{each['title']}: refused " + ", ".join(f"{name} {value:.1%}" for name, value in shares.items()))
        if "s3mirror" not in shares:
            broken.append(f"{each['title']}: s3mirror has no sample")
        elif shares["s3mirror"] > GOAL:
            broken.append(f"{each['title']}: {shares['s3mirror']:.1%} refused; the goal is {GOAL:.0%}")
        if not any(shares.values()):
            broken.append(f"{each['title']}: nothing was refused, so the server showed no limit")
    return broken
