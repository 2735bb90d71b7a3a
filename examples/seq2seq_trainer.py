"""Fine-tune a translation model with Hugging Face's Seq2SeqTrainer, each direction on its own neurons.

python examples/seq2seq_trainer.py facebook/nllb-200-distilled-600M text.tsv --out specialized

The header of text.tsv has the codes of the languages (en, de, fr), its lines one sentence each. The result is a folder
for `ns.load` and `ns.Translator`.
"""

from __future__ import annotations

from typing import Any

from common import find_masks, parser_of, read_pairs
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, Seq2SeqTrainer, Seq2SeqTrainingArguments

import neuronspec as ns


class SpecializedTrainer(Seq2SeqTrainer):
    """Computes each batch in the directions of its rows."""

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **options: Any) -> Any:
        with ns.use_directions(model, inputs.pop("directions")):
            return super().compute_loss(model, inputs, *args, **options)

    def _get_train_sampler(self, train_dataset: Any = None) -> ns.DirectionSampler:
        directions = [feature["direction"] for feature in train_dataset or self.train_dataset]
        return ns.DirectionSampler(directions, self.args.train_batch_size, self.args.seed)


def main() -> None:
    parser = parser_of(__doc__, "specialized model")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    options = parser.parse_args()

    model = AutoModelForSeq2SeqLM.from_pretrained(options.model)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    collator = ns.DataCollator(tokenizer, model)
    pairs = read_pairs(options.text)
    held_out, training = pairs[: len(pairs) // 10], pairs[len(pairs) // 10 :]

    masks = find_masks(model, collator, held_out)
    print(f"{masks.sparsity():.0%} of the neurons are left out in a direction")
    ns.specialize(model, masks)

    trainer = SpecializedTrainer(
        model=model,
        args=Seq2SeqTrainingArguments(
            output_dir=str(options.out / "training"),
            max_steps=options.steps,
            per_device_train_batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            prediction_loss_only=True,
            remove_unused_columns=False,  # the collator needs direction, source and target
            report_to=[],
        ),
        train_dataset=training,
        eval_dataset=held_out,
        data_collator=collator,
        processing_class=tokenizer,
    )
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    print(f"loss on held-out text: {before:.3f} before training, {trainer.evaluate()['eval_loss']:.3f} after")
    trainer.save_model(str(options.out))  # weights, tokenizer and masks


if __name__ == "__main__":
    main()
