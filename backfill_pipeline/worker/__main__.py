"""`python -m backfill_pipeline.worker --cluster NAME`."""

import sys

from backfill_pipeline.worker.main import main

if __name__ == "__main__":
    sys.exit(main())
