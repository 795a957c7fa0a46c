"""stub"""
import json, os
from backfill_pipeline.domain.failures import diagnose, diagnose_error
def assert_diagnosed(error, cause, as_text=None):
    open("/tmp/fprobe/seen.jsonl","a").write(json.dumps([cause.name, str(error), os.environ.get("PYTEST_CURRENT_TEST")])+"\n")
    assert diagnose_error(error).cause is cause
    assert diagnose([str(error)]).cause is (as_text or cause)
def assert_text_diagnosed(text, cause):
    open("/tmp/fprobe/seen.jsonl","a").write(json.dumps([cause.name, text, os.environ.get("PYTEST_CURRENT_TEST")])+"\n")
    assert diagnose([text]).cause is cause, text
