"""A network as a picture: each layer's output as a body of its own size, with its name, shape and count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log1p
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, Polygon

from saccade_models.networks.shapes import Description, Shape
from saccade_models.networks.spec import AveragePool2D, Conv2D, Dropout, Layer, MaxPool2D, MinPool2D, pair

_COLORS = {
    "input": "#8d99ae",
    "dense": "#3a86c8",
    "conv2d": "#f4a236",
    "max_pool2d": "#d1495b",
    "average_pool2d": "#d1495b",
    "min_pool2d": "#d1495b",
    "flatten": "#8a6fb5",
    "dropout": "#9aa5b1",
    "batch_norm": "#3fa796",
    "activation": "#7cb342",
}
_INK, _FAINT, _LINE = "#22303c", "#66757f", "#c3ccd3"
#: Inches: a layer's cell, and what is above a row's bodies.
_CELL, _ROW, _BODY, _TOP = 1.75, 3.05, 1.8, 0.55
_DPI, _PER_ROW, _MOST_HIGH = 130, 8, 30.0
#: Units that are drawn one by one; of more than so many the first and last few.
_MOST_UNITS, _ENDS = 11, 4
_Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Cell:
    """One body: what is written below it, and how large it is among the others."""

    type: str
    title: str
    detail: str
    shape: Shape
    parameters: int


def draw(path: Path, description: Description, layers: Sequence[Layer]) -> None:
    """Write ``path`` (PNG): the input and each of ``layers``, which ``description`` describes, in rows from the left.

    Bodies grow with the logarithm of what they show: height and width of a picture, thickness by channels; of a row of
    values the units themselves, where they are few.
    """
    cells = [_Cell("input", "inputs", "", description.input_shape, 0)]
    for shown, layer in zip(description.layers, layers, strict=True):
        cells.append(_Cell(shown.type, _short(shown.name), _detail(layer), shown.output_shape, shown.parameters))
    rows = ceil(len(cells) / _PER_ROW)
    columns = ceil(len(cells) / rows)
    width, height = max(6.0, columns * _CELL + 0.5), rows * _ROW + _TOP
    figure = Figure(figsize=(width, height), dpi=_DPI * min(1.0, _MOST_HIGH / height), facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    axes.text(width / 2, height - 0.32, _headline(description), ha="center", va="center", fontsize=13, color=_INK)
    left = (width - columns * _CELL) / 2
    centers = [
        (left + (n % columns + 0.5) * _CELL, height - _TOP - (n // columns) * _ROW - _BODY / 2 - 0.1)
        for n in range(len(cells))
    ]
    _connect(axes, cells, centers)
    largest = max((side for cell in cells for side in cell.shape[:2] if len(cell.shape) == 3), default=1)
    for cell, center in zip(cells, centers, strict=True):
        _draw_body(axes, cell, center, largest)
        _write(axes, cell, center)
    figure.savefig(path, format="png")


def _headline(description: Description) -> str:
    count, learnt, total = len(description.layers), description.trainable, description.parameters
    ends = f"{_shape(description.input_shape)}  to  {_shape(description.output_shape)}"
    words = f"{count} layer{'s' * (count > 1)}, {total:,} parameters"
    return f"{ends}  -  {words}{'' if learnt == total else f' ({learnt:,} learnt)'}"


def _shape(shape: Shape) -> str:
    return " \u00d7 ".join(f"{side:,}" for side in shape)


def _short(name: str) -> str:
    return name if len(name) <= 20 else f"{name[:19]}\u2026"


def _detail(layer: Layer) -> str:
    """The layer's own settings in few words: what differs from the plain case."""
    words: list[str] = []
    if isinstance(layer, Conv2D):
        words = [_sides(pair(layer.kernel_size)), *_moves(pair(layer.strides), (1, 1)), *_around(layer.padding)]
    elif isinstance(layer, MaxPool2D | AveragePool2D | MinPool2D):
        size = pair(layer.pool_size)
        words = [_sides(size), *_moves(pair(layer.strides or size), size), *_around(layer.padding)]
    elif isinstance(layer, Dropout):
        words = [f"{layer.rate:.0%}"]
    activation = getattr(layer, "activation", "linear")
    return ", ".join([*words, *([] if activation == "linear" else [str(activation)])])


def _sides(sides: tuple[int, int]) -> str:
    return f"{sides[0]}\u00d7{sides[1]}"


def _moves(strides: tuple[int, int], usual: tuple[int, int]) -> list[str]:
    return [] if strides == usual else [f"by {_sides(strides)}" if strides[0] != strides[1] else f"by {strides[0]}"]


def _around(padding: str) -> list[str]:
    return ["same"] if padding == "same" else []


