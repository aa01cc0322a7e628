"""What is looked at before anybody is let in: the configuration, the model's shape, and that the model answers."""

import time

from loadplan.errors import InputError
from loadplan.execution import padding_problem
from loadplan.inference import Session, example_text
from loadplan.serve.config import ServeConfig
from loadplan.serve.inference_runner import Infer
from loadplan.serve.metrics import batch_sizes_up_to
from loadplan.serve.readiness import blank_rows


def check_config(config: ServeConfig) -> None:
    """Raises InputError where no model could be served so."""
    serving, execution = config.serving, config.execution
    if min(serving.max_batch_size, serving.max_queue_rows) < 1 or serving.batch_window_s < 0.0:
        raise InputError(
            what=f"a batch of {serving.max_batch_size} rows, a queue of {serving.max_queue_rows} and a window of "
            f"{serving.batch_window_s} s can't be served",
            where="the serving configuration",
            fix="ask for at least one row, and a window of 0 or more",
        )
    if execution.n_sessions != 1:
        raise InputError(
            what=f"{execution.n_sessions} sessions in one process were asked for",
            where="the serving configuration",
            fix="ask for one; several processes serve side by side",
        )
    n_processes = serving.n_server_processes
    if n_processes < 1 or 0 < len(config.cores) < n_processes:
        raise InputError(
            what=f"{n_processes} processes can't be served on {len(config.cores) or 'these'} cores",
            where="the serving configuration",
            fix="ask for at least one process, and name a core for each, or none",
        )


def check_batching(session: Session, config: ServeConfig) -> None:
    """Raises InputError where this model can't be batched as asked."""
    for spec in (*session.inputs, *session.outputs):
        if not spec.shape:
            raise InputError(
                what=f"the tensor {spec.name!r} is a single number, so it has no axis for rows",
                where=str(config.model),
                fix="export the model with the rows as the first axis of every input and output",
            )
    for spec in session.inputs:
        if spec.shape[0] is not None and config.serving.max_batch_size != spec.shape[0]:
            raise InputError(
                what=f"the model takes exactly {spec.shape[0]} rows, the batch size asked for is "
                f"{config.serving.max_batch_size}",
                where=str(config.model),
                fix=f"export the model with a dynamic first axis, or serve it with a batch size of {spec.shape[0]}",
            )
    problem = padding_problem(session.inputs, session.outputs) if config.pads else None
    if problem is not None:
        raise InputError(
            what=f"requests can't be padded to share a batch of this model: {problem}",
            where=str(config.model),
            fix="serve it without --pads",
        )


def warm_up(infer: Infer, session: Session, config: ServeConfig) -> float:
    """One inference per batch size: memory is laid out and code paths are chosen before the first request.

    Returns the seconds that a full batch takes, after its own warm-up.

    Raises:
        InputError: when the model fails, or doesn't answer with one row for each.
    """
    sizes = batch_sizes_up_to(config.serving.max_batch_size)
    text = example_text(session)
    for n_rows in sizes if session.inputs[0].shape[0] is None else (session.inputs[0].shape[0],):
        rows = blank_rows(session.inputs, n_rows, text=text)
        try:
            outputs = infer(rows)
        except Exception as error:
            raise InputError(
                what=f"the model fails on {n_rows} rows of zeros: {(str(error).splitlines() or [''])[0][:300]}",
                where=str(config.model),
                fix="check that the model runs, and that it takes any number of rows",
            ) from error
        for name, output in outputs.items():
            if len(output) != n_rows and config.serving.max_batch_size > 1:
                raise InputError(
                    what=f"the output {name!r} has {len(output)} rows for {n_rows} rows of input",
                    where=str(config.model),
                    fix="export the model with the rows as the first axis of every output, or serve batches of 1",
                )
    started_s = time.perf_counter()
    infer(rows)
    return time.perf_counter() - started_s
