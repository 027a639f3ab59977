-- What is counted up at the primary and looked for at its replicas, to tell how far behind they are. Owned by the
-- host, not by a component.

CREATE TABLE replica_beats (
    id   SMALLINT NOT NULL PRIMARY KEY,
    beat BIGINT   NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
INSERT INTO replica_beats (id, beat) VALUES (1, 0);
