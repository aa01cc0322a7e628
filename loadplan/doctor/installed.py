"""What is installed of what loadplan asks for: its own metadata, held against the packages that are there."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement

# Distributions of the same module: with one of them there the other isn't missing.
_SAME_MODULE = {"xgboost-cpu": "xgboost"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What loadplan always needs, or one of its extras."""

    extra: str  # empty: what it always needs
    missing: tuple[str, ...]  # distributions that are not there, such as `skl2onnx`
    misfits: tuple[str, ...]  # what is there in a version that doesn't do, such as `protobuf 7.35`
    to_install: tuple[str, ...]  # the requirements of both, as pip takes them

    @property
    def is_there(self) -> bool:
        """Whether all of it is there, in versions that do."""
        return not self.missing and not self.misfits


def installed_parts() -> tuple[Part, ...]:
    """What it always needs, then each extra in order; () where loadplan itself isn't installed."""
    try:
        own = metadata.metadata("loadplan")
    except metadata.PackageNotFoundError:
        return ()
    return parts_of(metadata.requires("loadplan") or (), own.get_all("Provides-Extra") or (), version_of=_version_of)


def parts_of(
    requirements: Iterable[str], extras: Sequence[str], *, version_of: Callable[[str], str | None]
) -> tuple[Part, ...]:
    """The parts that requirements make up.

    Args:
        requirements: as a distribution's metadata has them, such as `skl2onnx<1.21; extra == 'sklearn'`.
        extras: the names of its extras.
        version_of: the installed version of a distribution; None: it isn't installed.
    """
    parsed = [Requirement(text) for text in requirements]
    always = [requirement for requirement in parsed if _applies(requirement, "")]
    rest = [requirement for requirement in parsed if not _applies(requirement, "")]
    by_extra = {extra: [each for each in rest if _applies(each, extra)] for extra in sorted(extras)}
    return tuple(_part(extra, wanted, version_of) for extra, wanted in {"": always, **by_extra}.items())


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _part(extra: str, wanted: Iterable[Requirement], version_of: Callable[[str], str | None]) -> Part:
    missing: list[str] = []
    misfits: list[str] = []
    to_install: list[str] = []
    for requirement in wanted:
        name = requirement.name
        if version_of(name) is None:
            name = _SAME_MODULE.get(name, name)
        version = version_of(name)
        if version is None:
            missing.append(requirement.name)
        elif not requirement.specifier.contains(version, prereleases=True):
            misfits.append(f"{name} {version}")
        else:
            continue
        to_install.append(f"{requirement.name if version is None else name}{requirement.specifier}")
    return Part(extra=extra, missing=tuple(missing), misfits=tuple(misfits), to_install=tuple(to_install))


def _version_of(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
