"""How near the capacity search comes, and how seldom it claims too much: `python -m tests.performance.search [N]`.

In virtual time, so the figures are the same on every machine: N searches (200) of each server of the tests, whose
capacities are known, and as many single probes at 1.03 times the capacity. Prints, asserts nothing; it takes minutes.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))  # the servers are those of the tests

from tests.theory.test_capacity_search import SERVERS, ratio_wrongly_passing, search

_LENGTHS = (3_000, 10_000, 100_000)


def main() -> None:
    """Two lines per server."""
    n_searches = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    for name, (server, capacity) in SERVERS.items():
        true_rps = capacity()
        found = [search(server, seed) for seed in range(n_searches)]
        claims = np.array([one.usable_rps or 0.0 for one in found]) / true_rps
        n_probes = [len(one.probes) for one in found]
        sys.stdout.write(
            f"{name}: {n_searches} searches, claim over truth median {np.median(claims):.3f} "
            f"({claims.min():.3f} to {claims.max():.3f}), within 5 % {np.mean(abs(claims - 1.0) <= 0.05):.1%}, "
            f"too high {np.mean(claims > 1.0):.1%}, by 3 % {np.mean(claims >= 1.03):.1%}, "
            f"probes {np.mean(n_probes):.1f} (at most {max(n_probes)})\n"
        )
        passing = ", ".join(f"{n:,} requests {ratio_wrongly_passing(name, n):.1%}" for n in _LENGTHS)
        sys.stdout.write(f"{name}: of single probes at 1.03 times the capacity pass, by their length: {passing}\n")


if __name__ == "__main__":
    main()
