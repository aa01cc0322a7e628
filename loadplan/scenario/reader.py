"""Reads a scenario file: strict YAML, one definition of its shape, and all mistakes at once, each with its line.

The file speaks in milliseconds and percent-free ratios with the unit in the key; the record that leaves here is in
seconds, ratios and Decimal, with every default filled in.
"""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from loadplan.errors import InputError
from loadplan.scenario.arrivals_section import resolve_arrivals
from loadplan.scenario.class_mix import pooled_rows
from loadplan.scenario.document import QUANTILE_OF_KEY, Document, Objective, PlanSection
from loadplan.scenario.fleet_section import resolve_fleet
from loadplan.scenario.mistakes import empty_values, from_pydantic, refusal, repeated_items
from loadplan.scenario.model_section import Model, ParityLimit
from loadplan.scenario.precompute_section import resolve_precompute
from loadplan.scenario.profiles import WEEK_PROFILES
from loadplan.scenario.purchase_section import commitment_discounts, owned_machine, spot_rules
from loadplan.scenario.rows_law import always
from loadplan.scenario.scaling_section import resolve_scaling, resolve_start_up
from loadplan.scenario.section import NAME_PATTERN
from loadplan.scenario.spec import (
    BenchBudget,
    LoadBudget,
    ModelSource,
    ParityLimits,
    PlanRules,
    QualityGate,
    RequestClass,
    RowsPerRequest,
    Scenario,
    Service,
    ServingChoices,
    Traffic,
)
from loadplan.scenario.target_section import ServiceSection
from loadplan.scenario.text_file import read_text
from loadplan.scenario.traffic_section import ClassSection, RowsSection, TrafficSection
from loadplan.scenario.vantage_section import resolve_vantage
from loadplan.scenario.week_file import read_week
from loadplan.scenario.yaml_tree import Mark, Mistake, Tree, read_tree
from loadplan.slo import LatencyLimit, Slo
from loadplan.units import SECONDS_PER_MS

# Batch sizes to benchmark unless the scenario says otherwise. Service time has steps, as wide as a kernel takes rows at
# once: that is most of a small batch, and little of a large one.
_BATCH_LADDER = (
    *range(1, 8),
    *range(8, 16, 2),
    *range(16, 32, 4),
    *(32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024),
)


def read_scenario(path: Path) -> Scenario:
    """The scenario in a YAML file.

    Raises:
        InputError: when the file can't be read, or with every mistake in it: file, line, column, key and remedy.
    """
    return scenario_of(read_text(path), path)


