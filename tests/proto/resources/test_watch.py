"""Files that are read again when they change, and what of them concerns an agent."""

import os
from pathlib import Path

import pytest
from told import EXPERIMENT, POLICY

from sluicegate.policy import Policy
from sluicegate.resources.errors import ResourceErrors
from sluicegate.resources.load import Resources, load
from sluicegate.resources.watch import WatchedFiles, for_agent

OTHER = EXPERIMENT.replace("warmer-greeting", "other")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "resources.yaml"
    path.write_text(EXPERIMENT)
    return path


def names(resources: Resources | None) -> list[str]:
    assert resources is not None
    return [experiment.name for experiment in resources.experiments]


def test_it_is_read_once(file: Path) -> None:
    """The first call reads; without a change there is nothing new, not even when only the time of the file changed."""
    files = WatchedFiles([file])
    assert names(files.read()) == ["warmer-greeting"]
    assert files.read() is None
    os.utime(file, (1, 1))
    assert files.read() is None


def test_a_change_of_the_content_is_seen(file: Path) -> None:
    """Even with the same size and the same time: a mounted ConfigMap keeps neither."""
    files = WatchedFiles([file])
    before = file.stat()
    files.read()
    file.write_text(EXPERIMENT.replace("weight: 20", "weight: 30"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    resources = files.read()
    assert resources is not None
    assert resources.experiments[0].steps[0].weight == 0.3


def test_a_folder_is_watched_for_what_comes_and_goes(tmp_path: Path, file: Path) -> None:
    """A new file and a removed one are changes; a file of another kind is not."""
    files = WatchedFiles([tmp_path])
    assert names(files.read()) == ["warmer-greeting"]
    (tmp_path / "notes.txt").write_text("nothing")
    assert files.read() is None
    (tmp_path / "more.yml").write_text(OTHER)
    assert sorted(names(files.read())) == ["other", "warmer-greeting"]
    file.unlink()
    assert names(files.read()) == ["other"]


def test_a_mounted_folder_is_swapped_as_a_whole(tmp_path: Path) -> None:
    """A ConfigMap is a link to a folder that changes at once."""
    for name, text in (("one", EXPERIMENT), ("two", OTHER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "experiment.yaml").write_text(text)
    mounted = tmp_path / "mounted"
    mounted.symlink_to(tmp_path / "one")
    files = WatchedFiles([mounted])
    assert names(files.read()) == ["warmer-greeting"]
    mounted.unlink()
    mounted.symlink_to(tmp_path / "two")
    assert names(files.read()) == ["other"]


def test_an_error_is_raised_once_for_each_change(file: Path) -> None:
    """With file, line and field; then silence until the next change, and the mended file is read."""
    files = WatchedFiles([file])
    files.read()
    for wrong in ("weight: 200", "weight: 300"):
        file.write_text(EXPERIMENT.replace("weight: 20", wrong))
        with pytest.raises(ResourceErrors, match=r"resources\.yaml:10: spec\.ramp\.steps\[0\]\.weight"):
            files.read()
        assert files.read() is None
    file.write_text(EXPERIMENT)
    assert names(files.read()) == ["warmer-greeting"]


@pytest.mark.parametrize("whole_folder", [False, True])
def test_a_file_that_vanishes_is_an_error_once(tmp_path: Path, file: Path, whole_folder: bool) -> None:
    """Nothing left to read is told once, not taken for a deletion; back again, it is read."""
    files = WatchedFiles([tmp_path if whole_folder else file])
    files.read()
    file.unlink()
    with pytest.raises(ResourceErrors):
        files.read()
    assert files.read() is None
    file.write_text(EXPERIMENT)
    assert names(files.read()) == ["warmer-greeting"]


def resources(tmp_path: Path, *documents: str) -> Resources:
    path = tmp_path / "resources.yaml"
    path.write_text("---\n".join(documents))
    return load([path])


def test_one_experiment_runs_and_the_others_wait(tmp_path: Path) -> None:
    """The first of the file, unless another one is running already; the order of those that wait stays."""
    third = EXPERIMENT.replace("warmer-greeting", "third")
    found = resources(tmp_path, EXPERIMENT, OTHER, third)
    for running, expected in {
        "": ["warmer-greeting", "other", "third"],
        "other": ["other", "warmer-greeting", "third"],
        "third": ["third", "warmer-greeting", "other"],
        "gone": ["warmer-greeting", "other", "third"],
    }.items():
        own = for_agent(found, "default", "receptionist", running)
        assert own.experiment is not None
        assert [own.experiment.name, *(experiment.name for experiment in own.busy)] == expected


def test_only_the_agents_own_resources_concern_it(tmp_path: Path) -> None:
    """Neither another agent's nor another namespace's; without a policy the default one holds."""
    strict = POLICY.replace("rate: 1.0", "rate: 0.5")
    elsewhere = EXPERIMENT.replace("{name: warmer-greeting}", "{name: warmer-greeting, namespace: elsewhere}")
    others = OTHER.replace("agent: receptionist", "agent: another")
    found = resources(tmp_path, elsewhere, others, strict)
    own = for_agent(found, "default", "receptionist")
    assert (own.experiment, own.busy, own.policy.sampling_rate) == (None, (), 0.5)
    another = for_agent(found, "default", "another")
    assert another.experiment is not None
    assert (another.experiment.name, another.policy) == ("other", Policy())
    assert for_agent(found, "elsewhere", "receptionist").experiment is not None
    assert for_agent(found, "elsewhere", "nobody").experiment is None
