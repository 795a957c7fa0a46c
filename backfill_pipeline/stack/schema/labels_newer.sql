-- Labels in the newer form: what is in the sorting key does not change while a conversation goes on.
CREATE TABLE IF NOT EXISTS conversation_with_labels ON CLUSTER conversations (
    customer_id             String,
    profile_id              String,
    conversation_id         String,
    agent_user_id           String,
    conversation_start_time DateTime64(3, 'UTC'),
    conversation_end_time   DateTime64(3, 'UTC'),
    labels                  Array(String),
    agent_assist_events     Int32,
    update_time             DateTime64(6, 'UTC')
) ENGINE = ReplicatedReplacingMergeTree(update_time)
PARTITION BY toYYYYMM(conversation_start_time)
ORDER BY (conversation_start_time, conversation_id, customer_id, profile_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS conversation_with_labels_d ON CLUSTER conversations AS conversation_with_labels
ENGINE = Distributed(conversations, currentDatabase(), conversation_with_labels, toRelativeDayNum(conversation_start_time, 'UTC'));
