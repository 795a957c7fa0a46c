"""Made-up customers with a made-up past: PostgreSQL as the truth, ClickHouse as its copy with planted defects."""

from backfill_pipeline.stack.demo_data.generate import FIRST_DAY, generate
from backfill_pipeline.stack.demo_data.planted import FILE_NAME, CleanDay, Defect, Planted, Uncovered

__all__ = ["FILE_NAME", "FIRST_DAY", "CleanDay", "Defect", "Planted", "Uncovered", "generate"]
