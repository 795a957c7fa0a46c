"""Which keys a launcher takes depends on its kind."""

import re

import pytest

from backfill_pipeline.config import ConfigError, load
from backfill_pipeline_tests.config.conftest import GOOD, Written


@pytest.mark.parametrize(
    ("launcher", "said"),
    [
        ("{kind: kubernetes, manifests: elsewhere}", "manifests: not a key of kind kubernetes"),
        ("{namespace: jobs}", "namespace: not a key of kind local"),
        ("{kind: kubernetes, namespace: Cron/x}", "namespace"),
        ("{kind: docker}", "kind"),
    ],
)
def test_a_launcher_is_not_half_of_one_kind_and_half_of_the_other(written: Written, launcher: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        load(written(GOOD.replace("    customers:", f"    launcher: {launcher}\n    customers:")))


def test_a_kubernetes_launcher_needs_nothing_but_its_kind(written: Written) -> None:
    config = load(written(GOOD.replace("    customers:", "    launcher: {kind: kubernetes}\n    customers:")))
    launcher = config.cluster("north").launcher
    assert (launcher.kind, launcher.namespace, launcher.context) == ("kubernetes", "cron", None)
