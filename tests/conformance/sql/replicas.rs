//! What is promised of reads that may be a little old: never too old, never an error for the sake of a replica.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use backends::Sql;
use backends::mysql::{Mysql, OpenError};
use config::MysqlSettings;
use contract::sql::{Error, Value};
use tokio::task::block_in_place;

use super::ground::{Product, batch, database, run, settings, soon, step};
use servers::free_port;
use servers::mariadb::Mariadb;

/// How old an answer may be here.
const LAG_MAX: Duration = Duration::from_millis(600);

/// A primary with a replica, the settings of a store on both, and a database with a counter that is 0.
async fn pair() -> (Mariadb, Mariadb, MysqlSettings) {
    let (primary, replica) = block_in_place(|| {
        let primary = Mariadb::start_primary();
        let replica = primary.start_replica();
        (primary, replica)
    });
    let url = database(&primary).await;
    let name = url.rsplit('/').next().unwrap();
    primary.sql(&format!(
        "USE {name}; INSERT INTO numbers VALUES (1, 0); CREATE TABLE replica_beats (id SMALLINT PRIMARY KEY, beat BIGINT); \
         INSERT INTO replica_beats VALUES (1, 0)"
    ));
    let settings = MysqlSettings {
        replicas: vec![replica.address()],
        replica_lag_max_ms: u64::try_from(LAG_MAX.as_millis()).unwrap(),
        ..settings(url)
    };
    (primary, replica, settings)
}

fn open(settings: &MysqlSettings) -> Arc<Sql> {
    Arc::new(Sql::Mysql(Mysql::open(settings).unwrap()))
}

/// The counter, and how many rows the answering server has that the others lack.
async fn stale(sql: &Sql) -> Result<(i64, i64), Error> {
    let statement = "SELECT n, (SELECT COUNT(*) FROM kinds) FROM numbers WHERE id = ?";
    let rows = sql
        .query_stale(statement.to_owned(), vec![Value::Integer(1)], soon())
        .await?;
    match rows[0][..] {
        [Value::Integer(n), Value::Integer(marks)] => Ok((n, marks)),
        _ => panic!("{rows:?}"),
    }
}

/// Marks a server, so that its answers are known.
fn mark(server: &Mariadb, settings: &MysqlSettings) {
    let name = settings.url.rsplit('/').next().unwrap();
    let begun = Instant::now();
    // The database itself is a little behind there.
    while !server.try_sql(&format!("INSERT INTO {name}.kinds (id) VALUES (1)")) {
        assert!(begun.elapsed() < Duration::from_secs(20), "no database at the replica");
        std::thread::sleep(Duration::from_millis(20));
    }
}

async fn raise(sql: &Sql) -> Result<(), Error> {
    let statement = "UPDATE numbers SET n = n + 1 WHERE id = ?";
    batch(sql, vec![step(statement, vec![Value::Integer(1)])])
        .await
        .map(|_| ())
}

