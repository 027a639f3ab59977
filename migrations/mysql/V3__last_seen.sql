-- When a user was last online, as far as it was written behind.

CREATE TABLE last_seen (
    user_id BIGINT NOT NULL PRIMARY KEY,
    -- Only ever moves forward.
    at      BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
