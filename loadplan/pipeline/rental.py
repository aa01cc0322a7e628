"""What to run on a rented machine to bring a profile of it home, and what its minutes cost. Nothing is measured here.

Minutes are whole and rounded up, money is exact `Decimal` in USD, rounded up to the cent. The decision a reader would
question: the minutes are the budgets that the scenario names, and an assumed quarter of an hour for everything else;
what an export takes on a machine that nobody has seen isn't known. So a script may take twice as long before it is cut.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

from loadplan import __version__, clock
from loadplan.catalog.price import Catalog, Offer
from loadplan.errors import InputError
from loadplan.pipeline.catalogue import catalog_for
from loadplan.plan.buying.offers import allowed_offers
from loadplan.plan.measuring import ASSUMED_MINUTES, measured_minutes, measuring_usd
from loadplan.scenario.reader import read_scenario
from loadplan.scenario.spec import ModelSourceKind, Scenario
from loadplan.store.run_folder import read_run_folder

KEPT_MINUTES = 10  # for which a machine that has measured stays on, so that the profile can be fetched
_LIMIT_RATIO = 2  # of the expected minutes
# Providers that bill no machine, but its disk, once it has switched itself off. The others bill it until it is deleted:
# Azure until it is deallocated, which only its own API does.
_FREE_WHEN_OFF = frozenset({"aws", "gcp"})
_EXTRAS: Mapping[ModelSourceKind, str] = MappingProxyType(
    {
        "sklearn": "sklearn",
        "xgboost": "boosting",
        "lightgbm": "boosting",
        "torch": "torch",
        "transformers": "transformers",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rental:
    """One machine for the time that a profile takes."""

    offer: Offer
    measured_minutes: int  # the budgets of the benchmark and of the live runs
    minutes: int  # with what is assumed for everything else
    usd: Decimal  # for these minutes
    most_minutes: int  # until a script switches the machine off, whatever happens
    most_usd: Decimal  # for those
    is_free_when_off: bool  # but for its disk
    folder: Path  # to be copied there as a whole
    file: str  # the scenario's, in it
    requirement: str  # what pip is to install there
    profile: str  # the file that comes of it
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
    most_minutes = _LIMIT_RATIO * minutes + KEPT_MINUTES
    requirement = f"loadplan[{','.join(_extras(scenario, offer))}]=={__version__}"
    profile = f"{scenario.name}-{offer.instance_type.name}.parquet"
    return Rental(
        offer=offer,
        measured_minutes=measured_minutes(scenario),
        minutes=minutes,
        usd=measuring_usd(offer, minutes),
        most_minutes=most_minutes,
        most_usd=measuring_usd(offer, most_minutes),
        is_free_when_off=offer.instance_type.provider in _FREE_WHEN_OFF,
        folder=folder,
        file=file,
        requirement=requirement,
        profile=profile,
        commands=(
            shlex.join(["scp", "-r", str(folder), "HOST:measured"]),
            f"ssh HOST \"python3 -m pip install '{requirement}'\"",
            _on_host("loadplan", "profile", f"measured/{file}", "--out", profile),
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
    catalog = catalog_for(scenario, scenario_file=file, as_of=clock.utc_now().date())
    return rental(type_name, scenario=scenario, folder=file.absolute().parent, file=file.name, catalog=catalog)


def _on_host(*words: str) -> str:
    """A shell over there reads the words as one text, so a name in them is quoted for that one and for this one."""
    plain, quoted = " ".join(words), shlex.join(words)
    return f"ssh HOST {plain if quoted == plain else shlex.quote(quoted)}"


def _extras(scenario: Scenario, offer: Offer) -> tuple[str, ...]:
    """A runtime, and what exports the model."""
    runtime = "cpu" if offer.instance_type.accelerator is None else "gpu"
    source = None if scenario.model is None else _EXTRAS.get(scenario.model.kind)
    return (runtime,) if source is None else (runtime, source)


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
