"""The vocabulary of M2M-100's own tokenizer class, which reads a SentencePiece model and a table of ids."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from neuronspec.core.errors import ModelError
from neuronspec.core.files import write_json
from neuronspec.core.json_files import read_json
from neuronspec.models.vocabulary_files import (
    AGAIN,
    BYTE,
    CONFIG,
    PLAIN,
    SPACE,
    NewPiece,
    Order,
    VocabularyFiles,
    joined_on_the_way,
)


class M2M100Files(VocabularyFiles):
    """M2M-100's own tokenizer: SentencePiece BPE, ids in `vocab.json`, and after them the tags of its 100 languages.

    SentencePiece joins the neighbours whose union is the best of its pieces. Pieces of its model that have no id are
    `<unk>` to the tokenizer, and stay.
    """

    def __init__(self, tokenizer: Any) -> None:
        super().__init__(tokenizer)
        from sentencepiece import sentencepiece_model_pb2

        self._model: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
        self._model.ParseFromString(tokenizer.sp_model.serialized_model_proto())
        self._scores = {piece.piece: piece.score for piece in self._model.pieces}
        self._ids: dict[str, int] = tokenizer.encoder
        self._tags: dict[str, int] = tokenizer.lang_token_to_id
        added = set(tokenizer.added_tokens_decoder)
        bytes_ = {number for token, number in self._ids.items() if BYTE.fullmatch(token) or token == SPACE}
        self.fixed = set(tokenizer.all_special_ids) | added | bytes_ | set(self._tags.values())

    def closed(self, ids: Collection[int]) -> set[int]:
        """Some ids, with those of all pieces that they are made from."""
        return {*ids, *(self._ids[part] for part in self._needed(ids) if part in self._ids)}

    def _needed(self, ids: Collection[int]) -> set[str]:
        tokens = [self.tokenizer.decoder[number] for number in ids if number in self.tokenizer.decoder]
        tokens += [token for token in self._scores if token not in self._ids]
        return {part for token in tokens for part in (token, *token, *joined_on_the_way(token, self._rank))}

    def _rank(self, pair: tuple[str, str]) -> float | None:
        score = self._scores.get(pair[0] + pair[1])
        return None if score is None else -score

    def words(self, text: str) -> list[tuple[int, ...]]:
        """The ids of a text's pieces, word by word."""
        found: list[list[int]] = []
        for piece in self.tokenizer.sp_model.encode(text, out_type=str):
            if piece.startswith(SPACE) or not found:
                found.append([])
            found[-1].append(self._ids.get(piece, self.tokenizer.unk_token_id))
        return [tuple(ids) for ids in found]

    def token(self, number: int) -> str:
        """What an id stands for."""
        return str(self.tokenizer.convert_ids_to_tokens(number))

    def has(self, token: str) -> bool:
        """Whether a token is in the vocabulary."""
        return token in self._scores or token in self._ids or token in self._tags

    def write(self, folder: Path, kept: Collection[int], pieces: Sequence[NewPiece], tags: Sequence[str]) -> Order:
        """Write vocab.json, sentencepiece.bpe.model and tokenizer_config.json."""
        within = sorted(number for number in self._ids.values() if number in kept)
        beside = sorted(number for number in self.tokenizer.added_tokens_decoder if number >= len(self._ids))
        order: Order = [*within, *pieces, *sorted(self._tags.values())]
        order += [number for number in beside if number not in self._tags.values()]
        order += tags
        self.save_rest(folder, order, ())
        config = read_json(folder / CONFIG, dict[str, Any], AGAIN, error=ModelError)
        new = {str(one): str(number) for number, one in enumerate(order) if isinstance(one, int)}
        added = {new[number]: entry for number, entry in config["added_tokens_decoder"].items()}
        added |= {str(order.index(tag)): {"content": tag} | PLAIN for tag in tags}
        write_json(folder / CONFIG, config | {"added_tokens_decoder": added})
        texts = [self.tokenizer.decoder[number] for number in within] + [piece.text for piece in pieces]
        write_json(folder / "vocab.json", {text: number for number, text in enumerate(texts)})
        (folder / "sentencepiece.bpe.model").write_bytes(self._changed_model(kept, pieces))
        return order

    def _changed_model(self, kept: Collection[int], pieces: Sequence[NewPiece]) -> bytes:
        needed, normal = self._needed(kept), 1
        changed = type(self._model)()
        changed.CopyFrom(self._model)
        del changed.pieces[:]
        changed.pieces.extend(one for one in self._model.pieces if one.type != normal or one.piece in needed)
        worst = min(self._scores.values())
        for place, piece in enumerate(pieces):
            changed.pieces.add(piece=piece.text, score=worst - 1 - place)
        changed.trainer_spec.vocab_size = len(changed.pieces)
        return bytes(changed.SerializeToString())
