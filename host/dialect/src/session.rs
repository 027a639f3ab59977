//! What a session is told when it begins, so that every server and every way to it behave alike.

/// How statements are read.
const MODE: &str = "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION";

/// What every server must understand, or it is none for this store. Waits for locks end after `lock_wait_s` seconds;
/// `rows` is how many a SELECT gives at most.
pub fn greeting(lock_wait_s: u32, rows: usize) -> [String; 3] {
    let wait = lock_wait_s.max(1);
    [
        "SET NAMES utf8mb4 COLLATE utf8mb4_bin".to_owned(),
        format!(
            "SET SESSION sql_mode = '{MODE}', SESSION time_zone = '+00:00', SESSION autocommit = 1, \
             SESSION innodb_lock_wait_timeout = {wait}, SESSION lock_wait_timeout = {wait}, \
             SESSION sql_select_limit = {rows}"
        ),
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED".to_owned(),
    ]
}

/// What only some servers know: a bound on the time of a statement that holds when nobody waits for it any more;
/// assignments of an UPDATE that do not see each other, as in SQLite; reads on one node of a Galera cluster that see
/// what another one has committed.
pub fn wishes(version: &str, time_max_ms: u64) -> Vec<String> {
    if !version.contains("MariaDB") {
        return vec![format!("SET SESSION max_execution_time = {time_max_ms}")];
    }
    let (seconds, millis) = (time_max_ms / 1000, time_max_ms % 1000);
    vec![
        format!("SET SESSION max_statement_time = {seconds}.{millis:03}"),
        format!("SET SESSION sql_mode = '{MODE},SIMULTANEOUS_ASSIGNMENT'"),
        "SET SESSION wsrep_sync_wait = 7".to_owned(),
    ]
}
