"""Every place of the chain at which a run may be killed: right after these calls, in their order.

`test_kill_points.py` fails when the chain makes a call that is not among them.
"""

from backfill_pipeline_tests.faults.driver import KillPoint as After

INSPECT = (
    After("temporal.check"),
    After("ledger.take"),
    After("ledger.draw"),
    After("ledger.unended"),
    After("temporal.open_on"),
    After("inspect.end_earlier_attempts"),
    After("inspect.source_sums"),
    After("inspect.target_sums"),
    After("ledger.tried"),
    After("ledger.set_job_days"),
    After("inspect.plan"),
    After("launcher.check"),
    After("driver.save", 1),
)
DELETE = (
    After("ledger.is_delete_submitted"),
    After("delete.wait_until_healthy"),
    After("mutations.survivors", 1),
    After("launcher.check", 2),
    After("ledger.check_held", 3),
    After("ledger.mark_delete_submitted"),
    After("mutations.submit", 1),
    After("mutations.submit", 2),
    After("mutations.submit", 3),
    After("mutations.wait", 1),
    After("mutations.wait", 3),
    After("driver.save", 2),
)
LAUNCH = (
    After("jobs._create"),
    After("launcher.status", 1),
    After("jobs._call_runner"),
    After("launcher.ensure"),
    After("driver.save", 3),
)
FOLLOW = (
    After("launcher.status", 2),
    After("launcher.log", 1),
    After("temporal.status", 1),
    After("temporal.status", 3),
    After("ledger.mark_ended"),
    After("driver.save", 4),
)
RECORD = (
    After("record.verify"),
    After("record.find_doubled"),
    After("ledger.audit"),
    After("ledger.close"),
    After("ledger.release"),
    After("driver.save", 5),
)
ALL = (*INSPECT, *DELETE, *LAUNCH, *FOLLOW, *RECORD)
