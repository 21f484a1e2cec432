"""Rounds of chaos: a training job, s3mirror and a real server, one fault in each. Called by Scripts/chaos."""

import argparse
import os
import pathlib
import random
import sys
import time

import chaosfaults
import chaosselftest
from chaoscampaign import Campaign
from ending import raise_on_signals


def plan(seed, count, names):
    """(seed, fault) of each round. A round's seed is the campaign's and its number, so it can be repeated alone."""
    if os.geteuid() != 0:
        names = [name for name in names if name not in chaosfaults.NEEDS_ROOT]
    found, turn = [], 0
    while len(found) < count and names:
        for name in names:
            if len(names) == 1 or name not in chaosfaults.RARE or turn % 4 == 0:
                found.append((seed + len(found), name))
        turn += 1
    return found[:count]


def table(results):
    """fault × rounds × violations × slowest recovery, as Markdown."""
    rows = ["| fault | rounds | harmed | violations | median recovery | slowest |", "|---|---:|---:|---:|---:|---:|"]
    for name in [*chaosfaults.FAULTS, "all"]:
        some = [each for each in results if name in (each.fault, "all")]
        if not some:
            continue
        times = sorted(each.recovery for each in some if each.recovery is not None)
        middle = f"{times[len(times) // 2]:.1f} s" if times else "–"
        slowest = f"{times[-1]:.1f} s" if times else "–"
        bad = sum(bool(each.violations) for each in some)
        harmed = sum(each.harmed for each in some)
        rows.append(f"| {name} | {len(some)} | {harmed} | {bad} | {middle} | {slowest} |")
    return "\n".join(rows)


def rules(results):
    counted = {}
    for each in results:
        for violation in each.violations:
            counted.setdefault(violation.rule, []).append(f"{each.fault} {each.seed}")
    return "\n".join(
        f"{rule}: {len(where)} ({', '.join(where[:6])}{', …' if len(where) > 6 else ''})"
        for rule, where in sorted(counted.items(), key=lambda item: -len(item[1]))
    )


# Rules with a time limit in seconds. On a busy machine they depend more on the machine than on the mirror. So the quick rounds,
# which are a test, print such findings and do not fail for them.
TIMED = {"recovery", "hang"}


def self_test(options):
    campaign = Campaign(options.s3mirror, options.keep, options.jobs)
    names = (None, *chaosselftest.PLANTS)
    campaign.run([(options.seed + number, "none", name) for number, name in enumerate(names)])
    is_good = chaosselftest.verdict(campaign.planted)
    print(f"the judge {'finds' if is_good else 'does not find'} all that is planted, seed {options.seed}")
    return 0 if is_good else 1


def main():
    parser = argparse.ArgumentParser(prog="Scripts/chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1 << 31))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", choices=list(chaosfaults.FAULTS), metavar="FAULT", help="; ".join(chaosfaults.FAULTS))
    parser.add_argument("--jobs", type=int, default=4, help="rounds at one time")
    parser.add_argument("--quick", action="store_true", help="one round of each of 30 faults")
    parser.add_argument("--sanitized", action="store_true", help="what a sanitizer takes of memory is not judged")
    parser.add_argument("--self-test", action="store_true", help="plant a violation of each rule, and find it")
    parser.add_argument("--markdown", action="store_true", help="print the table alone on standard output")
    parser.add_argument("--verbose", action="store_true", help="a line a round")
    parser.add_argument("--keep", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--s3mirror", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    raise_on_signals()
    if options.self_test:
        return self_test(options)
    names = [options.only] if options.only else chaosfaults.QUICK if options.quick else list(chaosfaults.FAULTS)
    if options.sanitized:
        names = [name for name in names if name not in chaosfaults.WEIGHED]
    rounds = plan(options.seed, options.rounds or len(names), names)
    if not rounds:
        raise SystemExit("chaos: this fault needs root")
    said = sys.stderr if options.markdown else sys.stdout
    print(f"{len(rounds)} rounds, seed {options.seed}, {options.jobs} at a time", file=said, flush=True)
    began = time.monotonic()
    campaign = Campaign(options.s3mirror, options.keep, options.jobs, options.verbose, said)
    campaign.is_weighed = not options.sanitized
    results = campaign.run(rounds)
    print(f"\n{table(results)}\n")
    if counted := rules(results):
        print(f"{counted}\n", file=said)
    bad = sum(bool(each.violations) for each in results)
    troubled = sum(bool(each.trouble) for each in results)
    judged = bad
    if options.quick:
        judged = sum(any(found.rule not in TIMED for found in each.violations) for each in results)
    print(
        f"{len(results)} rounds, {bad} with violations, {troubled} not carried out, "
        f"in {time.monotonic() - began:.0f} s, seed {options.seed}",
        file=said,
    )
    return 1 if judged or troubled else 0


if __name__ == "__main__":
    sys.exit(main())
