"""The catalogue that a question is answered with: what was shipped, imported, written for the project, and given."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path

from loadplan.catalog.imported import imported_files
from loadplan.catalog.price import Catalog
from loadplan.catalog.reader import NO_PRICES, load_catalog
from loadplan.scenario.spec import Scenario


def catalog_for(
    scenario: Scenario, *, scenario_file: Path, as_of: date, prices: Mapping[str, Decimal] = NO_PRICES
) -> Catalog:
    """All layers of the catalogue, the scenario's own price file and the prices given among them.

    Args:
        scenario: whose project it is.
        scenario_file: where it lies; the project's price file is looked up beside it.
        as_of: the day that the plan is made for; a price seen after it is an error.
        prices: the user's own, by `provider/region/type`.

    Raises:
        InputError: when a price of any layer can't be right.
    """
    name = scenario.plan.price_file
    project = None if name is None else scenario_file.parent / name
    return load_catalog(as_of=as_of, overrides=prices, imported=imported_files(), project=project)
