"""Drawn tokens enter, one by one; their text leaves as soon as it is certain, until a length, a stop or a line end."""

from __future__ import annotations

from collections.abc import Sequence

from charnn.text.vocabulary import Decoder


class Ending:
    """Decodes one text as it is drawn, and knows where it ends.

    ``reason`` is "length" after so many characters, or bytes where the tokens are bytes, "stop" where one of the
    ``stops`` would follow, and empty before. Nothing of a stop is given away: the end of the text that could begin one
    is held back. With ``line`` the text also ends, for the reason "line", with the end of a line that is not blank; it
    goes on in one if ``begun``.
    """

    def __init__(self, decoder: Decoder, length: int, stops: Sequence[str], line: bool = False, begun: bool = False):
        self.reason = ""
        self._decoder, self._length, self._stops, self._line = decoder, length, stops, line
        self._taken = 0
        self._held = ""
        self._blank = not begun

    def take(self, token: int) -> str:
        """The text that is certain with one more token: often one character, sometimes none."""
        text = self._byte(token) if self._decoder.bytewise else self._characters(token)
        if self._taken >= self._length:
            self.reason = "length"
        if self._stops:
            text = self._until_stop(text)
        return self._until_line_end(text) if self._line else text

    def _characters(self, token: int) -> str:
        text = self._decoder.push(token)[: self._length - self._taken]
        self._taken += len(text)
        return text

    def _byte(self, token: int) -> str:
        """The last one ends the text, in the middle of a character or not."""
        self._taken += 1
        text = self._decoder.push(token)
        return text if self._taken < self._length else text + self._decoder.flush()

    def _until_stop(self, text: str) -> str:
        """What of the text held back, and of ``text``, comes before a stop and begins none."""
        self._held += text
        found = [at for at in (self._held.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.reason = "stop"
            return self._held[: min(found)]
        keep = 0
        if not self.reason:
            keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        certain, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return certain

    def _until_line_end(self, text: str) -> str:
        """``text`` up to the end of the first line that is not blank."""
        for at, character in enumerate(text, 1):
            if character == "\n" and not self._blank:
                self.reason = "line"
                return text[:at]
            self._blank = self._blank and character.isspace()
        return text


def _overlap(text: str, stop: str) -> int:
    """Characters at the end of ``text`` that begin ``stop``."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
