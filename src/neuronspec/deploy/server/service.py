"""What the paths of a server share: the translator, the queue, the counters."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from starlette.requests import ClientDisconnect

from neuronspec.core.direction import Direction, languages_of
from neuronspec.core.errors import DirectionError, NeuronspecError
from neuronspec.core.languages import name_of
from neuronspec.deploy.documents.html_text import plain_of
from neuronspec.deploy.server.batcher import Batcher, QueueFull
from neuronspec.deploy.server.counters import Metrics
from neuronspec.deploy.server.limits import Limits
from neuronspec.deploy.server.schemas import (
    Detected,
    LanguageName,
    Refused,
    Served,
    SupportedLanguage,
    TranslateRequest,
    TranslateResponse,
)
from neuronspec.deploy.server.spellings import Spellings
from neuronspec.deploy.translator import Translator
from neuronspec.models.text_cleaning import Lines, framed
from neuronspec.scoring.langid import Detector
from neuronspec.translation.engine import Translations

Gone = Callable[[], Coroutine[Any, Any, None]]
Html = Callable[[list[str], Direction, Gone], Coroutine[Any, Any, list[str]]]

AUTO = "auto"
RELIABLE = 40
"""Characters over which a text's language is detected by itself, as in LibreTranslate: below, by all texts together."""
_LIKELY = 0.1
"""Languages that are less probable aren't listed by `/detect`."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """The translations of one text, the best first."""

    ranks: list[str]
    served: Served


class Service:
    """Translates and detects for all requests.

    Args:
        translator: what translates.
        limits: of requests.

    Attributes:
        languages: those that are served, as clients get them.
        start: the direction that user interfaces start with.
    """

    def __init__(self, translator: Translator, limits: Limits) -> None:
        self.translator, self.limits = translator, limits
        self._directions = {Direction.parse(name) for name in translator.reachable()}
        codes = languages_of(self._directions)
        self.spellings = Spellings(codes)
        self._targets: dict[str, list[str]] = {code: [] for code in codes}
        self._sources: dict[str, list[str]] = {code: [] for code in codes}
        for each in sorted(self._directions):
            self._targets[each.source].append(each.target)
            self._sources[each.target].append(each.source)
        self._detector = Detector(codes)
        self.batcher = Batcher(translator.translate, queue=limits.queue, observe=self._observe)
        self.metrics = Metrics(lambda: self.batcher.waiting, lambda: translator.loaded)
        self.start = Direction.parse(translator.best_direction())
        shown = self.spellings.shown
        self.languages = [
            SupportedLanguage(code=shown(code), name=name_of(code), targets=sorted(map(shown, self._targets[code])))
            for code in codes
        ]

    async def translate(self, wanted: TranslateRequest, gone: Gone, html: Html) -> TranslateResponse:
        """Answer a request.

        Args:
            wanted: the request.
            html: translates texts with HTML in them.
            gone: returns when the client has left; then the work is given up.

        Raises:
            Refused: it can't be answered.
            ClientDisconnect: the client has left.
        """
        texts = texts_of(wanted.q)
        target = self.spellings.resolve(wanted.target)
        marked = wanted.format == "html"
        shown = list(map(plain_of, texts)) if marked else texts
        detected = self.detected_for(shown, target) if wanted.source.lower() == AUTO else None
        if detected is None:
            sources = [self.spellings.resolve(wanted.source)] * len(texts)
        else:
            sources = [self.spellings.resolve(each.language) for each in detected]
        if not marked:
            return _response(wanted, await self._answers(texts, sources, target, gone), detected)
        answers: dict[int, _Answer] = {}
        for source in dict.fromkeys(sources):
            own = [place for place, each in enumerate(sources) if each == source]
            found = [texts[place] for place in own]
            if source != target:
                found = await html(found, self.direction(source, target), gone)
            served = self._served(f"{source}-{target}", None)
            answers |= {place: _Answer([text], served) for place, text in zip(own, found, strict=True)}
        return _response(wanted, [answers[place] for place in range(len(texts))], detected)

    def _served(self, direction: str, composed: tuple[str, str] | None) -> Served:
        source, _, target = direction.partition("-")
        neurons = (self.translator.neurons(direction) if source != target else None) or (None, None)
        return Served(direction=direction, neurons=neurons[0], dense_neurons=neurons[1], composed=composed)

    def language(self, code: str) -> LanguageName:
        """A language of the model, as clients get it."""
        return LanguageName(code=self.spellings.shown(code), name=name_of(code))

    def check_size(self, texts: Sequence[str], characters: int | None = None) -> None:
        """Check that a request isn't too large.

        Args:
            texts: of the request.
            characters: how many it may have, where they differ from the server's limit.

        Raises:
            Refused: there are too many texts or characters.
        """
        if len(texts) > self.limits.texts:
            raise Refused(413, f"{len(texts)} texts; send at most {self.limits.texts} at once")
        size, most = sum(map(len, texts)), characters or self.limits.characters
        if size > most:
            raise Refused(413, f"{size} characters; send at most {most} at once")

    def detect(self, texts: Sequence[str]) -> list[Detected]:
        """The languages that texts are in, among those that are served, the likeliest first.

        Raises:
            Refused: languages can't be detected here.
        """
        found = self._probabilities(texts, None)
        return [self._as_detected(*each) for each in found if each[1] >= _LIKELY] or [self._as_detected(*found[0])]

    def direction(self, source: str, target: str) -> Direction:
        """A direction that is served.

        Raises:
            Refused: it isn't.
        """
        if target not in self._targets[source]:
            others = ", ".join(map(self.spellings.shown, self._targets[source])) or "nothing"
            names = self.spellings.shown(source), self.spellings.shown(target)
            raise Refused(400, f"{'-'.join(names)} is not served; from {names[0]!r}: {others}")
        return Direction(source, target)

    def sources_of(self, target: str) -> list[str]:
        """The languages that are translated to a target.

        Raises:
            Refused: none is.
        """
        if not self._sources[target]:
            raise Refused(400, f"nothing is translated to {self.spellings.shown(target)!r} here")
        return self._sources[target]

    def detected_for(self, texts: list[str], target: str) -> list[Detected]:
        """By text, the source to translate from. A long text may be in the target language already.

        Raises:
            Refused: nothing is translated to the target, or languages can't be detected here.
        """
        sources = self.sources_of(target)
        together = self._as_detected(*self._probabilities(texts, sources)[0])
        return [
            self._as_detected(*self._probabilities([text], [*sources, target])[0]) if len(text) > RELIABLE else together
            for text in texts
        ]

    def _probabilities(self, texts: Sequence[str], among: list[str] | None) -> list[tuple[str, float]]:
        """The mean over texts, weighted by length."""
        if not self._detector.works:
            raise Refused(400, "languages can't be detected: py3langid isn't installed; name the source language")
        sums: dict[str, float] = defaultdict(float)
        sizes = [len(text.strip()) for text in texts]
        for text, size in zip(texts, sizes, strict=True):
            for code, probability in self._detector(text, among):
                sums[code] += probability * size / max(1, sum(sizes))
        if not sums:
            raise Refused(400, "the languages that it could be can't be told apart: name the source language")
        return sorted(sums.items(), key=lambda item: -item[1])

    def _as_detected(self, code: str, probability: float) -> Detected:
        return Detected(confidence=round(100 * probability, 1), language=self.spellings.shown(code))

    async def _answers(self, texts: list[str], sources: list[str], target: str, gone: Gone) -> list[_Answer]:
        """Translations of texts, those of one source together."""
        places: dict[str, list[int]] = defaultdict(list)
        for place, source in enumerate(sources):
            places[source].append(place)
        directions = {source: self.direction(source, target) for source in places if source != target}
        split = [Lines.of(text) for text in texts]
        lines = {
            str(direction): [line for place in places[source] for line in split[place].texts]
            for source, direction in directions.items()
        }
        found = await self._computed(lines, gone)
        answers: dict[int, _Answer] = {}
        for source, own in places.items():
            if source == target:
                served = Served(direction=f"{source}-{target}")
                answers |= {place: _Answer([texts[place]], served) for place in own}
                continue
            direction = str(directions[source])
            served = self._served(direction, found[direction].composed)
            firsts = accumulate((len(split[place].texts) for place in own), initial=0)
            for place, first in zip(own, firsts, strict=False):
                answers[place] = _Answer(_ranked(found[direction], split[place], first), served)
            self.metrics.texts.labels(direction).inc(len(own))
            self.metrics.characters.labels(direction).inc(sum(len(texts[place]) for place in own))
        return [answers[place] for place in range(len(texts))]

    async def _computed(self, lines: dict[str, list[str]], gone: Gone) -> dict[str, Translations]:
        """Translations by direction; what isn't awaited any more is taken back from the engine."""
        futures: list[Future[Translations]] = []
        whole: asyncio.Future[list[Translations]] | None = None
        leaving = asyncio.ensure_future(gone())
        try:
            futures.extend(self.batcher.submit(each, direction) for direction, each in lines.items())
            whole = asyncio.ensure_future(_all(futures))
            both: set[asyncio.Future[Any]] = {whole, leaving}
            await asyncio.wait(both, timeout=self.limits.seconds, return_when=asyncio.FIRST_COMPLETED)
            if whole.done():
                return dict(zip(lines, whole.result(), strict=True))
            if leaving.done():
                raise ClientDisconnect
            raise Refused(504, f"it took more than {self.limits.seconds:g} seconds", retry_after=5)
        except QueueFull:
            raise Refused(429, "too much is waiting; try again later", retry_after=1) from None
        except DirectionError as error:
            raise Refused(400, str(error)) from None
        except NeuronspecError as error:
            raise Refused(500, str(error)) from None
        finally:
            leaving.cancel()
            if whole is not None:
                whole.cancel()
            for future in futures:
                self.batcher.drop(future)

    def _observe(self, jobs: int, lines: int, seconds: float) -> None:
        self.metrics.observe_batch(jobs, lines, seconds)


