"""Process entry: exports one model and says so line by line; `isolated` starts it and listens.

The job comes on standard input, the steps and the end go to standard output, one line of JSON each. Whatever the
user's code or a library prints goes to standard error, wherever it was sent.
"""

import os
import sys
import traceback
from pathlib import Path
from typing import TextIO

from loadplan.child_process import die_with_parent
from loadplan.errors import LoadplanError
from loadplan.export.isolated import ExportFailure, ExportJob, ExportSaid
from loadplan.export.runner import export_model
from loadplan.scenario.payload_file import save_payloads
from loadplan.store import codec


def main() -> None:
    """Answer one job from standard input."""
    die_with_parent()
    job = codec.loads(sys.stdin.read(), ExportJob, where="the job of the export process")
    # A descriptor that no child inherits, and that nothing prints to.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        _say(answers, _end(job, answers))


def _end(job: ExportJob, answers: TextIO) -> ExportSaid:
    try:
        run, payloads = export_model(
            job.source,
            models_folder=Path(job.models_folder),
            on_step=lambda step: _say(answers, ExportSaid(step=step)),
        )
        save_payloads(Path(job.payloads), payloads)
    except LoadplanError as error:
        failure = ExportFailure(kind=type(error).__name__, what=error.what, where=error.where, fix=error.fix)
        return ExportSaid(failure=failure)
    except Exception as error:  # the process boundary: the parent raises it anew
        return ExportSaid(defect=(f"{type(error).__name__}: {error}", traceback.format_exc()))
    return ExportSaid(run=run)


def _say(answers: TextIO, said: ExportSaid) -> None:
    answers.write(codec.dumps(said) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
    # What a framework's threads and destructors do at the end of an interpreter is of no interest any more.
    sys.stderr.flush()
    os._exit(0)
