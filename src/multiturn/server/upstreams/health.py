"""`Health`: whether a replica answers, by what calls to it come to."""

from __future__ import annotations

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0


class Health:
    """A replica that fails is out for a while, twice as long each time; then one call tries it, while all others still
    go elsewhere. `now` is the time in seconds by any clock that does not go back."""

    def __init__(self) -> None:
        self.failures = 0  # in a row
        self._out_since = 0.0
        self._out_until = 0.0
        self._tried = False

    def is_up(self, now: float) -> bool:
        return not self._tried and now >= self._out_until

    def out_s(self, now: float) -> float:
        """For how many seconds it is out yet."""
        return max(0.0, self._out_until - now)

    def begin(self, now: float) -> bool:
        """A call begins; whether it is the one that tries a replica which has failed."""
        if not self.failures or not self.is_up(now):
            return False
        self._tried = True
        return True

    def answered(self, began: float) -> bool:
        """A call that began then was answered, be it with an error of the caller's; whether the replica is back by
        that. One that drains answers calls from before it was put out, and takes no more."""
        if not self.failures or began < self._out_since:
            return False
        self.failures, self._out_until, self._tried = 0, 0.0, False
        return True

    def failed(self, began: float, now: float) -> bool:
        """A call failed that began then; whether that puts it out. Calls from before it was put out tell nothing new,
        however many of them fail."""
        if self.failures and began < self._out_since:
            return False
        self.failures += 1
        self._out_since, self._tried = now, False
        self._out_until = now + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self.failures - 1, 16))
        return True

    def rest(self, seconds: float, now: float) -> None:
        """It answers, and asked not to be called for so long."""
        self._out_until = max(self._out_until, now + min(LONGEST_PAUSE_S, seconds))

    def leave(self, tries: bool) -> None:
        """A call was given up before it came to anything; `tries` is what `begin` said of it."""
        if tries:
            self._tried = False
