"""Renew the plotly.js that a report carries: `python tools/renew_plotly_bundle.py`; needs npm.

Takes the cartesian bundle of the version that the installed plotly.py ships, packs it into the package without a
time stamp, so that the same version gives the same bytes, and records its version and sha256 beside it. The decision
a reader would question: plotly.py's own bundle is three times as large, and it never inlines another one by itself.
"""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

from plotly.offline import get_plotlyjs_version

_ROOT = Path(__file__).resolve().parent.parent
_VENDOR = _ROOT / "loadplan" / "report" / "vendor"
_NOTICE = _ROOT / "LICENSES" / "plotly.js-MIT.txt"
_PACKAGE = "plotly.js-cartesian-dist-min"


def main() -> None:
    """Fetch, check, pack and record."""
    version = get_plotlyjs_version()
    script, notice = _fetch(version)
    if f"v{version}".encode() not in script[:200] or b"</script" in script:
        raise SystemExit(f"the bundle is not plotly.js {version}, or can't be put into a page as it is")
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, mtime=0, filename="") as stream:
        stream.write(script)
    _VENDOR.mkdir(exist_ok=True)
    (_VENDOR / "plotly-cartesian.min.js.gz").write_bytes(packed.getvalue())
    record = {"package": _PACKAGE, "version": version, "sha256": hashlib.sha256(script).hexdigest()}
    (_VENDOR / "plotly-cartesian.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    _NOTICE.parent.mkdir(exist_ok=True)
    _NOTICE.write_bytes(notice)


def _fetch(version: str) -> tuple[bytes, bytes]:
    """The bundle and its notice."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", "--pack-destination", folder, f"{_PACKAGE}@{version}"]
        subprocess.run(command, check=True)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as package:
            return _member(package, "package/plotly-cartesian.min.js"), _member(package, "package/LICENSE")


def _member(package: tarfile.TarFile, name: str) -> bytes:
    member = package.extractfile(name)
    if member is None:
        raise SystemExit(f"the package holds no {name}")
    return member.read()


if __name__ == "__main__":
    main()