/// Reads until the replica answers, or until the primary does.
async fn until(sql: &Sql, at_replica: bool) -> i64 {
    let begun = Instant::now();
    loop {
        let (n, marks) = stale(sql).await.unwrap();
        if (marks == 1) == at_replica {
            return n;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "at the replica: {}",
            marks == 1
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_replica_is_read_while_it_is_near_and_the_primary_when_it_is_not() {
    run(async {
        let (_primary, mut replica, settings) = pair().await;
        block_in_place(|| mark(&replica, &settings));
        let sql = open(&settings);
        until(&sql, true).await;
        block_in_place(|| replica.sql("STOP SLAVE SQL_THREAD"));
        raise(&sql).await.unwrap();
        assert_eq!(until(&sql, false).await, 1);
        block_in_place(|| replica.sql("START SLAVE"));
        assert_eq!(until(&sql, true).await, 1);
        block_in_place(|| replica.kill());
        let (n, marks) = stale(&sql).await.unwrap();
        assert_eq!((n, marks), (1, 0), "the primary answers at once");
        block_in_place(|| replica.run());
        until(&sql, true).await;
        replica.freeze();
        let begun = Instant::now();
        let (n, marks) = stale(&sql).await.unwrap();
        assert_eq!((n, marks), (1, 0), "the primary answers instead");
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "long before half of the deadline"
        );
        stale(&sql).await.unwrap();
        replica.thaw();
        until(&sql, true).await;
    });
}

#[test]
fn an_answer_is_never_older_than_allowed() {
    let seed = u64::from(std::process::id()) ^ getrandom::u64().unwrap();
    println!("seed={seed}");
    run(async move {
        let (_primary, replica, settings) = pair().await;
        block_in_place(|| mark(&replica, &settings));
        let sql = open(&settings);
        until(&sql, true).await;
        let stop = Arc::new(AtomicBool::new(false));
        // What was answered when: the index is the number.
        let raised = Arc::new(std::sync::Mutex::new(vec![Instant::now()]));
        let writer = tokio::spawn({
            let (sql, stop, raised) = (Arc::clone(&sql), Arc::clone(&stop), Arc::clone(&raised));
            async move {
                while !stop.load(Ordering::Relaxed) {
                    raise(&sql).await.unwrap();
                    raised.lock().unwrap().push(Instant::now());
                }
            }
        });
        let reader = tokio::spawn({
            let (sql, stop, raised) = (Arc::clone(&sql), Arc::clone(&stop), Arc::clone(&raised));
            async move {
                let (mut at_replica, mut at_primary) = (0, 0);
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let (n, marks) = stale(&sql).await.unwrap();
                    let known = begun - LAG_MAX;
                    let least = raised.lock().unwrap().iter().filter(|moment| **moment <= known).count();
                    assert!(n + 1 >= i64::try_from(least).unwrap(), "{n} where {least} were there");
                    *(if marks == 1 { &mut at_replica } else { &mut at_primary }) += 1;
                }
                (at_replica, at_primary)
            }
        });
        let mut random = seed;
        for _ in 0..6 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let pause = Duration::from_millis(100 + (random >> 33) % 1200);
            block_in_place(|| replica.sql("STOP SLAVE SQL_THREAD"));
            tokio::time::sleep(pause).await;
            block_in_place(|| replica.sql("START SLAVE"));
            until(&sql, true).await;
        }
        stop.store(true, Ordering::Relaxed);
        writer.await.unwrap();
        let (at_replica, at_primary) = reader.await.unwrap();
        println!("replica={at_replica} primary={at_primary}");
        assert!(at_replica > 100 && at_primary > 0);
    });
}

#[test]
fn a_replica_that_is_not_there_costs_nothing() {
    run(async {
        let server = Product::Mariadb.shared();
        let settings = MysqlSettings {
            replicas: vec![format!("127.0.0.1:{}", free_port())],
            ..settings(database(server).await)
        };
        let sql = open(&settings);
        batch(&sql, vec![step("INSERT INTO numbers VALUES (1, 7)", vec![])])
            .await
            .unwrap();
        assert_eq!(stale(&sql).await, Ok((7, 0)));
        let wrong = MysqlSettings {
            replicas: vec!["mysql://app:hidden@127.0.0.1".to_owned()],
            ..settings
        };
        let refused = Mysql::open(&wrong).map(|_| ()).unwrap_err();
        assert!(matches!(refused, OpenError::Url { .. }) && !refused.to_string().contains("hidden"));
    });
}

#[test]
fn statements_beyond_what_a_server_keeps_prepared_go_as_texts() {
    let server = Mariadb::start();
    run(async move {
        let sql = open(&settings(database(&server).await));
        server.sql("SET GLOBAL max_prepared_stmt_count = 3");
        for n in 0..20 {
            let statement = format!("SELECT {n}, ?");
            let rows = sql.query(statement, vec![Value::Integer(n)], soon()).await;
            assert_eq!(rows, Ok(vec![vec![Value::Integer(n); 2]]));
        }
    });
}

#[test]
fn a_prepared_statement_survives_a_change_of_its_table() {
    run(async {
        let settings = settings(database(Product::Mariadb.shared()).await);
        let sql = open(&settings);
        let name = settings.url.rsplit('/').next().unwrap();
        for n in 0..5 {
            let rows = sql.query("SELECT * FROM numbers".to_owned(), vec![], soon()).await;
            assert_eq!(rows, Ok(vec![]));
            Product::Mariadb
                .shared()
                .sql(&format!("ALTER TABLE {name}.numbers ADD COLUMN more{n} BIGINT"));
        }
    });
}
