"""Pictures and videos through one door: a kind says how it looks at pictures, the rest is the same for all.

A kind's runner is::

    @contextmanager
    def _look(params: DetectFacesParams, context: Context) -> Generator[Look]:
        detector = ...                       # loaded once in a process (functools.cache)
        yield Look(items="faces", see=lambda pictures: [...], draw=_draw)

    def _result(params: DetectFacesParams, seen: Seen, context: Context) -> DetectFacesResult: ...

    _media = MediaRunner(_look, _result)
    run, plan, run_part, join = _media.run, _media.plan, _media.run_part, _media.join
"""

from __future__ import annotations
