"""The four ways to the dev server, without network: PATH holds scripts, and the SDK's download is cut off."""

from pathlib import Path

import pytest

from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.stack.temporal import MODULE, Finder

GO = """#!/bin/sh
test "$*" = "install {module}" || exit 9
printf '#!/bin/sh\\n' > "$GOBIN/temporal"
chmod +x "$GOBIN/temporal"
"""
BROKEN_GO = "#!/bin/sh\necho 'dial tcp: lookup proxy: no such host' >&2\nexit 1\n"
# stands for the SDK's downloader where the machine has no network to try it with
DOWNLOAD = (
    "import pathlib, sys\nf = pathlib.Path(sys.argv[1], 'temporal-sdk-python')\nf.write_text('')\nf.chmod(0o755)\n"
)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the discard port: refused at once
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def script(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def finder(tmp_path: Path, said: list[str] | None = None) -> Finder:
    say = (said if said is not None else []).append
    return Finder(say, binaries=tmp_path / "bin", path=f"{tmp_path / 'path'}:/usr/bin:/bin", download_seconds=20)


def test_nothing_is_downloaded_or_built_where_temporal_is_on_path(tmp_path: Path) -> None:
    on_path = script(tmp_path / "path" / "temporal")
    script(tmp_path / "bin" / "temporal")
    script(tmp_path / "path" / "go", BROKEN_GO)
    assert finder(tmp_path).find() == on_path


def test_nobody_waits_twice_for_a_build(tmp_path: Path) -> None:
    made = script(tmp_path / "bin" / "temporal")
    script(tmp_path / "path" / "go", BROKEN_GO)
    assert finder(tmp_path).find() == made


def test_a_machine_without_go_takes_the_sdks_download_and_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backfill_pipeline.stack.temporal._SDK_DOWNLOAD", DOWNLOAD)
    assert finder(tmp_path).find() == tmp_path / "bin" / "temporal"
    assert [f.name for f in (tmp_path / "bin").iterdir()] == ["temporal"]


def test_a_machine_without_internet_builds_it_and_says_that_it_takes_minutes(tmp_path: Path) -> None:
    script(tmp_path / "path" / "go", GO.format(module=MODULE))
    said: list[str] = []
    assert finder(tmp_path, said).find() == tmp_path / "bin" / "temporal"
    assert "takes minutes, once" in said[0]
    assert [f.name for f in (tmp_path / "bin").iterdir()] == ["temporal"]


def test_a_machine_with_none_of_them_is_told_all_four_ways_and_what_each_one_answered(tmp_path: Path) -> None:
    script(tmp_path / "path" / "go", BROKEN_GO)
    with pytest.raises(PipelineError) as error:
        finder(tmp_path).find()
    assert error.value.kind is Kind.MISSING
    for way in ("address", "PATH", "download", "go install"):
        assert way in error.value.next_step
    assert "no such host" in error.value.why
    assert "the SDK's download failed" in error.value.why


def test_a_download_that_hangs_does_not_hang_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill_pipeline.stack.temporal._SDK_DOWNLOAD", "import time; time.sleep(60)")
    short = Finder(print, binaries=tmp_path / "bin", path="/nowhere", download_seconds=0.5)
    assert "not done after 0.5 s" in str(short.downloaded_by_the_sdk())
