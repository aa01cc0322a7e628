"""A run folder is held by one run, resumed without a flag, and believes nothing that was changed."""

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from loadplan.errors import EnvironmentFault, InputError
from loadplan.store import codec, files
from loadplan.store.manifest import MANIFEST_SCHEMA, Artifact, Manifest, StageEntry, stage_key
from loadplan.store.run_folder import MANIFEST, RunFolder, hold_run_folder, open_run_folder, read_run_folder

NOW = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
ARTIFACTS = {"models/fp32.onnx": b"weights", "export.json": b"description"}


def finish(folder: RunFolder, stage: str = "export", key: str = "key") -> None:
    for path, data in ARTIFACTS.items():
        files.write_bytes(folder.path / path, data)
    folder.finish(
        StageEntry(
            stage=stage,
            key=key,
            inputs={"model": "hash"},
            artifacts=tuple(folder.artifact(path) for path in ARTIFACTS),
            versions={"onnx": "1.22.0"},
            machine="fingerprint",
            seed=7,
            finished_at=NOW.isoformat(),
        )
    )


def make_finished(results: Path, *, name: str = "digits", run_hash: str = "aaaa", now: datetime = NOW) -> Path:
    with open_run_folder(results, name=name, run_hash=run_hash, now=now) as folder:
        finish(folder)
    return folder.path


def test_a_new_folder_is_named_by_time_and_hash(tmp_path: Path) -> None:
    with open_run_folder(tmp_path / "results", name="digits", run_hash="aaaa", now=NOW) as folder:
        assert folder.path == tmp_path / "results" / "digits" / "20261124T090000Z-aaaa"
    assert read_run_folder(folder.path).manifest == Manifest(
        scenario="digits", run_hash="aaaa", created_at=NOW.isoformat(), stages=()
    )


def test_the_same_hash_goes_on_in_its_newest_folder(tmp_path: Path) -> None:
    make_finished(tmp_path)
    with open_run_folder(tmp_path, name="digits", run_hash="aaaa", now=LATER, fresh=True) as second:
        assert second.entry("export") is None
    with open_run_folder(tmp_path, name="digits", run_hash="aaaa", now=LATER + timedelta(days=1)) as third:
        assert third.path == second.path


def test_another_hash_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    first = make_finished(tmp_path)
    with open_run_folder(tmp_path, name="digits", run_hash="bbbb", now=NOW) as second:
        assert second.path != first


def test_fresh_runs_of_the_same_second_get_different_folders_and_the_last_is_the_newest(tmp_path: Path) -> None:
    paths = []
    for _ in range(12):
        with open_run_folder(tmp_path, name="digits", run_hash="aaaa", now=NOW, fresh=True) as folder:
            paths.append(folder.path)
    assert paths == sorted(set(paths))
    with open_run_folder(tmp_path, name="digits", run_hash="aaaa", now=NOW) as folder:
        assert folder.path == paths[-1]


def test_a_folder_whose_manifest_was_never_written_is_used(tmp_path: Path) -> None:
    empty = tmp_path / "digits" / "20261124T080000Z-aaaa"
    empty.mkdir(parents=True)
    assert make_finished(tmp_path) == empty


@pytest.mark.parametrize("name", ["two words", "-rf", "new\nline", "🦊", "[a]*?", "x" * 255])
def test_a_folder_of_any_name_works(name: str, tmp_path: Path) -> None:
    path = make_finished(tmp_path, name=name)
    with open_run_folder(tmp_path, name=name, run_hash="aaaa", now=LATER) as folder:
        assert folder.path == path
        assert folder.is_done("export", "key")


def test_a_name_that_no_file_system_takes_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="choose a shorter name"):
        make_finished(tmp_path, name="x" * 256)


def test_a_place_that_cannot_be_written_is_refused_at_once() -> None:
    with pytest.raises(EnvironmentFault, match="/proc/loadplan"):
        make_finished(Path("/proc/loadplan"))


def test_a_second_run_is_refused_and_told_who_holds_the_folder(tmp_path: Path) -> None:
    with (
        open_run_folder(tmp_path, name="digits", run_hash="aaaa", now=NOW) as folder,
        pytest.raises(EnvironmentFault) as caught,
        hold_run_folder(folder.path, now=LATER),
    ):
        pass
    assert f"process {os.getpid()} on {os.uname().nodename} since 2026-11-24T09:00:00+00:00" in caught.value.what
    assert caught.value.exit_code == 4


def test_a_folder_can_be_looked_at_while_it_is_held(tmp_path: Path) -> None:
    with open_run_folder(tmp_path, name="digits", run_hash="aaaa", now=NOW) as folder:
        finish(folder)
        assert read_run_folder(folder.path).require("export").key == "key"


