"""What a terminal of 80 columns shows."""

from rich.console import Console, RenderableType


def printed(shown: RenderableType) -> list[str]:
    console = Console(width=80, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(shown)
    return [line.rstrip() for line in capture.get().splitlines()]
