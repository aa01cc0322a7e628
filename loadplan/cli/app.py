"""The command tree, and the one place where errors become messages and exit codes."""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import typer
from typer.exceptions import TyperException

from loadplan.cli import (
    begin,
    budget,
    catalog,
    compare,
    console,
    demand,
    gate,
    manifests,
    measure,
    profile,
    quick,
    road,
    show,
)
from loadplan.errors import EnvironmentFault, InputError, Interrupted, LoadplanError

app = typer.Typer(
    name="loadplan",
    help="What hardware serves this model at this traffic within this latency, what does it cost a month, "
    "and how do you know?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},  # of all commands
    # Plain help in pipes and files: boxes are for terminals, and drawing them costs 200 ms.
    rich_markup_mode="rich" if sys.stdout.isatty() else None,
)
begin.register(app)
quick.register(app)
demand.register(app)
road.register(app)
budget.register(app)
manifests.register(app)
measure.register(app)
compare.register(app)
gate.register(app)
profile.register(app)
catalog.register(app)
show.register(app)


def run_command_line(arguments: Sequence[str]) -> int:  # noqa: PLR0911 -- one return per kind of ending
    """Run one command; return the exit code that COMMANDS promises, whatever goes wrong."""
    as_json, debug = "--json" in arguments, "--debug" in arguments
    console.one_object.is_shown = False
    for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(kind) is not signal.SIG_IGN:  # such as by nohup
            signal.signal(kind, _stop)
    try:
        return _run(arguments)
    except LoadplanError as error:
        console.show_error(error, as_json=as_json, debug=debug)
        return error.exit_code
    except KeyboardInterrupt:
        console.show_error(_interrupted(), as_json=as_json, debug=debug)
        return Interrupted.exit_code
    except TyperException as error:
        return _usage_error(error, as_json=as_json, debug=debug)
    except BrokenPipeError:
        # The reader of our output left (`| head`); Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        console.show_error(_system_fault(error), as_json=as_json, debug=debug)
        return EnvironmentFault.exit_code
    except Exception as error:  # the process boundary: a defect becomes a message too
        console.show_error(_defect(error), as_json=as_json, debug=debug)
        return EnvironmentFault.exit_code


def _run(arguments: Sequence[str]) -> int:
    try:
        code = int(app(list(arguments), standalone_mode=False) or 0)
    except Exception as error:
        if console.stop_request.is_made:  # what a stop breaks, such as an import, is no fault
            raise _interrupted() from error
        raise
    if code == Interrupted.exit_code:  # typer takes a KeyboardInterrupt for itself
        raise _interrupted()
    sys.stdout.flush()
    return code


def _stop(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 -- the signature of a handler
    console.stop_request.make()


def _usage_error(error: TyperException, *, as_json: bool, debug: bool) -> int:
    message = error.format_message()
    if not message:  # `loadplan` alone has just printed its help
        return InputError.exit_code
    # "Value error" is pydantic's, with which typer reads values.
    what, command = message.replace("Value error, ", ""), _command_of(error)
    fault = InputError(what=what, where="the command line", fix=f"see `{command} --help`")
    console.show_error(fault, as_json=as_json, debug=debug)
    return InputError.exit_code


def _command_of(error: TyperException) -> str:
    """The command that a mistake is in, such as `loadplan catalog list`."""
    names, context = [], getattr(error, "ctx", None)
    while context is not None and context.parent is not None:
        names.append(context.info_name)
        context = context.parent
    return " ".join(["loadplan", *reversed(names)])


def _interrupted() -> Interrupted:
    return Interrupted(
        what="stopped before it was finished; what was measured is kept",
        where="this command",
        fix="run the same command again to go on",
    )


def _system_fault(error: OSError) -> EnvironmentFault:
    return EnvironmentFault(
        what=error.strerror or str(error),
        where=str(error.filename or "the operating system"),
        fix="see to it that the path is writable and the disk has room, then run the same command again",
    )


def _defect(error: Exception) -> EnvironmentFault:
    fault = EnvironmentFault(
        what=f"loadplan failed in a way it does not know: {type(error).__name__}: {error}",
        where="loadplan itself",
        fix="run the command again with --debug and report what it prints",
    )
    fault.__cause__ = error  # so that --debug shows where
    return fault