def scenario_of(text: str, path: Path) -> Scenario:
    """The scenario in a text that lies at `path`, or is to lie there.

    Raises:
        InputError: with every mistake in it, or when a file that it names can't be used.
    """
    tree = read_tree(text)
    where = str(path)
    if tree.value is None and not tree.mistakes:
        tree.value = {}  # an empty file lacks every key, which says more than "empty"
    if tree.value is None:
        raise refusal(tree.mistakes, where)
    document = _validate(tree, where, default_name=path.stem)
    folder = path.resolve().parent
    return Scenario(
        name=document.name or path.stem,
        model=None if document.model is None else _model(document.model, folder=folder, where=where),
        traffic=_traffic(document.traffic, folder=folder, where=where),
        objectives=tuple(_objective(objective) for objective in document.objectives),
        serving=ServingChoices(
            n_threads=tuple(document.serving.threads),
            max_batch_sizes=tuple(document.serving.max_batch_size),
            batch_windows_s=tuple(window_ms * SECONDS_PER_MS for window_ms in document.serving.batch_window_ms),
            extrapolate_batches=document.serving.extrapolate_batches,
        ),
        bench=_bench(document),
        load=LoadBudget(duration_s=document.load.duration_s, seed=document.load.seed),
        plan=_plan(document.plan, folder=folder, where=where),
        vantage=resolve_vantage(
            document.slo_measured, find=lambda name, key: _inside(name, folder, where, key=f"slo_measured.{key}")
        ),
        target=_target(document, folder=folder, where=where, default_model=document.name or path.stem),
        fleet=resolve_fleet(document.fleet),
    )


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a scenario file, from the same definition that reads it; editors complete keys with it."""
    schema = _without_null(Document.model_json_schema(by_alias=True))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "loadplan scenario"}


def _validate(tree: Tree, where: str, *, default_name: str) -> Document:
    mistakes = [*tree.mistakes, *repeated_items(tree)]
    document = None
    try:
        document = Document.model_validate(tree.value)
    except ValidationError as error:
        mistakes += from_pydantic(error.errors(include_url=False), tree)
    mistakes += empty_values(tree, named={mistake.path for mistake in mistakes})
    if isinstance(tree.value, dict) and "name" not in tree.value and not _is_safe_name(default_name):
        text = f"missing, and the file's own name {default_name!r:.60} can't name a folder; give one"
        mistakes.append(Mistake(mark=Mark(line=1, column=1), path=("name",), text=text))
    if mistakes or document is None:
        raise refusal(mistakes, where)
    return document


def _is_safe_name(name: str) -> bool:
    return re.fullmatch(NAME_PATTERN, name) is not None


def _model(model: Model, *, folder: Path, where: str) -> ModelSource:
    for key, name in (("model.file", model.file), ("model.payload", model.payload)):
        if name is not None:
            _inside(name, folder, where, key=key)
    return ModelSource(
        kind=model.source,
        factory=model.factory,
        folder=str(folder),
        variants=tuple(model.variants),
        parity={variant: _parity(getattr(model.parity, variant)) for variant in model.variants},
        quality=None
        if model.quality is None
        else QualityGate(metric=model.quality.metric, max_drop=model.quality.max_drop),
        file=model.file,
        payload=model.payload,
        trusts_file=model.trust is True,
        trusted_types=() if isinstance(model.trust, bool) else tuple(model.trust),
        time_limit_s=model.time_limit_s,
    )


def _parity(limit: ParityLimit) -> ParityLimits:
    return ParityLimits(
        max_abs_error=limit.max_abs_error,
        top1_agreement_ratio=limit.top1_agreement_ratio,
        min_cosine=limit.min_cosine,
        max_rel_error=limit.max_rel_error,
        min_rank_correlation=limit.min_rank_correlation,
    )


def _traffic(traffic: TrafficSection, *, folder: Path, where: str) -> Traffic:
    profile = traffic.profile
    named = WEEK_PROFILES.get(profile)
    shares = named() if named is not None else read_week(_inside(profile, folder, where, key="traffic.profile"))
    classes = tuple(_class(one, traffic, folder=folder, where=where) for one in traffic.classes)
    return Traffic(
        peak_rps=traffic.peak_rps,
        rows_per_request=pooled_rows(classes) if classes else _rows(traffic.rows_per_request),
        arrivals=resolve_arrivals(
            traffic.arrivals, find=lambda name: _inside(name, folder, where, key="traffic.arrivals.file")
        ),
        profile=profile,
        week_shares=shares,
        growth_per_month_ratio=traffic.growth_per_month_ratio,
        classes=classes,
    )


def _class(one: ClassSection, traffic: TrafficSection, *, folder: Path, where: str) -> RequestClass:
    if one.payload is not None and one.has_bodies:
        _inside(one.payload, folder, where, key=f"the payload of the class {one.name}")
    return RequestClass(
        name=one.name,
        share=one.share,
        rows_per_request=_rows(one.rows_per_request or traffic.rows_per_request),
        segment=None if one.has_bodies else one.payload,
        body=one.payload if one.has_bodies else None,
    )


def _rows(rows: int | RowsSection) -> RowsPerRequest:
    if isinstance(rows, int):
        return always(rows)
    return RowsPerRequest(mean=rows.mean, p95=rows.p95, most=rows.largest)


def _inside(name: str, folder: Path, where: str, *, key: str) -> Path:
    """The file that a scenario names: absolute paths are the user's own word, relative ones stay in the folder."""
    path = folder / name
    if not Path(name).is_absolute() and not path.resolve().is_relative_to(folder):
        raise InputError(
            what=f"{key} {name!r:.60} leads out of the scenario's folder",
            where=where,
            fix="move the file beside the scenario, or write its absolute path",
        )
    return path


