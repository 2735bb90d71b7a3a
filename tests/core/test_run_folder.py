"""Where things are in a run folder, held against the run folder of version 0.1."""

from __future__ import annotations

from pathlib import Path

from neuronspec.core.run_folder import RunFolder

RUN = Path(__file__).parents[1] / "fixtures" / "run_0_1" / "run"


def test_paths_are_those_of_earlier_versions() -> None:
    run = RunFolder(RUN)
    assert run.exists and not RunFolder(RUN / "base").exists
    files = [run.recipe, run.stages, run.activations, run.masks, run.results, run.analysis]
    folders = [run.data, run.base, run.arm("specialized"), run.evaluation("base"), run.evaluation("copy"), run.report]
    assert [path for path in files if not path.is_file()] == []
    assert [path for path in folders if not path.is_dir()] == []
    assert run.arm("base") == run.base
    assert run.training_log("dense") == RUN / "arms" / "dense" / "log.jsonl"


def test_paths_are_relative_to_the_run_without_a_folder() -> None:
    here = RunFolder(Path())
    assert here.evaluation("dense").as_posix() == "evaluation/dense"
    assert here.page.parent == here.report
