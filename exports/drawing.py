"""Charts of lines as PNG."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

Lines = Mapping[str, Sequence[tuple[datetime, float]]]
WIDTH, HEIGHT = 1200, 600
LEFT, RIGHT, TOP, BOTTOM = 110, 30, 70, 50
GRID = 5
COLOURS = ("#1d6fd8", "#d8781d", "#2d9d5a")
INK, FAINT, PAPER = "#1c2733", "#d9dfe5", "#ffffff"
# Share of the height that stays free above and below
ROOM = 0.05


def draw_lines(target: BinaryIO, lines: Lines, *, title: str) -> int:
    """Draw lines over time (UTC) as a PNG of 1200 × 600; return how many points were drawn. Without any it says so."""
    # Pillow takes a moment to load: only who draws pays for that
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw: Any = ImageDraw.Draw(image)
    large, small = ImageFont.load_default(22), ImageFont.load_default(15)
    draw.text((LEFT, 18), title, fill=INK, font=large)
    points = [point for line in lines.values() for point in line]
    if points:
        frame = _Frame(points)
        _grid(draw, frame, small)
        for number, (name, line) in enumerate(lines.items()):
            colour = COLOURS[number % len(COLOURS)]
            places = [frame.place(at, value) for at, value in line]
            if len(places) == 1:
                (x, y) = places[0]
                draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)
            elif places:
                draw.line(places, fill=colour, width=2, joint="curve")
            draw.text((LEFT + 130 * number, 46), f"— {name}", fill=colour, font=small)
    else:
        draw.text((LEFT, HEIGHT / 2), "Nothing happened in this time.", fill=INK, font=small)
    image.save(target, "PNG", optimize=True)
    return len(points)


class _Frame:
    """What part of time and values the chart shows."""

    def __init__(self, points: Sequence[tuple[datetime, float]]) -> None:
        times, values = [at for at, _ in points], [value for _, value in points]
        self.begin, self.end = min(times), max(times)
        low, high = min(values), max(values)
        room = (high - low) * ROOM or max(1.0, abs(high) * 0.01)
        self.low, self.high = low - room, high + room

    def place(self, at: datetime, value: float) -> tuple[float, float]:
        span = (self.end - self.begin) / timedelta(seconds=1) or 1.0
        x = LEFT + (at - self.begin) / timedelta(seconds=1) / span * (WIDTH - LEFT - RIGHT)
        y = TOP + (self.high - value) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)
        return x, y


def _grid(draw: Any, frame: _Frame, font: Any) -> None:
    is_short = frame.end - frame.begin < timedelta(days=2)
    for n in range(GRID + 1):
        share = n / GRID
        value = frame.low + (frame.high - frame.low) * share
        at = frame.begin + (frame.end - frame.begin) * share
        _, y = frame.place(frame.begin, value)
        draw.line(((LEFT, y), (WIDTH - RIGHT, y)), fill=FAINT)
        draw.text((LEFT - 8, y), f"{value:,.2f}", fill=INK, font=font, anchor="rm")
        x = LEFT + share * (WIDTH - LEFT - RIGHT)
        text = at.astimezone(UTC).strftime("%m-%d %H:%M" if is_short else "%Y-%m-%d")
        draw.text(
            (x, HEIGHT - BOTTOM + 14), text, fill=INK, font=font, anchor="ra" if n == GRID else "ma" if n else "la"
        )
