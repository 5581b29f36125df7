"""Files and folders as resources, all or nothing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sluicegate.resources.consistency import conflicts
from sluicegate.resources.errors import ResourceErrors, ResourceProblem
from sluicegate.resources.experiment import ExperimentResource, experiment_resource
from sluicegate.resources.policy import PolicyResource, policy_resource
from sluicegate.resources.reading import CheckedResource, read_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Valid resources that fit together, in the order in which they were read."""

    experiments: tuple[ExperimentResource, ...]
    policies: tuple[PolicyResource, ...]


def load(paths: Iterable[str | Path]) -> Resources:
    """The resources in YAML files, and in the *.yaml and *.yml files right in folders, in the order of their names.

    ResourceErrors with every error of every file, if there is any.
    """
    problems: list[ResourceProblem] = []
    resources: list[CheckedResource] = []
    files = list(_files(paths, problems))
    for file in files:
        for found in read_file(file):
            if isinstance(found, ResourceProblem):
                problems.append(found)
            else:
                resources.append(found)
    complete = not problems
    problems += (problem for resource in resources for problem in resource.problems)
    problems += conflicts(resources, complete)
    problems += (problem for resource in resources for problem in _elsewhere(resource))
    if problems:
        order = {str(file): position for position, file in enumerate(files)}
        raise ResourceErrors(tuple(sorted(problems, key=lambda problem: (order.get(problem.file, -1), problem.line))))
    return _values(resources)


def _elsewhere(resource: CheckedResource) -> Iterator[ResourceProblem]:
    """What files alone cannot give: texts in ConfigMaps."""
    spec = resource.resource.get("spec")
    variants = spec.get("variants") if isinstance(spec, dict) and resource.kind == "Experiment" else None
    for index, variant in enumerate(variants if isinstance(variants, list) else ()):
        if isinstance(variant, dict) and variant.get("configFrom"):
            message = "there are no ConfigMaps outside of Kubernetes: write the texts into config, and remove this"
            yield resource.problem(("spec", "variants", index, "configFrom"), message)


def _files(paths: Iterable[str | Path], problems: list[ResourceProblem]) -> Iterator[Path]:
    seen: set[Path] = set()
    for path in map(Path, paths):
        files = _in_folder(path) if path.is_dir() else [path]
        if not files:
            message = "the folder has no *.yaml or *.yml file"
            problems.append(ResourceProblem(file=str(path), line=1, field="", message=message))
        for file in files:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file


def _in_folder(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix in {".yaml", ".yml"} and file.is_file())


def _values(resources: list[CheckedResource]) -> Resources:
    return Resources(
        experiments=tuple(
            experiment_resource(found.resource, found.source) for found in resources if found.kind == "Experiment"
        ),
        policies=tuple(
            policy_resource(found.resource, found.source) for found in resources if found.kind == "EvaluationPolicy"
        ),
    )
