"""How often the gate errs, live: `python -m tests.performance.gate [N_GATES] [BLOCKS]`. Prints, asserts nothing.

N gates (20) of the digits model against itself, and as many against services with a known law: one that takes 8 ms for
each request against one that takes 15 % more. Wanted: no gate of the same code fails, nine of ten of the others do.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from loadplan.gate import GateDesign, GateVerdict, failure_of
from loadplan.pipeline.gate import GateRequest, gate
from loadplan.pipeline.observer import Nobody
from loadplan.pipeline.road import run

_ROOT = Path(__file__).parents[2]
_SERVICE_S, _SLOWER = 0.008, 1.15


def main() -> None:
    """Two tables of exit codes, with every figure of every gate."""
    n_gates = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    n_blocks = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        end = run(_ROOT / "scenarios" / "digits.yaml", results=Path(name), until="export")
        model = str(end.folder / "models" / "fp32.onnx")
        fast, slow = (_fake(stack, ratio * _SERVICE_S) for ratio in (1.0, _SLOWER))
        request = GateRequest(rate_rps=None, duration_s=2.0, service=None)

        def of(base: str, head: str) -> Callable[[int], GateVerdict]:
            return lambda seed: gate(
                base,
                head,
                GateDesign(n_blocks=n_blocks, allowed_ratio=0.05, limits=(), seed=1000 * seed),
                request,
                observer=Nobody(),
            )

        _show("the same model", of(model, model), n_gates)
        _show("the same service", of(fast, fast), n_gates)
        _show(f"a service {_SLOWER - 1.0:.0%} slower", of(fast, slow), n_gates)


def _show(name: str, one: Callable[[int], GateVerdict], n_gates: int) -> None:
    codes = []
    for seed in range(n_gates):
        verdict = one(seed)
        codes.append(getattr(failure_of(verdict), "exit_code", 0))
        figures = ", ".join(
            f"{each.name} {each.finding}" + ("" if each.ratio is None else f" ×{each.ratio:.3f}")
            for each in verdict.compared
        )
        sys.stdout.write(f"{name:<24} gate {seed + 1:>2}: exit {codes[-1]}, {verdict.n_visits} visits, {figures}\n")
        sys.stdout.flush()
    counts = ", ".join(f"exit {code}: {codes.count(code)}" for code in (0, 1, 3))
    sys.stdout.write(f"{name:<24} {n_gates} gates: {counts}\n")


def _fake(stack: ExitStack, service_s: float) -> str:
    """A server in a process of its own that takes so long for each request; it ends with the stack."""
    law = f'{{"service_s": {service_s}, "is_single": true, "is_fast": true, "is_spinning": false}}'
    process = stack.enter_context(
        subprocess.Popen(
            [sys.executable, str(_ROOT / "tests" / "fakes" / "fake_server.py"), law],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stack.callback(process.stdin.close)  # at which the server ends
    return f"http://127.0.0.1:{int(process.stdout.readline())}/"


if __name__ == "__main__":
    main()