def test_a_folder_is_free_again_after_its_run_and_after_an_error_in_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_run_folder(tmp_path, name="digits", run_hash="aaaa", now=NOW):
        raise ZeroDivisionError
    with open_run_folder(tmp_path, name="digits", run_hash="aaaa", now=NOW):
        pass


def test_what_a_kill_left_unfinished_is_removed(tmp_path: Path) -> None:
    path = make_finished(tmp_path)
    for leftover in (path / f"{files.UNFINISHED}1-a", path / "models" / f"{files.UNFINISHED}2-b"):
        leftover.write_bytes(b"half")
    with hold_run_folder(path, now=LATER):
        assert not list(path.rglob(f"{files.UNFINISHED}*"))


def test_a_finished_stage_is_done_under_its_key_only(tmp_path: Path) -> None:
    with hold_run_folder(make_finished(tmp_path), now=LATER) as folder:
        assert folder.is_done("export", "key")
        assert not folder.is_done("export", "other key")
        assert not folder.is_done("bench", "key")
        assert folder.caveats == []


@pytest.mark.parametrize("path", ARTIFACTS)
def test_a_changed_byte_in_an_artefact_is_seen_wherever_it_is(path: str, tmp_path: Path) -> None:
    run = make_finished(tmp_path)
    for i in range(len(ARTIFACTS[path])):
        with hold_run_folder(run, now=LATER) as folder:
            data = bytearray(ARTIFACTS[path])
            data[i] ^= 1
            (run / path).write_bytes(data)
            assert not folder.is_done("export", "key")
            assert (run / "damaged" / path).read_bytes() == data
            assert not (run / path).exists()
            (caveat,) = folder.caveats
            expected = next(a.sha256 for a in folder.manifest.stages[0].artifacts if a.path == path)
            assert path in caveat.what
            assert expected in caveat.what
            assert files.sha256_file(run / "damaged" / path) in caveat.what
            finish(folder)
            assert folder.is_done("export", "key")


def test_a_missing_artefact_makes_the_stage_unfinished(tmp_path: Path) -> None:
    with hold_run_folder(make_finished(tmp_path), now=LATER) as folder:
        (folder.path / "export.json").unlink()
        assert not folder.is_done("export", "key")


def test_who_only_looks_is_told_of_damage_and_changes_nothing(tmp_path: Path) -> None:
    run = make_finished(tmp_path)
    (run / "export.json").write_bytes(b"descriptioN")
    with pytest.raises(EnvironmentFault, match=r"export\.json was changed"):
        read_run_folder(run).require("export")
    assert (run / "export.json").exists()
    with pytest.raises(InputError, match="'plan' is not finished"):
        read_run_folder(run).require("plan")


def test_a_stage_of_another_run_is_linked_not_made_again(tmp_path: Path) -> None:
    first = make_finished(tmp_path)
    with open_run_folder(tmp_path, name="digits", run_hash="bbbb", now=LATER) as second:
        assert not second.is_done("export", "key")
        assert second.adopt("export", "key")
        assert second.is_done("export", "key")
        assert second.entry("export") == read_run_folder(first).entry("export")
        for path in ARTIFACTS:
            assert (first / path).samefile(second.path / path)
        assert not second.adopt("export", "other key")


def test_a_fresh_run_takes_nothing_over_even_when_it_is_gone_on_with(tmp_path: Path) -> None:
    make_finished(tmp_path)
    with open_run_folder(tmp_path, name="digits", run_hash="aaaa", now=LATER, fresh=True) as fresh:
        assert not fresh.adopt("export", "key")
    with open_run_folder(tmp_path, name="digits", run_hash="aaaa", now=LATER) as resumed:
        assert resumed.path == fresh.path
        assert not resumed.adopt("export", "key")


def test_a_scenario_under_a_new_name_links_what_the_old_one_measured(tmp_path: Path) -> None:
    make_finished(tmp_path, name="old")
    with open_run_folder(tmp_path, name="new", run_hash="aaaa", now=LATER) as folder:
        assert folder.adopt("export", "key")


