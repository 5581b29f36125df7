"""What is in force, as a sidecar learns it from resource files."""

import asyncio
from pathlib import Path

import pytest
from captured import until
from told import EXPERIMENT, POLICY

from sluicegate_sidecar.errors import ConfigError
from sluicegate_sidecar.routing import file_source
from sluicegate_sidecar.routing.file_source import FileSource
from sluicegate_sidecar.routing.in_force import InForce


def source(path: Path, in_force: InForce, agent: str = "receptionist") -> FileSource:
    return FileSource(str(path), "default", agent, in_force)


def weight(in_force: InForce) -> float | None:
    return in_force.snapshot.experiment.weight if in_force.snapshot.experiment else None


def test_a_file_is_in_force(tmp_path: Path) -> None:
    """Policy and experiment of one file; the weight in force is that of the first step."""
    file, in_force = tmp_path / "all.yaml", InForce()
    file.write_text(f"{POLICY}---\n{EXPERIMENT}")
    source(file, in_force).load()
    assert in_force.loaded.is_set()
    assert (weight(in_force), in_force.snapshot.policy.sampling_rate) == (0.2, 1.0)


def test_a_folder_is_in_force(tmp_path: Path) -> None:
    """All YAML files of a folder, and nothing else that lies there."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "experiment.yml").write_text(EXPERIMENT)
    (tmp_path / "notes.txt").write_text("not: [yaml")
    in_force = InForce()
    source(tmp_path, in_force).load()
    assert (weight(in_force), in_force.snapshot.policy.sampling_rate) == (0.2, 1.0)


def test_what_concerns_another_agent_is_left_out(tmp_path: Path) -> None:
    """An agent without resources gets the default policy and no experiment, and that is a loaded state."""
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    in_force = InForce()
    source(tmp_path, in_force, agent="other").load()
    assert in_force.loaded.is_set()
    assert weight(in_force) is None


def test_one_experiment_runs_at_a_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The second experiment of a busy agent gets no traffic, and is told so by name."""
    (tmp_path / "a.yaml").write_text(EXPERIMENT)
    (tmp_path / "b.yaml").write_text(EXPERIMENT.replace("warmer-greeting", "shorter"))
    in_force = InForce()
    source(tmp_path, in_force).load()
    assert in_force.snapshot.experiment is not None
    assert in_force.snapshot.experiment.name == "warmer-greeting"
    assert "shorter gets no traffic" in caplog.text


def test_a_change_of_content_is_picked_up(tmp_path: Path) -> None:
    """Changed, added and deleted files count; a file that is only touched changes nothing."""
    file, in_force = tmp_path / "experiment.yaml", InForce()
    file.write_text(EXPERIMENT)
    files = source(tmp_path, in_force)
    files.load()
    before = in_force.snapshot
    file.touch()
    files.load()
    assert in_force.snapshot is before
    file.write_text(EXPERIMENT.replace("weight: 20", "weight: 30"))
    files.load()
    assert weight(in_force) == 0.3
    (tmp_path / "policy.yaml").write_text(POLICY)
    files.load()
    assert in_force.snapshot.policy.sampling_rate == 1.0
    file.unlink()
    files.load()
    assert weight(in_force) is None


def test_every_error_of_every_file_is_told(tmp_path: Path) -> None:
    """A start with wrong files names the setting and each problem with its file."""
    (tmp_path / "a.yaml").write_text(EXPERIMENT.replace("weight: 20", "weight: 200"))
    (tmp_path / "b.yaml").write_text(POLICY.replace("rate: 1.0", "rate: 7"))
    in_force = InForce()
    with pytest.raises(ConfigError, match=r"^SLUICEGATE_CONFIG:\n") as refused:
        source(tmp_path, in_force).load()
    assert "a.yaml" in str(refused.value)
    assert "b.yaml" in str(refused.value)
    assert not in_force.loaded.is_set()


def test_a_path_that_is_not_there_is_a_bad_setting(tmp_path: Path) -> None:
    """A start without the file that was named is refused."""
    with pytest.raises(ConfigError, match=r"^SLUICEGATE_CONFIG:\n.*nowhere"):
        source(tmp_path / "nowhere.yaml", InForce()).load()


async def test_a_broken_file_leaves_the_last_good_state(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it runs, wrong files are logged with every error, once for each change, and mended ones are taken."""
    monkeypatch.setattr(file_source, "POLL_SECONDS", 0.005)
    first, second, in_force = tmp_path / "a.yaml", tmp_path / "b.yaml", InForce()
    first.write_text(EXPERIMENT)
    second.write_text(POLICY)
    files = source(tmp_path, in_force)
    files.load()
    follower = asyncio.create_task(files.follow())
    try:
        broken = tmp_path / "broken"
        broken.write_text(EXPERIMENT.replace("weight: 20", "weight: 200"))
        broken.replace(first)
        await until(lambda: "a.yaml" in caplog.text)
        second.write_text("not: [yaml")
        await until(lambda: "b.yaml" in caplog.text)
        assert weight(in_force) == 0.2
        assert "the last good state stays in force" in caplog.text
        second.write_text(POLICY)
        first.write_text(EXPERIMENT.replace("weight: 20", "weight: 40"))
        await until(lambda: weight(in_force) == 0.4)
    finally:
        follower.cancel()
        await asyncio.gather(follower, return_exceptions=True)
    assert 2 <= caplog.text.count("the last good state stays") <= 6
