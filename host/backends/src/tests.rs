//! What is said once for every host, with and without settings, is what the settings say.

use config::{MemoryCacheSettings, MysqlSettings, RedisCacheSettings};
use contract::cache::Bounds;
use dialect::limits;

#[test]
fn caches_without_settings_have_the_bounds_of_every_host() {
    let memory = MemoryCacheSettings::default();
    let memory = Bounds {
        entry_bytes_max: memory.entry_bytes_max,
        list_length_max: memory.list_length_max,
        list_value_bytes_max: memory.list_value_bytes_max,
    };
    assert_eq!(memory, Bounds::default());
    let redis = RedisCacheSettings::default();
    let redis = Bounds {
        entry_bytes_max: redis.entry_bytes_max,
        list_length_max: redis.list_length_max,
        list_value_bytes_max: redis.list_value_bytes_max,
    };
    assert_eq!(redis, Bounds::default());
}

#[test]
fn a_store_on_mysql_without_settings_has_the_limits_of_every_host() {
    let settings = MysqlSettings::default();
    assert_eq!(settings.retries, limits::RETRIES);
    assert_eq!(settings.lock_wait_s, limits::LOCK_WAIT_S);
    assert_eq!(settings.query_timeout_ms, limits::JOB_MS);
    assert_eq!(settings.steps_max, limits::STEPS_MAX);
    assert_eq!(settings.rows_max, limits::ROWS_MAX);
    assert_eq!(settings.statement_bytes_max, limits::STATEMENT_BYTES_MAX);
}
