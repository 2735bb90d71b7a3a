"""CTranslate2 is told which library multiplies, where its choice overflows."""

from __future__ import annotations

import os

import pytest
import torch

from neuronspec.translation.conversion import import_ctranslate2


@pytest.mark.parametrize(
    ("capabilities", "overflows"),
    [
        ({"avx2": True, "avx512_vnni": False, "avx_vnni": False}, True),
        ({"avx2": True, "avx_vnni": True}, False),
        ({"avx2": True, "avx512_vnni": True}, False),
        ({"architecture": "aarch64"}, False),
    ],
)
def test_processors_whose_int8_products_overflow(
    capabilities: dict[str, object], overflows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CT2_USE_MKL", raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    import_ctranslate2()
    assert os.environ.get("CT2_USE_MKL") == ("1" if overflows else None)
    monkeypatch.setenv("CT2_USE_MKL", "0")
    import_ctranslate2()
    assert os.environ["CT2_USE_MKL"] == "0", "what is set is kept"
