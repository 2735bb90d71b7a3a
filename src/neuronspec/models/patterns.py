"""The table of feed-forward (FFN) blocks that neuronspec knows, by the attribute names of their layers."""

from __future__ import annotations

from dataclasses import dataclass, field

from neuronspec.core.errors import ModelError


@dataclass(frozen=True, slots=True)
class FFNPattern:
    """The attribute names of one kind of feed-forward block.

    The block is `down(dropout(f(up(x))))` or, gated, `down(dropout(f(gate(x)) * up(x)))`. Between `ups`
    and `down` the block must compute each neuron from its own pre-activations alone: no normalisation over
    neurons, no top-k, no clamping. Names are relative to the module that holds the layers and may be dotted
    (`mlp.fc1`).

    Args:
        ups: the projections into the neurons; where there are two, the first is the gate, which `activation`
            is applied to.
        down: the projection out of the neurons.
        activation: the function between them.
        dropout: the `nn.Dropout` or the probability applied to the input of `down`, where the block has one.
        unlike: attributes that, set and true, mark a block which computes something else with these layers.
    """

    ups: tuple[str, ...]
    down: str
    activation: str
    dropout: str | None = None
    unlike: tuple[str, ...] = field(default=())


# Of several patterns that fit a module the first counts, so gated blocks come before plain ones.
FFN_PATTERNS: dict[str, FFNPattern] = {
    # Llama, Qwen, Gemma, Mistral, Cohere, OLMo and their like; T5Gemma has the dropout
    "gate_proj up_proj down_proj": FFNPattern(
        ("gate_proj", "up_proj"),
        "down_proj",
        "act_fn",
        dropout="dropout",
        unlike=(
            "ffn_sub_norm",
            "activation_sparsity",
            "limit",
            "swiglu_limit",
            "gate_multiplier",
            "router_gate",
        ),
    ),
    # gated T5: T5 1.1, mT5, UMT5, Flan-T5
    "wi_0 wi_1 wo": FFNPattern(("wi_0", "wi_1"), "wo", "act", dropout="dropout"),
    # the first T5
    "wi wo": FFNPattern(("wi",), "wo", "act", dropout="dropout"),
    # M2M100, NLLB, mBART, BART, Marian, Pegasus, Blenderbot, Whisper, OPT, XGLM, BioGPT, Phi
    "fc1 fc2": FFNPattern(
        ("fc1",),
        "fc2",
        "activation_fn",
        dropout="activation_dropout",
        unlike=("ffn_layernorm", "global_self_attn_layer_norm"),
    ),
    # GPT-2 (Conv1D), GPT-Neo, GPT-BigCode, Starcoder2
    "c_fc c_proj": FFNPattern(("c_fc",), "c_proj", "act"),
    # GPT-J, CodeGen
    "fc_in fc_out": FFNPattern(("fc_in",), "fc_out", "act"),
    # GPT-NeoX, Falcon, Persimmon
    "dense_h_to_4h dense_4h_to_h": FFNPattern(("dense_h_to_4h",), "dense_4h_to_h", "act"),
    # BLOOM; slow_but_exact multiplies by slices of the weight without calling the layer
    "dense_h_to_4h dense_4h_to_h gelu_impl": FFNPattern(
        ("dense_h_to_4h",), "dense_4h_to_h", "gelu_impl", unlike=("slow_but_exact",)
    ),
    # Nemotron, Arcee, Apertus
    "up_proj down_proj": FFNPattern(("up_proj",), "down_proj", "act_fn"),
    # MPT
    "up_proj down_proj act": FFNPattern(("up_proj",), "down_proj", "act"),
}


def register_ffn_pattern(
    name: str,
    *,
    ups: tuple[str, ...],
    down: str,
    activation: str,
    dropout: str | None = None,
) -> None:
    """Make feed-forward blocks of another model known, under a `name` of their own.

    Args:
        name: any name that isn't taken.
        ups: attribute names of the projections into the neurons, the gate first; see `FFNPattern`, also for what a
            block must compute.
        down: attribute name of the projection out of the neurons.
        activation: attribute name of the activation.
        dropout: attribute name of the dropout on the neurons, if there is one.

    Raises:
        ModelError: the name or the same attributes are registered already, or `ups` hasn't one or two names.
    """
    if name in FFN_PATTERNS:
        raise ModelError(
            f"FFN pattern {name!r} is registered already; registered: {', '.join(map(repr, FFN_PATTERNS))}"
        )
    if isinstance(ups, str) or len(ups) not in (1, 2):
        raise ModelError(f"FFN pattern {name!r}: ups is {ups!r}; expected one name, or two with the gate first")
    for other, known in FFN_PATTERNS.items():
        if (tuple(ups), down, activation) == (known.ups, known.down, known.activation):
            raise ModelError(f"FFN pattern {name!r} names the same layers as the registered pattern {other!r}")
    FFN_PATTERNS[name] = FFNPattern(tuple(ups), down, activation, dropout)
