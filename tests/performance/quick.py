"""How long a first answer takes: `python -m tests.performance.quick`. Prints.

Of the digits model as an ONNX file, each time from the start to the end of the process: first on empty caches, where
the simulator is compiled and nothing is known of the server's costs, then on those that the first left. Seconds on the
wall, with what each stage took of them. Wanted: 60 s on two cores.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def main() -> None:
    """Export the model, then ask twice."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = _exported(folder)
        caches = {"NUMBA_CACHE_DIR": str(folder / "numba"), "XDG_CACHE_HOME": str(folder / "cache")}
        for said in ("empty caches", "their second use"):
            began_s = time.monotonic()
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "loadplan", "quick", str(model), "--peak-rps", "300", "--p99-ms", "50"),
                    *("--fresh", "-o", str(folder / "results")),
                ],
                env={**os.environ, **caches},
                capture_output=True,
                text=True,
                check=False,
            )
            wall_s = time.monotonic() - began_s
            sys.stdout.write(f"{said:<16} {wall_s:5.1f} s, exit code {done.returncode}\n")
            stages = [line for line in done.stderr.splitlines() if " done: " in line or line.startswith("error:")]
            sys.stdout.write("".join(f"  {line}\n" for line in stages))


def _exported(folder: Path) -> Path:
    """The model as a user would hand it over."""
    command = [sys.executable, "-m", "loadplan", "export", "scenarios/digits.yaml", "--json", "-o", str(folder)]
    said = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    document = json.loads(said)
    model = folder / "digits.onnx"
    shutil.copy(Path(document["run"]) / document["models"][0]["path"], model)
    return model


if __name__ == "__main__":
    main()
