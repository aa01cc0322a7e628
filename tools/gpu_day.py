"""Everything to be done while a GPU machine is at hand, in one go: `python tools/gpu_day.py`, beside nothing else.

Each step is a process of its own with a time limit, so that one that fails or hangs costs the others nothing; all
together take as long as `--within` says, ten minutes by default, the most telling steps first. What each step found
lies in OUT/STEP.json from the moment it is known, and at the end OUT/log.md tells all of it; the profile to plan on is
OUT/GPU.parquet. `--dry-run` walks the same steps on the CPU, with small sizes, to find out beforehand whether they
work. results/profiles/README.md says what becomes of it.

Install first what the machine needs: `pip install ".[gpu,sklearn,torch]"`, in an environment without onnxruntime.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from gpu_steps import ROOT, STEPS, Day, Log

_LEAST_S = 10.0  # a step with less time left is not begun


def main(arguments: Sequence[str]) -> int:
    """Walk the steps, or be the process of one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "gpu-day")
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, with small sizes")
    parser.add_argument("--within", type=float, default=570.0, metavar="S", help="for all steps together")
    parser.add_argument("--steps", default=",".join(STEPS), help="which, in their order")
    parser.add_argument("--only", choices=STEPS, help=argparse.SUPPRESS)  # the process of one step
    asked = parser.parse_args(arguments)
    day = Day(provider="CPU" if asked.dry_run else "CUDA", out=asked.out.absolute(), is_rehearsal=asked.dry_run)
    day.out.mkdir(parents=True, exist_ok=True)
    if asked.only:
        STEPS[asked.only].make(day, Log(day.out / f"{asked.only}.json"))
        return 0
    deadline_s = time.monotonic() + asked.within
    ends = {name: _walk(name, day, deadline_s, arguments) for name in asked.steps.split(",")}
    (day.out / "log.md").write_text(_page(day, ends))
    sys.stdout.write(f"{day.out / 'log.md'}\n")
    return int(any(not end.startswith("done") for end in ends.values()))


def _walk(name: str, day: Day, deadline_s: float, arguments: Sequence[str]) -> str:
    """How a step ended, in a few words."""
    left_s = deadline_s - time.monotonic()
    if left_s < _LEAST_S:
        return "not begun: the time was over"
    limit_s = min(STEPS[name].limit_s, left_s)
    begin_s = time.monotonic()
    sys.stdout.write(f"{name}: up to {limit_s:.0f} s\n")
    sys.stdout.flush()
    with (day.out / f"{name}.out").open("w") as said:
        child = subprocess.Popen(
            [sys.executable, __file__, *arguments, "--only", name],
            stdout=said,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
            },
            start_new_session=True,
        )
        try:
            code = child.wait(limit_s)
            end = "done" if code == 0 else f"failed with exit code {code}"
        except subprocess.TimeoutExpired:
            end = "stopped at its limit"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # with whatever it started
            child.wait()
    return f"{end} after {time.monotonic() - begin_s:.0f} s"


def _page(day: Day, ends: dict[str, str]) -> str:
    lines = [f"# {'A rehearsal on the CPU' if day.is_rehearsal else 'A day with a GPU'}, {date.today()}", ""]
    lines += [f"- {name}: {end}" for name, end in ends.items()]
    for name, end in ends.items():
        path, said = day.out / f"{name}.json", day.out / f"{name}.out"
        lines += ["", f"## {name}", "", "```json", path.read_text().rstrip() if path.exists() else "{}", "```"]
        if not end.startswith("done") and said.exists():
            lines += ["", "```", *said.read_text(errors="replace").splitlines()[-30:], "```"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
