"""What a type's name tells by its provider's own rules: its series, its architecture, whether it is burstable.

A series holds the sizes of one machine: `c7i`, `n4-highcpu`, `Standard_D*as_v6`. Sizes of a series are alike, so their
prices can be held against each other, and what is known of the processor of one holds for all.
"""

import re

_AZURE_SIZE = re.compile(r"^(Standard_[A-Z]+)\d+(-\d+)?")
_GCP_SIZE = re.compile(r"-\d+[a-z]*$")
_COUNT = re.compile(r"\d+x")
# Graviton has a `g` behind the generation: c7g, g5g, m8gd, x2gd. The GPU hosts g5 and g6e have not.
_AWS_ARM = re.compile(r"^(a1|[a-z]+\d+g[a-z]*)$")
# Azure's lower-case letters behind the size are features, `p` is Arm: Standard_D4ps_v6.
_AZURE_ARM = re.compile(r"^Standard_[A-Z]+\d+(-\d+)?[a-z]*p[a-z]*(_|$)")
_GCP_ARM = ("t2a-", "c4a-", "n4a-")


# Paid for a share of each vCPU, with credits for more: t3.medium, Standard_B2s, e2-small.
_BURSTABLE = {
    "aws": re.compile(r"t\d[a-z]*\."),
    "azure": re.compile(r"Standard_B\d"),
    "gcp": re.compile(r"(f1|g1)-|e2-(micro|small|medium)$"),
}


def is_burstable(provider: str, name: str) -> bool:
    """Whether the name says that a type has less than whole vCPUs for good."""
    rule = _BURSTABLE.get(provider)
    return rule is not None and rule.match(name) is not None


def series_of(provider: str, name: str) -> str:
    """The series of a type, by the name alone; of providers without a rule the name without its count."""
    match provider:
        case "aws":
            return name.partition(".")[0]
        case "azure":
            return _AZURE_SIZE.sub(r"\1*", name)
        case "gcp":
            return _GCP_SIZE.sub("", name)
        case _:
            return _COUNT.sub("*x", name)


def architecture_of(provider: str, name: str) -> str | None:
    """`x86_64` or `arm64` where the provider's rule for names tells it, else None."""
    match provider:
        case "aws":
            is_arm = _AWS_ARM.match(series_of(provider, name)) is not None
        case "azure":
            is_arm = _AZURE_ARM.match(name) is not None
        case "gcp":
            is_arm = name.startswith(_GCP_ARM)
        case _:
            return None
    return "arm64" if is_arm else "x86_64"
