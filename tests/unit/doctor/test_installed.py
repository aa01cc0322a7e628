"""What loadplan's metadata asks for, held against versions that are made up."""

import pytest

from loadplan.doctor.installed import Part, parts_of

ASKED = (
    "numpy<3,>=2.1",
    "skl2onnx<1.21,>=1.20; extra == 'sklearn'",
    "protobuf<7.34; extra == 'sklearn'",
    "xgboost-cpu<4,>=3.0; extra == 'boosting'",
    "tomli<3; python_version < '3.0'",
)


def parts(**versions: str) -> dict[str, Part]:
    found = parts_of(ASKED, ("sklearn", "boosting"), version_of=lambda name: versions.get(name.replace("-", "_")))
    return {part.extra: part for part in found}


def test_what_is_there_in_versions_that_do_is_whole() -> None:
    found = parts(numpy="2.4.1", skl2onnx="1.20.1", protobuf="7.33.9", xgboost_cpu="3.2.0")
    assert list(found) == ["", "boosting", "sklearn"]
    assert all(part.is_there for part in found.values())


def test_what_is_missing_and_what_does_not_do_is_told_with_what_to_install() -> None:
    found = parts(numpy="1.26.4", protobuf="7.35.0")
    assert found[""].misfits == ("numpy 1.26.4",)
    assert found[""].to_install == ("numpy<3,>=2.1",)
    assert found["sklearn"].missing == ("skl2onnx",)
    assert found["sklearn"].misfits == ("protobuf 7.35.0",)
    assert found["sklearn"].to_install == ("skl2onnx<1.21,>=1.20", "protobuf<7.34")
    assert not found["sklearn"].is_there


@pytest.mark.parametrize(("version", "misfits"), [("3.1.0", ()), ("2.1.4", ("xgboost 2.1.4",))])
def test_another_distribution_of_the_same_module_will_do(version: str, misfits: tuple[str, ...]) -> None:
    boosting = parts(numpy="2.4.1", xgboost=version)["boosting"]
    assert boosting.missing == ()
    assert boosting.misfits == misfits
    assert boosting.to_install == (("xgboost<4,>=3.0",) if misfits else ())
