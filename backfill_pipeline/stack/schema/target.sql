-- The target as domain.md assumes it; statements end with a semicolon at the end of a line.
-- The gateway strips ON CLUSTER and makes the engines plain, a real cluster takes them as they are.
CREATE TABLE IF NOT EXISTS conversation ON CLUSTER conversations (
    customer_id             String,
    profile_id              String,
    conversation_id         String,
    chat_id                 String,
    agent_user_id           Nullable(String),
    conversation_start_time DateTime64(3, 'UTC'),
    conversation_end_time   Nullable(DateTime64(3, 'UTC')),
    update_time             DateTime64(6, 'UTC')
) ENGINE = ReplicatedReplacingMergeTree(update_time)
PARTITION BY toYYYYMM(conversation_start_time)
ORDER BY (customer_id, profile_id, toDate(conversation_start_time), conversation_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS scorecard ON CLUSTER conversations (
    customer_id             String,
    profile_id              String,
    scorecard_id            String,
    conversation_id         String,
    conversation_start_time DateTime64(3, 'UTC'),
    template_id             String,
    template_revision       Int32,
    submission_source       Nullable(Int32),
    agent_user_id           Nullable(String),
    creator_user_id         Nullable(String),
    score                   Nullable(Float64),
    scorecard_time          Nullable(DateTime64(3, 'UTC')),
    submitted_at            Nullable(DateTime64(3, 'UTC')),
    update_time             DateTime64(6, 'UTC')
) ENGINE = ReplicatedReplacingMergeTree(update_time)
PARTITION BY toYYYYMM(conversation_start_time)
ORDER BY (customer_id, profile_id, toDate(conversation_start_time), scorecard_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS score ON CLUSTER conversations (
    customer_id             String,
    profile_id              String,
    scorecard_id            String,
    criterion_id            String,
    conversation_id         String,
    conversation_start_time DateTime64(3, 'UTC'),
    numeric_value           Nullable(Float64),
    ai_value                Nullable(Float64),
    text_value              Nullable(String),
    not_applicable          Bool,
    weight                  Nullable(Float64),
    update_time             DateTime64(6, 'UTC')
) ENGINE = ReplicatedReplacingMergeTree(update_time)
PARTITION BY toYYYYMM(conversation_start_time)
ORDER BY (customer_id, profile_id, toDate(conversation_start_time), scorecard_id, criterion_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS conversation_d ON CLUSTER conversations AS conversation
ENGINE = Distributed(conversations, currentDatabase(), conversation, toRelativeDayNum(conversation_start_time, 'UTC'));

CREATE TABLE IF NOT EXISTS scorecard_d ON CLUSTER conversations AS scorecard
ENGINE = Distributed(conversations, currentDatabase(), scorecard, toRelativeDayNum(conversation_start_time, 'UTC'));

CREATE TABLE IF NOT EXISTS score_d ON CLUSTER conversations AS score
ENGINE = Distributed(conversations, currentDatabase(), score, toRelativeDayNum(conversation_start_time, 'UTC'));
