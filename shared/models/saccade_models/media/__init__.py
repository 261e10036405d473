"""Pictures and videos through one door: a kind says how it looks at pictures, the rest is the same for all.

A kind's runner is::

    @contextmanager
    def _look(params: DetectFacesParams, context: Context) -> Generator[Look]:
        detector = ...                       # loaded once in a process (functools.cache)
        yield Look(items="faces", see=lambda pictures: [...], draw=_draw)

    def _result(params: DetectFacesParams, seen: Seen, context: Context) -> DetectFacesResult: ...

    _media = MediaRunner(_look, _result)
    run, plan, run_part, join = _media.run, _media.plan, _media.run_part, _media.join

A video is seen in segments (one, where it is short), whose ends follow from the video and the parameters alone; what
they give is joined in order. So a job comes out the same whether one process ran it or many.
"""

from __future__ import annotations

from saccade_models.media.look import FrameItems, Item, Look, Seen
from saccade_models.media.runner import MediaRunner

__all__ = ["FrameItems", "Item", "Look", "MediaRunner", "Seen"]
