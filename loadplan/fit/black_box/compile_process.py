"""Process entry: compiles the simulator of a service into numba's cache; `fit.compiling` starts it."""

import numpy as np

from loadplan.child_process import die_with_parent
from loadplan.fit.black_box.simulate import draw_luck, simulate_service
from loadplan.fit.black_box.structures import ServiceLaw, ServiceStructure


def main() -> None:
    """Simulate one request: whatever a fit simulates has the types of these arguments."""
    die_with_parent()
    structure = ServiceStructure(sharing="shared", n_slots=1)
    law = ServiceLaw(structure=structure, request_s=1e-3, row_s=0.0, cpu_cv=0.1, delays_s=(0.0,))
    luck = draw_luck(1, np.random.default_rng(0))
    simulate_service(law, np.zeros(1), np.ones(1, dtype=np.int64), luck)


if __name__ == "__main__":
    main()
