"""What a page carries beside its words: its style, its own script and plotly.js, within the page or in files beside it.

The decision a reader would question: the page itself names the one style and the scripts that may apply, by their
hashes, so that no name in a scenario and no viewer can add another. Plotly.js would write a style of its own into the
page; it finds one there that says it need not, and `page.css` holds the few rules that its drawings need.
"""

import base64
import gzip
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from markupsafe import Markup

STYLE_FILE = "report.css"
# By this name plotly.js looks for its style, and with this class it leaves it as it is.
_STYLE_IS_THERE = 'id="plotly.js-style-global" class="no-inline-styles"'
_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Assets:
    """The style and the scripts of one page."""

    policy: Markup  # the page's Content-Security-Policy
    style: Markup  # stands in its head
    scripts: Markup  # stand at its end
    files: Mapping[str, str]  # texts of the files that lie beside it, by name


Carry = Callable[[Mapping[str, str]], Assets]


def scripts_of_page(n_figures: int) -> dict[str, str]:
    """The scripts in the order in which they run, by the names of their files; no plotly.js without figures."""
    drawing = {"plotly.js": plotly_script()} if n_figures else {}
    return {**drawing, "report.js": template("page.js")}


def within(scripts: Mapping[str, str]) -> Assets:
    """All of it in the page, which is one file then."""
    style = template("page.css")
    return Assets(
        policy=_policy(scripts=" ".join(map(_hash, scripts.values())), style=_hash(style)),
        style=own(f"<style {_STYLE_IS_THERE}>{style}</style>"),
        scripts=own("\n".join(f"<script>{script}</script>" for script in scripts.values())),
        files={},
    )


def beside(scripts: Mapping[str, str]) -> Assets:
    """All of it in files beside the page, for viewers that let nothing within a page run."""
    return Assets(
        policy=_policy(scripts="'self'", style="'self'"),
        style=own(f'<link rel="stylesheet" {_STYLE_IS_THERE} href="{STYLE_FILE}">'),
        scripts=own("\n".join(f'<script src="{name}"></script>' for name in scripts)),
        files={STYLE_FILE: template("page.css"), **scripts},
    )


def plotly_script() -> str:
    """The plotly.js that every page with figures carries."""
    packed = resources.files("loadplan.report").joinpath("vendor/plotly-cartesian.min.js.gz").read_bytes()
    return gzip.decompress(packed).decode()


def maker_digest(folder: Path = _FOLDER) -> str:
    """The hash of all that makes a page of what was found: the words, the template and the scripts it carries.

    A page that was made by other words, or with another plotly.js, is not the page of this loadplan.
    """
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


@cache
def template(name: str) -> str:
    """A file of the template."""
    return resources.files("loadplan.report").joinpath(f"template/{name}").read_text(encoding="utf-8")


def own(text: str) -> Markup:
    """A part of the page itself, which holds nothing that anybody else wrote."""
    return Markup(text)  # noqa: S704


def _policy(*, scripts: str, style: str) -> Markup:
    return own(
        f"default-src 'none'; script-src {scripts}; style-src {style}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
