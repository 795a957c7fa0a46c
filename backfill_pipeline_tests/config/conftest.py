from collections.abc import Callable
from pathlib import Path

import pytest

GOOD = """\
limits:
  max_window_days: 31
clusters:
  - name: north
    customers:
      - id: acme
        profiles: [default]
      - id: acme-east
"""
Written = Callable[[str], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(text: str) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
