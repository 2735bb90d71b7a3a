"""The models that are trained, and the settings that all loops share."""

from __future__ import annotations

from neuronspec.models.settings import ModelSettings

SIZES = {
    "d256": ModelSettings(
        preset="small", d_model=256, encoder_layers=3, decoder_layers=3, encoder_ffn_dim=1024, decoder_ffn_dim=1024,
        encoder_attention_heads=4, decoder_attention_heads=4,
    ),
    "d512": ModelSettings(preset="small", encoder_ffn_dim=2048, decoder_ffn_dim=2048, encoder_attention_heads=8,
                          decoder_attention_heads=8),
    "big": ModelSettings(preset="big", d_model=1024, encoder_ffn_dim=4096, decoder_ffn_dim=4096),
}  # fmt: skip
SMOOTHING, RATE, WARMUP, BETAS, EPSILON, CLIP = 0.1, 5e-4, 4000, (0.9, 0.98), 1e-6, 1.0
"""Label smoothing; Adam's peak rate, warm-up, betas and epsilon; the longest gradient."""


def floating_point_operations(settings: ModelSettings, vocabulary: int, sources: int, targets: int) -> float:
    """Of one update's matrix products, forward and backward, on so many real source and target tokens.

    Six for each weight and token it is applied to: two forward (multiply, add), four backward (gradients of input
    and weight). Keys and values of cross-attention are of source tokens. Scores of attention, embeddings, norms and
    the optimizer are left out, and so is padding, so that nothing wasted counts as work.
    """
    d = settings.d_model or 512
    encoder = (settings.encoder_layers or 6) * (4 * d * d + 2 * d * (settings.encoder_ffn_dim or 0))
    decoder = (settings.decoder_layers or 6) * (6 * d * d + 2 * d * (settings.decoder_ffn_dim or 0))
    cross = (settings.decoder_layers or 6) * 2 * d * d
    return 6.0 * (sources * (encoder + cross) + targets * (decoder + d * vocabulary))
