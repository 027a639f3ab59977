-- Which node has which worker number, a part of the ids that it gives. Owned by the host, not by a component.

CREATE TABLE workers (
    id         SMALLINT    NOT NULL PRIMARY KEY,
    -- The identity of the node's data folder.
    owner      VARCHAR(64) NOT NULL,
    -- Grows whenever the owner confirms it.
    beat       BIGINT      NOT NULL,
    seen_at    BIGINT      NOT NULL,
    -- The last millisecond that an id of this worker may carry so far.
    until_ms   BIGINT      NOT NULL
);
