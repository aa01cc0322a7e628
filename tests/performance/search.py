"""How near the capacity search comes, and how seldom it claims too much: `python tests/performance/search.py [N]`.

In virtual time, so the figures are the same on every machine: N searches (200) of an M/M/1 server and of an M/D/1 one,
whose capacities are known in closed form. Prints, asserts nothing; it takes minutes.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))  # the servers are those of the tests

from tests.theory.test_capacity_search import SERVERS, search


def main() -> None:
    """One line per server."""
    n_searches = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    for name in ("M/M/1", "M/D/1", "without memory"):
        server, true_rps, _ = SERVERS[name]
        found = [search(server, seed) for seed in range(n_searches)]
        claims = np.array([one.usable_rps or 0.0 for one in found]) / true_rps
        n_probes = [len(one.probes) for one in found]
        sys.stdout.write(
            f"{name}: {n_searches} searches, claim over truth median {np.median(claims):.3f} "
            f"({claims.min():.3f} to {claims.max():.3f}), within 5 % {np.mean(abs(claims - 1.0) <= 0.05):.1%}, "
            f"too high {np.mean(claims > 1.0):.1%}, by 3 % {np.mean(claims >= 1.03):.1%}, "
            f"probes {np.mean(n_probes):.1f} (at most {max(n_probes)})\n"
        )


if __name__ == "__main__":
    main()