async def _all(futures: list[Future[Translations]]) -> list[Translations]:
    found = await asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return [each for each in found if not isinstance(each, BaseException)]


def texts_of(q: str | list[str]) -> list[str]:
    """The texts of a request."""
    return [q] if isinstance(q, str) else q


def _response(wanted: TranslateRequest, answers: list[_Answer], detected: list[Detected] | None) -> TranslateResponse:
    further = max(0, wanted.alternatives)
    texts = [each.ranks[0] for each in answers]
    alternatives = [each.ranks[1 : 1 + further] for each in answers] if further else None
    if isinstance(wanted.q, str):
        return TranslateResponse(
            translatedText=texts[0],
            alternatives=alternatives[0] if alternatives else None,
            detectedLanguage=detected[0] if detected else None,
            model=answers[0].served,
        )
    models = [each.served for each in answers]
    one = bool(models) and all(each == models[0] for each in models)
    return TranslateResponse(
        translatedText=texts, alternatives=alternatives, detectedLanguage=detected, model=models[0] if one else models
    )


def _ranked(found: Translations, lines: Lines, first: int) -> list[str]:
    """The translations of a text of several lines, best first: rank by rank of its lines' n-best lists.

    Args:
        found: the translations of all texts.
        lines: of this text.
        first: where its translations begin.
    """
    frames = [framed(line) for line in lines.texts]
    lists = found.nbest[first : first + len(frames)]
    ranks = max((len(best) for best in lists), default=0) or 1
    return [
        lines.joined(
            frame.around(best[min(rank, len(best) - 1)][0] if best else "")
            for frame, best in zip(frames, lists, strict=True)
        )
        for rank in range(ranks)
    ]
