"""A model that takes one row at a time, and a scenario that asks for more: what to write to go on at batch 1 only."""

from loadplan.errors import InputError
from loadplan.execution import takes_one_row
from loadplan.export.artifact import ExportRun
from loadplan.scenario.spec import Scenario


def require_batches(exported: ExportRun, scenario: Scenario) -> None:
    """Raises InputError, with the keys to set, when the model's first axis is fixed at 1 and batches are asked for."""
    fixed = next((model for model in exported.models if takes_one_row(model.inputs)), None)
    asked = {
        "serving: {max_batch_size: [1]}": scenario.serving.max_batch_sizes,
        "bench: {batch_sizes: [1]}": scenario.bench.batch_sizes,
        "traffic: {rows_per_request: 1}": (scenario.traffic.rows_per_request.most,),
    }
    wanted = [key for key, sizes in asked.items() if set(sizes) != {1}]
    if fixed is None or not wanted:
        return
    raise InputError(
        what="the model's first axis is fixed at 1 row, and the scenario asks for more in one inference",
        where=exported.source,
        fix="export it with a dynamic first axis (torch: dynamic_shapes; onnx: onnx.tools.update_model_dims), or take "
        f"single rows only: write {', '.join(wanted)} in the scenario",
    )
