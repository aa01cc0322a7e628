"""Entry of the command line. `--version` answers before anything heavy is imported."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        from loadplan import __version__

        sys.stdout.write(f"loadplan {__version__}\n")
        return
    from loadplan.cli.app import run_command_line

    sys.exit(run_command_line(arguments))


if __name__ == "__main__":
    main()
