"""The options of `loadplan load` that say from how many processes and machines the load comes."""

import socket
from typing import TYPE_CHECKING, Annotated

import typer

from loadplan.errors import InputError
from loadplan.units import parse_duration

if TYPE_CHECKING:
    from loadplan.load.crew.together import Crew, Launch, LocalCrew

ProcessesOption = Annotated[int, typer.Option("--processes", metavar="N", help="Generator processes on this machine.")]
MasterOption = Annotated[bool, typer.Option("--master", help="Lead workers on other machines.")]
WorkerOption = Annotated[bool, typer.Option("--worker", help="Send a share of what a master leads.")]
ExpectOption = Annotated[int, typer.Option("--expect-workers", metavar="N", help="Of a master: workers to wait for.")]
JoinOption = Annotated[str, typer.Option("--worker-timeout", help="Of a master: how long to wait for its workers.")]
BindOption = Annotated[str, typer.Option("--bind", metavar="HOST", help="Of a master: address to listen on.")]
MasterHostOption = Annotated[str, typer.Option("--master-host", metavar="HOST", help="Of a worker: its master.")]
MasterPortOption = Annotated[int, typer.Option("--master-port", help="Where the master listens.")]
WebOption = Annotated[bool, typer.Option("--web", help="Show the run in Locust's own page, on loopback.")]
WebPortOption = Annotated[int, typer.Option("--web-port", help="Of the page.")]
DEFAULT_WEB_PORT = 8089  # Locust's own
DEFAULT_JOIN_LIMIT = "300s"
DEFAULT_MASTER_PORT = 5557  # Locust's own


def crew_of(
    *, n_processes: int, is_master: bool, n_expected: int, join_limit: str, host: str, port: int
) -> "Crew | None":
    """The crew that these options ask for; None: one process on this machine.

    Raises:
        InputError: for counts below 1, or processes here and a master at once.
    """
    from loadplan.load.crew.together import RemoteCrew

    for count, option in ((n_processes, "--processes"), (n_expected, "--expect-workers")):
        if count < 1:
            raise InputError(what=f"{count} is no number of processes", where=option, fix="give 1 or more")
    if is_master and n_processes > 1:
        raise InputError(
            what="workers are started here or elsewhere, not both",
            where="--processes, --master",
            fix="leave one out; a worker on this machine is `loadplan load --worker --master-host 127.0.0.1`",
        )
    if is_master:
        return RemoteCrew(n_workers=n_expected, join_limit_s=parse_duration(join_limit), host=host, port=port)
    return None if n_processes == 1 else local_crew(n_processes)


def launch_of(crew: "Crew | None", *, shows_web: bool, web_port: int) -> "Launch":
    """How the generator is started; where a page is asked for, its address is said on standard error.

    Raises:
        InputError: when the page's port is taken.
    """
    from loadplan.load.crew.together import Launch

    if not shows_web:
        return Launch(crew=crew)
    try:
        with socket.create_server(("127.0.0.1", web_port)) as free:
            port = int(free.getsockname()[1])
    except (OSError, OverflowError) as error:
        raise InputError(
            what=f"Locust's page can't be shown at port {web_port}: {error}",
            where="--web-port",
            fix="name a free port, or 0 for any",
        ) from error
    typer.echo(f"Locust's page is at http://127.0.0.1:{port} while the run lasts", err=True)
    return Launch(crew=crew, web_port=port)


def local_crew(n_workers: int) -> "LocalCrew":
    """Workers on the last of the usable cores, one each, if that leaves one for the server; else unpinned."""
    from loadplan.load.crew.together import LocalCrew
    from loadplan.machine import usable_cores

    cores = usable_cores()
    return LocalCrew(n_workers=n_workers, cores=cores[-n_workers:] if n_workers < len(cores) else ())


def be_worker(host: str, port: int) -> int:
    """Work for the master at this address on the last usable core, until its run is over."""
    from loadplan.load.crew.together import run_worker
    from loadplan.machine import usable_cores

    cores = usable_cores()
    run_worker(host, port, core=cores[-1] if len(cores) > 1 else None)
    return 0
