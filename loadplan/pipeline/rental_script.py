"""The script for a rented machine: it installs loadplan, measures, keeps the profile, and switches the machine off.

It does so after a failure and at a time limit as well, by a shutdown that the system keeps and that is ordered before
anything else is done; a machine that can't be switched off from inside measures nothing. What a run of it costs is the
first thing that it says. The decision a reader would question: the file isn't sent anywhere by itself. The machine
stays on for ten minutes in which it can be fetched, and its disk keeps it longer; with PUT_URL in its environment the
script uploads it there. With LOADPLAN it installs that in place of the published version, such as a wheel that was
copied along.
"""

import shlex
from importlib import resources
from pathlib import Path

from loadplan import __version__
from loadplan.pipeline.rental import KEPT_MINUTES, Rental
from loadplan.store.files import write_text

SCRIPT_THERE = "measured/rented.sh"


def write_rental_script(path: Path, found: Rental) -> tuple[str, ...]:
    """Write the script of a rental; returns the commands that copy it, run it and plan on what comes of it.

    Raises:
        EnvironmentFault: when the disk doesn't take it.
    """
    write_text(path, rental_script(found))
    return (
        shlex.join(["scp", "-r", str(found.folder), "HOST:measured"]),
        shlex.join(["scp", str(path), f"HOST:{SCRIPT_THERE}"]),
        f"ssh HOST bash {SCRIPT_THERE}",
        shlex.join(["scp", f"HOST:measured/{found.profile}", "."]),
        found.commands[-1],
    )


def rental_script(found: Rental) -> str:
    """The whole script, for bash."""
    names = {
        "COST": f"{found.offer.type_name} in {found.offer.region}: ${found.offer.usd_per_hour} an hour, about "
        f"{found.minutes} minutes for ${found.usd}, {found.most_minutes} at most for ${found.most_usd}",
        "AFTERWARDS": "Off, it costs its disk until you delete it."
        if found.is_free_when_off
        else f"Off, it costs as before: {found.offer.instance_type.provider} bills it until you delete it.",
        "LIMIT_MINUTES": str(found.most_minutes - KEPT_MINUTES),
        "KEEP_MINUTES": str(KEPT_MINUTES),
        "REQUIREMENT": found.requirement,
        "SCENARIO": found.file,
        "PROFILE": found.profile,
    }
    body = (resources.files("loadplan.pipeline") / "rented.sh").read_text(encoding="utf-8")
    head = "\n".join(f"{name}={shlex.quote(value)}" for name, value in names.items())
    return f"#!/usr/bin/env bash\n# Written by loadplan {__version__}, to be run on that machine.\n{head}\n\n{body}"
