-- The pipeline's own database: who may touch which day, which markers were drawn, what each step proved, and the audit.
CREATE SCHEMA IF NOT EXISTS ledger;
CREATE SCHEMA IF NOT EXISTS audit;
CREATE SEQUENCE IF NOT EXISTS ledger.fence;

CREATE TABLE IF NOT EXISTS ledger.leases (
    cluster    text        NOT NULL,
    customer   text        NOT NULL,
    dataset    text        NOT NULL,
    day        date        NOT NULL,
    attempt_id text        NOT NULL,
    run_id     text        NOT NULL,
    fence      bigint      NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (cluster, customer, dataset, day)
);
CREATE INDEX IF NOT EXISTS leases_by_attempt ON ledger.leases (attempt_id);

CREATE TABLE IF NOT EXISTS ledger.markers (
    attempt_id          text        PRIMARY KEY,
    run_id              text        NOT NULL,
    cluster             text        NOT NULL,
    customer            text        NOT NULL,
    profiles            text[]      NOT NULL,
    dataset             text        NOT NULL,
    start_day           date        NOT NULL,
    end_day             date        NOT NULL,
    marker              timestamptz NOT NULL,
    fence               bigint      NOT NULL,
    drawn_at            timestamptz NOT NULL DEFAULT now(),
    delete_submitted_at timestamptz, -- from here to closed_at the window is emptied, days of left_empty after it too
    ended_at            timestamptz, -- its Job, its workflows and what they may have left at work are known to be over by then
    closed_at           timestamptz  -- a verdict was recorded
);
ALTER TABLE ledger.markers ADD COLUMN IF NOT EXISTS job_days int; -- of one Job; NULL: the window is one
ALTER TABLE ledger.markers ADD COLUMN IF NOT EXISTS left_empty date[]; -- days whose rows the verdict did not find
ALTER TABLE ledger.markers ADD COLUMN IF NOT EXISTS jobs_at text; -- where its Jobs are made; NULL: none yet, or from before this was kept
CREATE INDEX IF NOT EXISTS markers_by_customer ON ledger.markers (cluster, customer, marker DESC);

CREATE TABLE IF NOT EXISTS ledger.step_records (
    run_id     text        NOT NULL,
    step       text        NOT NULL,
    record     jsonb       NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, step)
);

CREATE TABLE IF NOT EXISTS audit.attempts (
    attempt_id  text        PRIMARY KEY,
    run_id      text        NOT NULL,
    cluster     text        NOT NULL,
    customer    text        NOT NULL,
    dataset     text        NOT NULL,
    start_day   date        NOT NULL,
    end_day     date        NOT NULL,
    marker      timestamptz,
    outcome     text        NOT NULL,
    launched_by text        NOT NULL,
    proof       jsonb       NOT NULL,
    hash        text        NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS attempts_by_customer ON audit.attempts (cluster, customer, dataset, start_day);

CREATE OR REPLACE FUNCTION audit.insert_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'audit.attempts is insert-only'; END $$;
CREATE OR REPLACE TRIGGER attempts_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.attempts
    FOR EACH STATEMENT EXECUTE FUNCTION audit.insert_only();

-- The newest end of every day that failed or was cancelled; done again, it stays for a while so that an older end that is
-- read late changes nothing.
CREATE TABLE IF NOT EXISTS ledger.failed_days (
    cluster         text        NOT NULL,
    customer        text        NOT NULL,
    dataset         text        NOT NULL,
    day             date        NOT NULL,
    first_failed_at timestamptz NOT NULL,
    run_id          text        NOT NULL,
    ended           text        NOT NULL,
    ended_at        timestamptz NOT NULL,
    retry           int         NOT NULL,
    job_days        int         NOT NULL,
    cause           text        NOT NULL,
    remedy          text        NOT NULL,
    evidence        text        NOT NULL,
    kept            jsonb       NOT NULL,
    PRIMARY KEY (cluster, customer, dataset, day)
);
ALTER TABLE ledger.failed_days ADD COLUMN IF NOT EXISTS shown boolean NOT NULL DEFAULT false; -- as quarantined, on the asset
ALTER TABLE ledger.failed_days ADD COLUMN IF NOT EXISTS shown_by bigint NOT NULL DEFAULT 0; -- since the look of this number
ALTER TABLE ledger.failed_days ADD COLUMN IF NOT EXISTS shown_run text NOT NULL DEFAULT ''; -- of the end of this run; '': of a version that kept none
ALTER TABLE ledger.failed_days ADD COLUMN IF NOT EXISTS waiting_since timestamptz; -- NULL: it does not wait, or it is not known
ALTER TABLE ledger.failed_days ADD COLUMN IF NOT EXISTS unknown int; -- ends of no known cause; NULL: of a version that counted none
ALTER TABLE ledger.failed_days ADD COLUMN IF NOT EXISTS whole_window boolean NOT NULL DEFAULT false; -- it failed at all days at once

-- Clusters on which nothing may start: paused by a person, or stopped because most windows failed.
CREATE TABLE IF NOT EXISTS ledger.pauses (
    cluster    text        PRIMARY KEY,
    is_stopped boolean     NOT NULL, -- by the pipeline itself
    why        text        NOT NULL,
    by_whom    text        NOT NULL,
    since      timestamptz NOT NULL DEFAULT now(),
    resumed_at timestamptz           -- NULL: in force
);
