-- Ids are the row ids of the tables that every message touches: one tree to keep instead of two. Only messages that
-- are to be pushed again are in the index of the sweep.

CREATE TABLE new_conversations (
    id        INTEGER NOT NULL PRIMARY KEY,
    user_low  BIGINT,
    user_high BIGINT,
    -- The place of the last message: raising it is what gives places without gaps.
    last_seq  BIGINT  NOT NULL,
    last_at   BIGINT  NOT NULL,
    UNIQUE (user_low, user_high)
);
INSERT INTO new_conversations (id, user_low, user_high, last_seq, last_at)
    SELECT id, user_low, user_high, last_seq, last_at FROM conversations;
DROP TABLE conversations;
ALTER TABLE new_conversations RENAME TO conversations;

CREATE TABLE new_inbox_heads (
    user_id  INTEGER NOT NULL PRIMARY KEY,
    -- The place of the last entry: raising it is what gives places without gaps.
    last_seq BIGINT  NOT NULL
);
INSERT INTO new_inbox_heads (user_id, last_seq) SELECT user_id, last_seq FROM inbox_heads;
DROP TABLE inbox_heads;
ALTER TABLE new_inbox_heads RENAME TO inbox_heads;

CREATE TABLE new_messages (
    id              INTEGER      NOT NULL PRIMARY KEY,
    conversation_id BIGINT       NOT NULL,
    seq             BIGINT       NOT NULL,
    sender_id       BIGINT       NOT NULL,
    -- Null in a group.
    recipient_id    BIGINT,
    client_id       VARCHAR(64)  NOT NULL,
    content         TEXT         NOT NULL,
    content_type    VARCHAR(127) NOT NULL,
    -- SHA-256 over receiver, type and content, so that a repeat is told from a reuse, also after a recall.
    content_hash    CHAR(64)     NOT NULL,
    -- 0 low, 1 normal, 2 high, 3 urgent
    priority        SMALLINT     NOT NULL,
    -- 0 at most once, 1 at least once, 2 exactly once
    qos             SMALLINT     NOT NULL,
    -- 0 created, 1 sending, 2 sent, 3 delivered, 4 read, 5 failed
    state           SMALLINT     NOT NULL,
    -- When to push again; null: not to be pushed again.
    retry_at        BIGINT,
    retry_count     INT          NOT NULL DEFAULT 0,
    created_at      BIGINT       NOT NULL,
    sent_at         BIGINT,
    delivered_at    BIGINT,
    read_at         BIGINT,
    recalled_at     BIGINT,
    UNIQUE (conversation_id, seq),
    UNIQUE (sender_id, client_id)
);
INSERT INTO new_messages SELECT id, conversation_id, seq, sender_id, recipient_id, client_id, content, content_type,
    content_hash, priority, qos, state, retry_at, retry_count, created_at, sent_at, delivered_at, read_at, recalled_at
    FROM messages ORDER BY id;
DROP TABLE messages;
ALTER TABLE new_messages RENAME TO messages;
CREATE INDEX messages_by_retry ON messages (retry_at) WHERE retry_at IS NOT NULL;
