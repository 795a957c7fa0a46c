-- The source as domain.md names it, with the indexes that the pipeline's queries need. PostgreSQL, UTC throughout.
CREATE SCHEMA IF NOT EXISTS app;
CREATE SCHEMA IF NOT EXISTS director;

CREATE TABLE IF NOT EXISTS app.chats (
    customer_id     text        NOT NULL,
    profile_id      text        NOT NULL,
    chat_id         text        NOT NULL,
    conversation_id text,
    agent_user_id   text,
    is_dev_user     boolean     NOT NULL DEFAULT false,
    started_at      timestamptz,
    ended_at        timestamptz,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer_id, profile_id, chat_id)
);
CREATE INDEX IF NOT EXISTS chats_by_start ON app.chats (customer_id, profile_id, started_at);
CREATE INDEX IF NOT EXISTS chats_by_end ON app.chats (customer_id, profile_id, ended_at);
CREATE INDEX IF NOT EXISTS chats_by_conversation ON app.chats (customer_id, profile_id, conversation_id);
CREATE INDEX IF NOT EXISTS chats_by_update ON app.chats (customer_id, profile_id, updated_at);

CREATE TABLE IF NOT EXISTS app.chat_messages (
    chat_id text        NOT NULL,
    speaker text        NOT NULL,
    body    text        NOT NULL,
    sent_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS chat_messages_by_chat ON app.chat_messages (chat_id, sent_at);

CREATE TABLE IF NOT EXISTS app.agent_assist_events (
    customer_id     text        NOT NULL,
    profile_id      text        NOT NULL,
    conversation_id text        NOT NULL,
    kind            text        NOT NULL,
    occurred_at     timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS agent_assist_events_by_conversation
    ON app.agent_assist_events (customer_id, profile_id, conversation_id);
CREATE INDEX IF NOT EXISTS agent_assist_events_by_time
    ON app.agent_assist_events (customer_id, profile_id, occurred_at);

CREATE TABLE IF NOT EXISTS director.scorecards (
    customer_id       text        NOT NULL,
    profile_id        text        NOT NULL,
    scorecard_id      text        NOT NULL,
    conversation_id   text,
    template_id       text        NOT NULL,
    template_revision integer     NOT NULL,
    scorecard_type    integer,
    submission_source integer,
    agent_user_id     text,
    creator_user_id   text,
    score             double precision,
    scorecard_time    timestamptz,
    submitted_at      timestamptz,
    updated_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer_id, profile_id, scorecard_id)
);
CREATE INDEX IF NOT EXISTS scorecards_by_conversation
    ON director.scorecards (customer_id, profile_id, conversation_id);
CREATE INDEX IF NOT EXISTS scorecards_by_time ON director.scorecards (customer_id, profile_id, scorecard_time);
CREATE INDEX IF NOT EXISTS scorecards_by_update ON director.scorecards (customer_id, profile_id, updated_at);

CREATE TABLE IF NOT EXISTS director.scorecard_template_revisions (
    template_id text    NOT NULL,
    revision    integer NOT NULL,
    type        integer NOT NULL,
    title       text    NOT NULL,
    criteria    jsonb   NOT NULL DEFAULT '[]',
    PRIMARY KEY (template_id, revision)
);

CREATE TABLE IF NOT EXISTS director.historic_scorecard_scores (
    scorecard_id   text        NOT NULL,
    criterion_id   text        NOT NULL,
    numeric_value  double precision,
    ai_value       double precision,
    text_value     text,
    not_applicable boolean     NOT NULL DEFAULT false,
    weight         double precision,
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scorecard_id, criterion_id)
);
CREATE INDEX IF NOT EXISTS historic_scorecard_scores_by_update ON director.historic_scorecard_scores (updated_at);
