"""The Hugging Face hub without a network: what its cache has, and what is uploaded to it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest


def in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, model: Any, kind: str = "model") -> Path:
    """Save a model, or copy a folder, as the cache of the hub has what was downloaded; its folder."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    home = tmp_path / f"{kind}s--{name.replace('/', '--')}"
    snapshot = home / "snapshots" / ("0" * 40)
    if isinstance(model, Path):
        shutil.copytree(model, snapshot)
    else:
        model.save_pretrained(snapshot)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("0" * 40)
    return snapshot


class FakeHub:
    """Stands in for the hub: what was made and committed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, card: str | None = None) -> None:
        from huggingface_hub import HfApi

        self.card, self.repos, self.files = card, {}, {}
        monkeypatch.setenv("HF_TOKEN", "hf_none")
        for name in ("create_repo", "file_exists", "create_commit", "hf_hub_download"):
            monkeypatch.setattr(HfApi, name, getattr(self, f"_{name}"))
        self.folder: Path | None = None

    def _create_repo(self, repo: str, **options: Any) -> Any:
        self.repos[repo] = options
        return type("Url", (), {"repo_id": repo})()

    def _file_exists(self, repo: str, name: str, **options: Any) -> bool:
        return self.card is not None

    def _hf_hub_download(self, repo: str, name: str, **options: Any) -> str:
        assert self.folder is not None and self.card is not None
        (self.folder / name).write_text(self.card, encoding="utf-8")
        return str(self.folder / name)

    def _create_commit(self, repo: str, operations: list[Any], **options: Any) -> Any:
        for each in operations:
            content = each.path_or_fileobj
            self.files[each.path_in_repo] = content if isinstance(content, bytes) else Path(content).read_bytes()
        return type("Commit", (), {"commit_url": f"https://huggingface.co/{repo}/commit/0"})()
