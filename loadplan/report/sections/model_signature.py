"""What each variant's file is and asks of a machine: size, time to open, operations and bytes of an inference.

The decision a reader would question: only the smallest and the largest batch size are shown, since all others lie
between; `export.json` holds them.
"""

from collections.abc import Sequence

from loadplan.export.artifact import ExportedModel, ModelCost
from loadplan.report.page import Block, Table, Text, number, text
from loadplan.report.view import UNKNOWN, digits, ms, span_ms


def signature_blocks(models: Sequence[ExportedModel]) -> list[Block]:
    """Tables of the files and of what an inference costs, and what isn't known of it."""
    blocks: list[Block] = [_files(models)]
    if any(model.costs for model in models):
        blocks.append(_costs(models))
    blocks += [
        Text(text=f"What an inference of {model.variant} costs isn't known: {model.costs_unknown}.", tone="doubt")
        for model in models
        if model.costs_unknown is not None
    ]
    blocks += [
        Text(
            text=f"Not counted of {model.variant}, since loadplan doesn't know their arithmetic: "
            f"{', '.join(model.costs[0].unknown_operators)}.",
            tone="doubt",
        )
        for model in models
        if model.costs and model.costs[0].unknown_operators
    ]
    return blocks


def _files(models: Sequence[ExportedModel]) -> Table:
    return Table(
        caption="Files, and how long a session takes to open on each (measured, one thread, file in memory)",
        columns=(
            text("variant"),
            number("bytes"),
            number("parameters"),
            number("opset"),
            number("opens in, median (ms)"),
            number("fastest to slowest (ms)"),
            number("samples"),
        ),
        rows=tuple(
            (
                model.variant,
                f"{model.n_bytes:,}",
                f"{model.n_parameters:,}",
                str(model.opset),
                UNKNOWN if model.opening is None else ms(model.opening.median_s).removesuffix(" ms"),
                UNKNOWN if model.opening is None else span_ms(model.opening.low_s, model.opening.high_s),
                "0" if model.opening is None else str(model.opening.n_samples),
            )
            for model in models
        ),
    )


def _costs(models: Sequence[ExportedModel]) -> Table:
    shown = [(model.variant, cost) for model in models for cost in _ends(model.costs)]
    length = next((cost.n_positions for _, cost in shown if cost.n_positions is not None), None)
    rows = "" if length is None else f", for rows of {length:,} positions, the median"
    return Table(
        caption=f"What an inference asks of a machine (counted on the graph{rows})",
        columns=(
            text("variant"),
            number("rows in a batch"),
            number("operations per row"),
            number("bytes of weights per batch"),
            number("other bytes per row"),
            number("operations per byte"),
        ),
        rows=tuple(
            (
                variant,
                str(cost.batch_size),
                digits(cost.flops_per_row),
                f"{cost.weight_bytes:,}",
                digits(cost.activation_bytes_per_row),
                digits(cost.flops_per_byte),
            )
            for variant, cost in shown
        ),
    )


def _ends(costs: Sequence[ModelCost]) -> list[ModelCost]:
    return [costs[0], costs[-1]] if len(costs) > 1 else list(costs)