def _write(axes: Axes, cell: _Cell, center: _Point) -> None:
    x, y = center[0], center[1] - _BODY / 2 - 0.14
    count = f"{cell.parameters:,} parameters" if cell.parameters else ""
    axes.text(x, y, cell.title, ha="center", va="center", fontsize=9.5, weight="bold", color=_INK)
    axes.text(x, y - 0.21, _shape(cell.shape), ha="center", va="center", fontsize=9, color=_INK)
    axes.text(x, y - 0.41, cell.detail, ha="center", va="center", fontsize=7.5, color=_FAINT)
    axes.text(x, y - 0.60, count, ha="center", va="center", fontsize=8, color=_toned(_COLORS[cell.type], 0.8))


def _draw_body(axes: Axes, cell: _Cell, center: _Point, largest: int) -> None:
    if len(cell.shape) == 3:
        _draw_block(axes, cell, center, largest)
    elif len(cell.shape) == 2 or cell.type == "flatten":
        _draw_bar(axes, cell, center)
    else:
        for point in _units(cell.shape[-1], center):
            axes.add_patch(
                Circle(point, 0.062, facecolor=_COLORS[cell.type], edgecolor="white", linewidth=0.8, zorder=3)
            )
        _draw_gap(axes, cell, center)


def _draw_block(axes: Axes, cell: _Cell, center: _Point, largest: int) -> None:
    """A body in oblique projection: height up, width into the picture, channels to the right."""
    high, deep = (0.28 + 0.87 * log1p(side) / log1p(largest) for side in cell.shape[:2])
    thick = min(0.75, 0.05 + 0.075 * log1p(cell.shape[2] - 1))
    back = (deep * 0.34, deep * 0.30)
    x, y = center[0] - (thick + back[0]) / 2, center[1] - (high + back[1]) / 2
    near = [(x, y), (x + thick, y), (x + thick, y + high), (x, y + high)]
    far = [(px + back[0], py + back[1]) for px, py in near]
    color = _COLORS[cell.type]
    for corners, tone in (
        (near, 1.0),
        ([near[3], near[2], far[2], far[3]], 1.18),
        ([near[1], far[1], far[2], near[2]], 0.82),
    ):
        axes.add_patch(
            Polygon(
                corners, facecolor=_toned(color, tone), edgecolor="white", linewidth=0.9, joinstyle="round", zorder=3
            )
        )


def _draw_bar(axes: Axes, cell: _Cell, center: _Point) -> None:
    """Values in a row, without units of their own."""
    half = min(0.85, 0.2 + 0.08 * log1p(cell.shape[0]))
    corners = [
        (center[0] + dx, center[1] + dy) for dx, dy in ((-0.07, -half), (0.07, -half), (0.07, half), (-0.07, half))
    ]
    axes.add_patch(Polygon(corners, facecolor=_COLORS[cell.type], edgecolor="white", linewidth=0.9, zorder=3))


def _units(count: int, center: _Point) -> list[_Point]:
    """Where circles stand for ``count`` units, from the top; a gap in the middle where there are too many."""
    places = list(range(count)) if count <= _MOST_UNITS else [*range(_ENDS), *range(_ENDS + 2, 2 * _ENDS + 2)]
    middle = (places[0] + places[-1]) / 2
    return [(center[0], center[1] + (middle - place) * 0.152) for place in places]


def _draw_gap(axes: Axes, cell: _Cell, center: _Point) -> None:
    if cell.shape[-1] > _MOST_UNITS:
        for step in (-0.07, 0, 0.07):
            axes.add_patch(Circle((center[0], center[1] + step), 0.014, facecolor=_COLORS[cell.type], zorder=3))


def _toned(color: str, tone: float) -> tuple[float, float, float]:
    red, green, blue = to_rgb(color)
    return min(1.0, red * tone), min(1.0, green * tone), min(1.0, blue * tone)


def _connect(axes: Axes, cells: Sequence[_Cell], centers: Sequence[_Point]) -> None:
    """An arrow from each body to the next; from units to the units of a dense layer, all their lines."""
    for n in range(1, len(cells)):
        before, after = centers[n - 1], centers[n]
        if after[1] < before[1]:  # the next row begins: a stub out of this one, and one into that
            _arrow(axes, (before[0] + 0.62, before[1]), (before[0] + 0.86, before[1]))
            _arrow(axes, (after[0] - 0.86, after[1]), (after[0] - 0.62, after[1]))
        elif cells[n].type == "dense" and len(cells[n - 1].shape) == 1 and cells[n - 1].type != "flatten":
            starts, ends = _units(cells[n - 1].shape[0], before), _units(cells[n].shape[0], after)
            lines = [(start, end) for start in starts for end in ends]
            axes.add_collection(LineCollection(lines, colors=_LINE, linewidths=0.5, zorder=1), autolim=False)
        else:
            middle = (before[0] + after[0]) / 2
            _arrow(axes, (middle - 0.12, after[1]), (middle + 0.12, after[1]))


def _arrow(axes: Axes, start: _Point, end: _Point) -> None:
    axes.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color=_FAINT, linewidth=1.1, zorder=4)
    )
