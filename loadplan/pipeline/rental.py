"""What to run on a rented machine to bring a profile of it home, and what its minutes cost. Nothing is measured here.

Minutes are whole and rounded up, money is exact `Decimal` in USD, rounded up to the cent. The decision a reader would
question: the minutes are the budgets that the scenario names, and an assumed quarter of an hour for everything else;
what an export takes on a machine that nobody has seen isn't known.
"""

import shlex
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path

from loadplan import __version__
from loadplan.catalog.price import Catalog, Offer
from loadplan.clock import utc_now
from loadplan.errors import InputError
from loadplan.pipeline.catalogue import catalog_for
from loadplan.plan.buying.offers import allowed_offers
from loadplan.plan.measuring import ASSUMED_MINUTES, measured_minutes, measuring_usd
from loadplan.scenario.reader import read_scenario
from loadplan.scenario.spec import Scenario
from loadplan.store.run_folder import read_run_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Rental:
    """One machine for the time that a profile takes."""

    offer: Offer
    measured_minutes: int  # the budgets of the benchmark and of the live runs
    minutes: int  # with what is assumed for everything else
    usd: Decimal  # for these minutes
    commands: tuple[str, ...]  # in the order in which they are given; HOST is the rented machine


def rental(type_name: str, *, scenario: Scenario, folder: Path, file: str, catalog: Catalog) -> Rental:
    """The cheapest machine of a type on demand, and what to run on it.

    Args:
        type_name: `provider/type`, or the type alone where one provider only has it.
        scenario: the question.
        folder: where the scenario and its model lie, to be copied as a whole.
        file: name of the scenario's file in it.
        catalog: the prices.

    Raises:
        InputError: when the catalogue has no price on demand for the type.
    """
    offer = _cheapest(type_name, catalog, scenario)
    minutes = measured_minutes(scenario) + ASSUMED_MINUTES
    profile = f"{scenario.name}-{offer.instance_type.name}.parquet"
    return Rental(
        offer=offer,
        measured_minutes=measured_minutes(scenario),
        minutes=minutes,
        usd=measuring_usd(offer, minutes),
        commands=(
            shlex.join(["scp", "-r", str(folder), "HOST:measured"]),
            f"ssh HOST python3 -m pip install loadplan=={__version__}",
            shlex.join(["ssh", "HOST", "loadplan", "profile", f"measured/{file}", "--out", profile]),
            shlex.join(["scp", f"HOST:{profile}", "."]),
            shlex.join(["loadplan", "plan", str(folder / file), "--profiles", f"{profile}={offer.type_name}"]),
        ),
    )


def rental_for(target: Path, type_name: str) -> Rental:
    """The same for a scenario file, or for the scenario of a run, with today's prices.

    Raises:
        InputError: when there is no such scenario or run, or no price on demand for the type.
    """
    file = Path(read_run_folder(target).require("scenario").inputs["file"]) if target.is_dir() else target
    scenario = read_scenario(file)
    catalog = catalog_for(scenario, scenario_file=file, as_of=utc_now().date())
    return rental(type_name, scenario=scenario, folder=file.absolute().parent, file=file.name, catalog=catalog)


def _cheapest(type_name: str, catalog: Catalog, scenario: Scenario) -> Offer:
    """Where the scenario allows it, else anywhere; on demand, for what is interrupted has to be measured again."""
    own = [
        offer
        for offer in catalog.offers
        if type_name in (offer.type_name, offer.instance_type.name) and offer.purchase == "on_demand"
    ]
    names = sorted({offer.type_name for offer in own})
    if len(names) > 1:
        raise InputError(
            what=f"{type_name!r} may be {' or '.join(names)}", where="--on", fix="write it with its provider"
        )
    if not own:
        known = {offer.type_name for offer in catalog.offers}
        near = get_close_matches(type_name, known | {name.partition("/")[2] for name in known}, n=1)
        raise InputError(
            what=f"the catalogue has no price on demand for {type_name!r}",
            where="--on",
            fix=f"did you mean {near[0]}?" if near else "see `loadplan catalog list`",
        )
    allowed = [offer for offer in allowed_offers(catalog, scenario.plan) if offer in own]
    return min(allowed or own, key=lambda offer: (offer.usd_per_hour, offer.name))
