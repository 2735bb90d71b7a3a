"""Train LoRA of PEFT on a model whose neurons are specialized, save it and read it again.

python examples/lora.py facebook/nllb-200-distilled-600M text.tsv --out adapters

The header of text.tsv has the codes of the languages (en, de, fr), its lines one sentence each. The base stays frozen;
the result is a small folder with the adapters and the masks, for `ns.load`.
"""

from __future__ import annotations

import torch
from common import find_masks, parser_of, read_pairs
from peft import LoraConfig, get_peft_model
from torch.utils.data import DataLoader
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

import neuronspec as ns


def main() -> None:
    parser = parser_of(__doc__, "adapters")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    options = parser.parse_args()

    base = AutoModelForSeq2SeqLM.from_pretrained(options.model)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    collator = ns.DataCollator(tokenizer, base)
    pairs = read_pairs(options.text)

    ns.specialize(base, find_masks(base, collator, pairs[: len(pairs) // 10]))
    targets = ["q_proj", "v_proj", "fc1", "fc2"]  # the masks hold for what is added to fc1 and fc2, too
    model = get_peft_model(base, LoraConfig(r=options.rank, lora_alpha=2 * options.rank, target_modules=targets))
    model.print_trainable_parameters()

    sampler = ns.DirectionSampler([pair["direction"] for pair in pairs], options.batch_size)
    loader = DataLoader(pairs, options.batch_size, sampler=sampler, collate_fn=collator)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=options.learning_rate)
    model.train()
    for epoch in range(options.epochs):
        sampler.set_epoch(epoch)
        total = 0.0
        for batch in loader:
            directions = batch.pop("directions")
            inputs = {name: tensor.to(base.device) for name, tensor in batch.items()}
            with ns.use_directions(model, directions):
                loss = model(**inputs).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            total += loss.item()
        print(f"epoch {epoch + 1}: loss {total / len(loader):.3f}")

    model.save_pretrained(options.out)  # the adapters, and the masks beside them
    again = ns.load(options.out)
    batch = collator(pairs[:1])
    directions = batch.pop("directions")
    with torch.no_grad(), ns.use_directions(again, directions):
        loss = again(**{name: tensor.to(base.device) for name, tensor in batch.items()}).loss
    print(f"read again from {options.out}: loss {loss:.3f} on the first pair, {directions[0]}")


if __name__ == "__main__":
    main()
