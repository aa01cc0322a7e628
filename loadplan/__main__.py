"""Entry of the command line. `--version` answers before anything heavy is imported."""

import os
import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the command line and leave with its exit code."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        from loadplan import __version__

        sys.stdout.write(f"loadplan {__version__}\n")
        return
    from loadplan.cli.app import run_command_line

    code = run_command_line(arguments)
    if code == _INTERRUPTED:
        # After a KeyboardInterrupt inside an extension module that ran Python code of its own, the interpreter kills
        # itself by SIGINT at its end, whatever code it was asked to leave with.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