def test_remaking_a_linked_artefact_leaves_the_other_run_as_it_was(tmp_path: Path) -> None:
    first = make_finished(tmp_path)
    with open_run_folder(tmp_path, name="digits", run_hash="bbbb", now=LATER) as second:
        second.adopt("export", "key")
        files.write_bytes(second.path / "export.json", b"new")
    assert (first / "export.json").read_bytes() == ARTIFACTS["export.json"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda run: (run / "export.json").write_bytes(b"descriptioN"),
        lambda run: (run / MANIFEST).write_bytes(b"{"),
        lambda run: (run / MANIFEST).write_text(json.dumps({"schema": "loadplan.manifest/9"})),
        lambda run: shutil.rmtree(run / "models"),
    ],
    ids=["changed artefact", "torn manifest", "newer manifest", "missing artefact"],
)
def test_a_spoilt_neighbour_is_passed_over(spoil: object, tmp_path: Path) -> None:
    good = make_finished(tmp_path)
    bad = make_finished(tmp_path, run_hash="bbbb", now=LATER)
    assert callable(spoil)
    spoil(bad)
    with open_run_folder(tmp_path, name="digits", run_hash="cccc", now=LATER) as folder:
        assert folder.adopt("export", "key")
        assert (folder.path / "export.json").samefile(good / "export.json")


def test_every_cut_manifest_is_set_aside_and_the_run_begins_anew(tmp_path: Path) -> None:
    run = make_finished(tmp_path)
    whole = (run / MANIFEST).read_bytes()
    for n_bytes in range(0, len(whole) - 1, 41):
        (run / MANIFEST).write_bytes(whole[:n_bytes])
        with open_run_folder(tmp_path, name="digits", run_hash="aaaa", now=LATER) as folder:
            assert folder.path == run
            assert folder.manifest.stages == ()
            assert [caveat.code for caveat in folder.caveats] == ["run_folder.damaged"]
            assert (run / "damaged" / MANIFEST).read_bytes() == whole[:n_bytes]


def test_a_changed_byte_in_the_manifest_never_changes_what_it_says(tmp_path: Path) -> None:
    run = make_finished(tmp_path)
    said, whole = read_run_folder(run).manifest, (run / MANIFEST).read_bytes()
    refused = 0
    for i in range(0, len(whole), 3):
        (run / MANIFEST).write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        try:
            assert read_run_folder(run).manifest == said
        except InputError:
            refused += 1
    assert refused > len(whole) // 6


@pytest.mark.parametrize("schema", ["loadplan.manifest/0", "loadplan.manifest/2", "loadplan.manifest/10"])
def test_a_manifest_of_another_version_is_refused_and_never_overwritten(schema: str, tmp_path: Path) -> None:
    run = make_finished(tmp_path)
    other = json.dumps({"schema": schema, "stages": "otherwise"}).encode()
    (run / MANIFEST).write_bytes(other)
    with (
        pytest.raises(InputError, match=schema) as caught,
        open_run_folder(tmp_path, name="digits", run_hash="aaaa", now=LATER),
    ):
        pass
    assert MANIFEST_SCHEMA in caught.value.what
    assert (run / MANIFEST).read_bytes() == other
    with open_run_folder(tmp_path, name="digits", run_hash="aaaa", now=LATER, fresh=True) as folder:
        assert folder.path != run


@pytest.mark.parametrize("path", ["/etc/passwd", "../other/plan.json", "a/../../b", "", "."])
def test_a_manifest_can_name_nothing_outside_its_folder(path: str) -> None:
    with pytest.raises(ValueError, match="no path inside a run folder"):
        Artifact(path=path, sha256="", n_bytes=0)


def test_a_journal_is_kept_until_its_stage_is_finished(tmp_path: Path) -> None:
    with open_run_folder(tmp_path, name="digits", run_hash="aaaa", now=NOW) as folder:
        folder.journal("export", "key").append(Artifact(path="a", sha256="", n_bytes=1))
    with hold_run_folder(folder.path, now=LATER) as folder:
        assert len(folder.journal("export", "key").entries(Artifact)) == 1
        finish(folder)
        assert not list((folder.path / "journal").iterdir())


def test_a_folder_that_is_no_run_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this is not a run folder"):
        read_run_folder(tmp_path / "nothing")


def test_a_stage_key_changes_with_each_part_and_not_with_their_order() -> None:
    keys = {
        stage_key("bench", {"a": "1", "b": "2"}),
        stage_key("fit", {"a": "1", "b": "2"}),
        stage_key("bench", {"a": "1", "b": "3"}),
        stage_key("bench", {"a": "1"}),
        stage_key("bench", {"a": '1", "b": "2'}),
    }
    assert len(keys) == 5
    assert stage_key("bench", {"b": "2", "a": "1"}) in keys


def test_the_manifest_is_the_same_bytes_for_the_same_run(tmp_path: Path) -> None:
    texts = {(make_finished(tmp_path / side) / MANIFEST).read_bytes() for side in ("a", "b")}
    assert len(texts) == 1
    assert codec.schema_of(tmp_path / "a" / "digits" / "20261124T090000Z-aaaa" / MANIFEST) == MANIFEST_SCHEMA
