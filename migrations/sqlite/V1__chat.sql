-- Users, sessions, conversations, messages and inboxes. Times are milliseconds since the epoch, UTC.

CREATE TABLE users (
    id            BIGINT       NOT NULL PRIMARY KEY,
    name          VARCHAR(64)  NOT NULL,
    -- The name in lower case: names are unique without regard to case, the same way on every backend.
    name_key      VARCHAR(128) NOT NULL UNIQUE,
    password_hash VARCHAR(255) NOT NULL,
    created_at    BIGINT       NOT NULL
);

CREATE TABLE sessions (
    id           BIGINT      NOT NULL PRIMARY KEY,
    user_id      BIGINT      NOT NULL,
    device       VARCHAR(64) NOT NULL,
    device_class VARCHAR(64) NOT NULL,
    token_hash   CHAR(64)    NOT NULL UNIQUE,
    created_at   BIGINT      NOT NULL,
    expires_at   BIGINT      NOT NULL,
    ended_at     BIGINT
);
CREATE INDEX sessions_by_user ON sessions (user_id, ended_at);

CREATE TABLE contacts (
    owner_id   BIGINT   NOT NULL,
    peer_id    BIGINT   NOT NULL,
    -- 0 requested, 1 incoming, 2 accepted
    state      SMALLINT NOT NULL,
    created_at BIGINT   NOT NULL,
    PRIMARY KEY (owner_id, peer_id)
) WITHOUT ROWID;

CREATE TABLE blocks (
    owner_id   BIGINT NOT NULL,
    peer_id    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (owner_id, peer_id)
) WITHOUT ROWID;

-- A conversation of two has its users in order; that of a group has the id of the group.
CREATE TABLE conversations (
    id        BIGINT NOT NULL PRIMARY KEY,
    user_low  BIGINT,
    user_high BIGINT,
    -- The place of the last message: raising it is what gives places without gaps.
    last_seq  BIGINT NOT NULL,
    last_at   BIGINT NOT NULL,
    UNIQUE (user_low, user_high)
);

CREATE TABLE chat_groups (
    id           BIGINT       NOT NULL PRIMARY KEY,
    name         VARCHAR(128) NOT NULL,
    owner_id     BIGINT       NOT NULL,
    -- 0 open, 1 invite only
    join_policy  SMALLINT     NOT NULL,
    member_count INT          NOT NULL,
    created_at   BIGINT       NOT NULL
);

-- Who belongs to a conversation, of two or of a group.
CREATE TABLE members (
    conversation_id BIGINT   NOT NULL,
    user_id         BIGINT   NOT NULL,
    -- 0 member, 1 admin, 2 owner; 0 in a conversation of two
    role            SMALLINT NOT NULL,
    joined_at       BIGINT   NOT NULL,
    -- Messages up to here were sent before the member joined.
    joined_seq      BIGINT   NOT NULL,
    -- How far the user has read; in a group, the cursor of group-pull.
    read_seq        BIGINT   NOT NULL,
    PRIMARY KEY (conversation_id, user_id)
) WITHOUT ROWID;
CREATE INDEX members_by_user ON members (user_id, conversation_id);

CREATE TABLE messages (
    id              BIGINT       NOT NULL PRIMARY KEY,
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
CREATE INDEX messages_by_retry ON messages (retry_at);

-- The place of the last entry of each inbox: raising it is what gives places without gaps.
CREATE TABLE inbox_heads (
    user_id  BIGINT NOT NULL PRIMARY KEY,
    last_seq BIGINT NOT NULL
);

CREATE TABLE inbox (
    user_id    BIGINT   NOT NULL,
    seq        BIGINT   NOT NULL,
    -- 0 message, 1 recall
    kind       SMALLINT NOT NULL,
    message_id BIGINT   NOT NULL,
    PRIMARY KEY (user_id, seq)
) WITHOUT ROWID;

-- How far each device of a user has its inbox.
CREATE TABLE device_cursors (
    user_id    BIGINT      NOT NULL,
    device     VARCHAR(64) NOT NULL,
    seq        BIGINT      NOT NULL,
    updated_at BIGINT      NOT NULL,
    PRIMARY KEY (user_id, device)
) WITHOUT ROWID;

-- Which device has acknowledged which exactly-once message.
CREATE TABLE deliveries (
    message_id   BIGINT      NOT NULL,
    user_id      BIGINT      NOT NULL,
    device       VARCHAR(64) NOT NULL,
    delivered_at BIGINT      NOT NULL,
    PRIMARY KEY (message_id, user_id, device)
) WITHOUT ROWID;
