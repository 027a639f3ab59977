//! Where the promises are tried: an embedded store in a folder, a database of a server that all tests share.

use std::future::Future;
use std::ops::DerefMut;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use backends::{Sql, mysql, sqlite};
use config::{MysqlSettings, PoolSettings, SqliteSettings};
use contract::sql::{Error, Outcome, Row, Step, Value};
use mysql_async::prelude::Queryable;

use servers::daemon::Daemon;
use servers::mariadb::Mariadb;
use servers::mysql::Mysql;

/// No test takes longer.
const AT_MOST: Duration = Duration::from_secs(120);

/// The bounds that the promises are tried with.
pub(super) const ROWS_MAX: usize = 100;
pub(super) const BYTES_MAX: usize = 100_000;
pub(super) const STEPS_MAX: usize = 300;

const EMBEDDED: &str =
    "CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, more TEXT CHECK (more <> 'no'));
    CREATE TABLE numbers (id INTEGER PRIMARY KEY, n BIGINT);
    CREATE TABLE kinds (id INTEGER PRIMARY KEY, i BIGINT, r DOUBLE, s TEXT, b BLOB);";

const SERVED: &str = "CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, text VARCHAR(200) NOT NULL UNIQUE,
        more VARCHAR(200) CHECK (more <> 'no')) ENGINE = InnoDB;
    CREATE TABLE numbers (id BIGINT PRIMARY KEY, n BIGINT) ENGINE = InnoDB;
    CREATE TABLE kinds (id BIGINT PRIMARY KEY, i BIGINT, r DOUBLE, s LONGTEXT, b LONGBLOB) ENGINE = InnoDB";

/// Runs a case on an embedded store.
pub(super) fn on_sqlite<F: Future<Output = ()>>(case: impl FnOnce(Arc<Sql>) -> F) {
    let folder = servers::folder("sqlite");
    let file = folder.join("store.db");
    rusqlite::Connection::open(&file)
        .unwrap()
        .execute_batch(EMBEDDED)
        .unwrap();
    let settings = SqliteSettings {
        rows_max: ROWS_MAX,
        result_bytes_max: BYTES_MAX,
        steps_max: STEPS_MAX,
        ..SqliteSettings::default()
    };
    let store = sqlite::Sqlite::open(&file, &settings).unwrap();
    run(case(Arc::new(Sql::Sqlite(store))));
    std::fs::remove_dir_all(folder).unwrap();
}

/// Whose server a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Product {
    Mariadb,
    Mysql,
}

impl Product {
    /// A server for this test alone.
    pub(super) fn start(self) -> Box<dyn DerefMut<Target = Daemon> + Send + Sync> {
        match self {
            Self::Mariadb => Box::new(Mariadb::start()),
            Self::Mysql => Box::new(Mysql::start()),
        }
    }

    /// The server that tests share which leave it in peace. It is ended by its watch.
    pub(super) fn shared(self) -> &'static Daemon {
        static MARIADB: OnceLock<Mariadb> = OnceLock::new();
        static MYSQL: OnceLock<Mysql> = OnceLock::new();
        match self {
            Self::Mariadb => MARIADB.get_or_init(Mariadb::start),
            Self::Mysql => MYSQL.get_or_init(Mysql::start),
        }
    }
}

/// Runs a case on a database of the shared server.
pub(super) fn on_server<F: Future<Output = ()>>(product: Product, case: impl FnOnce(Arc<Sql>) -> F) {
    run(async {
        let url = database(product.shared()).await;
        let settings = MysqlSettings {
            rows_max: ROWS_MAX,
            result_bytes_max: BYTES_MAX,
            steps_max: STEPS_MAX,
            ..settings(url)
        };
        case(Arc::new(Sql::Mysql(mysql::Mysql::open(&settings).unwrap()))).await;
    });
}

/// Settings for a test: few connections.
pub(super) fn settings(url: String) -> MysqlSettings {
    MysqlSettings {
        url,
        pool: PoolSettings {
            min_idle: 1,
            max_active: 16,
            ..PoolSettings::default()
        },
        ..MysqlSettings::default()
    }
}

/// The URL of a new, empty database.
pub(super) fn unmade(server: &Daemon) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    server.url(&format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// The URL of a new database with the tables of the tests.
pub(super) async fn database(server: &Daemon) -> String {
    let url = unmade(server);
    let name = url.rsplit('/').next().unwrap();
    let mut conn = mysql_async::Conn::from_url(server.url_of("root", "mysql"))
        .await
        .unwrap();
    let make = format!("CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin; USE {name}; {SERVED}");
    conn.query_drop(make).await.unwrap();
    conn.disconnect().await.unwrap();
    url
}

/// Runs a test to its end, within its time.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(AT_MOST, test)
            .await
            .expect("the test ends in time")
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
}

pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

pub(super) fn step(sql: &str, params: Vec<Value>) -> Step {
    Step {
        sql: sql.to_owned(),
        params,
        at_least: 0,
        taken: Vec::new(),
    }
}

pub(super) fn need(sql: &str, params: Vec<Value>) -> Step {
    Step {
        at_least: 1,
        ..step(sql, params)
    }
}

pub(super) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(super) fn insert(word: &str) -> Step {
    step("INSERT INTO t (text) VALUES (?)", vec![text(word)])
}

pub(super) async fn query(sql: &Sql, statement: &str, params: Vec<Value>) -> Result<Vec<Row>, Error> {
    sql.query(statement.to_owned(), params, soon()).await
}

pub(super) async fn batch(sql: &Sql, steps: Vec<Step>) -> Result<Vec<Outcome>, Error> {
    sql.batch(steps, soon()).await
}

/// The only number of the only row.
pub(super) async fn number(sql: &Sql, statement: &str) -> i64 {
    let rows = query(sql, statement, vec![]).await.unwrap();
    let [Value::Integer(number)] = rows[0][..] else {
        panic!("{statement}: {rows:?}")
    };
    number
}

pub(super) async fn count(sql: &Sql) -> i64 {
    number(sql, "SELECT COUNT(*) FROM t").await
}
