from backfill_pipeline.cli import main

main()