def _objective(objective: Objective) -> Slo:
    limits = (
        LatencyLimit(quantile=quantile, limit_s=getattr(objective, key) * SECONDS_PER_MS)
        for key, quantile in QUANTILE_OF_KEY.items()
        if getattr(objective, key) is not None
    )
    return Slo(limits=tuple(limits), max_failed_ratio=objective.max_failed_ratio, class_name=objective.class_name)


def _bench(document: Document) -> BenchBudget:
    bench = document.bench
    return BenchBudget(
        batch_sizes=_batch_sizes(document),
        budget_s=bench.budget_s,
        providers=tuple(bench.providers),
        side_by_side=bench.concurrent_sessions,
        exhaustive=bench.exhaustive,
        sequence_lengths=tuple(sorted(set(bench.sequence_lengths))),
    )


def _target(document: Document, *, folder: Path, where: str, default_model: str) -> Service | None:
    target = document.target
    if not isinstance(target, ServiceSection):
        return None
    if target.request is not None:
        _inside(target.request, folder, where, key="target.request")
    return Service(
        url=target.url,
        protocol=target.protocol,
        folder=str(folder),
        request=target.request,
        method=target.method,
        answers=target.answer
        if isinstance(target.answer, dict)
        else {}
        if target.answer is None
        else {"": target.answer},
        model=target.model or default_model,
        headers=tuple(target.headers.items()),
        allow_remote=tuple(target.allow_remote),
        instance_type=target.instance_type,
        may_check=target.check,
    )


def _answers(answer: str | dict[str, str] | None) -> dict[str, str]:
    if answer is None:
        return {}
    return {"": answer} if isinstance(answer, str) else dict(answer)


def _batch_sizes(document: Document) -> tuple[int, ...]:
    if document.bench.batch_sizes is not None:
        return tuple(sorted(document.bench.batch_sizes))
    largest = document.largest_batch
    return (*(size for size in _BATCH_LADDER if size < largest), largest)


def _plan(plan: PlanSection, *, folder: Path, where: str) -> PlanRules:
    budget = plan.budget_usd_per_month
    if plan.prices is not None:
        _inside(plan.prices, folder, where, key="plan.prices")
    return PlanRules(
        providers=tuple(plan.providers),
        regions=tuple(plan.regions),
        purchases=tuple(plan.purchase),
        n_spare_replicas=plan.spare_replicas,
        n_zones=plan.zones,
        n_min_replicas=plan.min_replicas,
        headroom_ratio=plan.headroom_ratio,
        hours_per_month=plan.hours_per_month,
        horizon_months=plan.horizon_months,
        instance_types=plan.instance_types,
        today=tuple(plan.today.items()),
        proposal=tuple(plan.proposal.items()),
        precompute=resolve_precompute(plan.precompute),
        budget_usd_per_month=None if budget is None else Decimal(str(budget)),
        owned=tuple(owned_machine(one) for one in plan.owned),
        commitment_discounts=commitment_discounts(plan.commitment_discounts),
        spot=spot_rules(plan.spot),
        price_file=plan.prices,
        start_up=resolve_start_up(plan.start_up),
        scaling=resolve_scaling(plan.scaling),
    )


def _without_null(node: Any) -> Any:
    """The schema without `null`: the reader takes a key without a value for a slip, so editors should too."""
    if isinstance(node, list):
        return [_without_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    rest = {key: _without_null(value) for key, value in node.items() if not (key == "default" and value is None)}
    choices = [choice for choice in rest.pop("anyOf", []) if choice != {"type": "null"}]
    return {**choices[0], **rest} if len(choices) == 1 else {**rest, **({"anyOf": choices} if choices else {})}
