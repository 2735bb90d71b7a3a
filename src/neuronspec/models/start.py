"""How the weights of a new model are drawn, where that isn't left to transformers."""

from __future__ import annotations

from torch import nn
from transformers import M2M100ForConditionalGeneration

_INTO_ATTENTION = ("q_proj", "k_proj", "v_proj")


def start_as_fairseq(model: M2M100ForConditionalGeneration) -> None:
    """Draw the weights as fairseq draws those of its Transformer, in place.

    - embeddings: N(0, init_std) with zeros for padding, as they are already;
    - attention: Xavier's uniform distribution, with gain 1/sqrt(2) for q, k and v; the bias of the projection out is
      zero, that of the others as in the FFNs;
    - FFNs: weights and biases uniform within 1/sqrt(inputs), which is what `torch.nn.Linear` does by itself.

    Source: fairseq 0.12, `MultiheadAttention.reset_parameters` and `TransformerEncoderLayerBase.build_fc1`.

    Args:
        model: whose layers are drawn anew, from the global random state.
    """
    for name, module in model.model.named_modules():
        if not isinstance(module, nn.Linear):
            continue
        module.reset_parameters()
        part = name.rpartition(".")[2]
        if part in _INTO_ATTENTION:
            nn.init.xavier_uniform_(module.weight, gain=2**-0.5)
        elif part == "out_proj":
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
