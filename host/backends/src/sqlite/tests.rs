//! What the store promises to those who read and write.

mod disk;
mod opening;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;

/// A folder of its own for a test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "mpim-sqlite-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("store.db")
    }

    /// A store with a table of numbered texts, in which no text may be there twice.
    fn store(&self, settings: &SqliteSettings) -> Sqlite {
        self.make_table();
        Sqlite::open(&self.file(), settings).unwrap()
    }

    fn make_table(&self) {
        let table =
            "CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, more TEXT CHECK (more <> 'no'))";
        rusqlite::Connection::open(self.file())
            .unwrap()
            .execute_batch(table)
            .unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn step(sql: &str, params: Vec<Value>) -> Step {
    Step {
        sql: sql.to_owned(),
        params,
        at_least: 0,
        taken: Vec::new(),
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn insert(word: &str) -> Step {
    step("INSERT INTO t (text) VALUES (?)", vec![text(word)])
}

async fn count(store: &Sqlite) -> i64 {
    let rows = store
        .query("SELECT count(*) FROM t".to_owned(), vec![], soon())
        .await
        .unwrap();
    let Value::Integer(count) = rows[0][0] else {
        panic!("a count is a number")
    };
    count
}

/// What becomes of jobs that all wait when a writer looks.
fn together(folder: &Folder, settings: &SqliteSettings, jobs: Vec<Vec<Step>>) -> Vec<writer::Answer> {
    answers(&open_pen(&folder.file(), settings).unwrap(), folder, settings, jobs)
}

fn answers(pen: &Pen, folder: &Folder, settings: &SqliteSettings, jobs: Vec<Vec<Step>>) -> Vec<writer::Answer> {
    let line = Backlog::new("write", jobs.len());
    let consumer = line.consumer();
    let waiting = jobs.into_iter().map(|steps| {
        let (answer, answered) = oneshot::channel();
        line.push(Job {
            steps,
            asked: Instant::now(),
            deadline: soon(),
            answer,
        })
        .unwrap();
        answered
    });
    let waiting = waiting.collect::<Vec<_>>();
    line.close();
    writer::serve(pen, &consumer, &folder.file(), settings);
    waiting
        .into_iter()
        .map(|mut answered| answered.try_recv().unwrap())
        .collect()
}

/// A write that runs until it is stopped.
fn slow_write() -> (Job, oneshot::Receiver<writer::Answer>) {
    let (answer, answered) = oneshot::channel();
    let steps = vec![step(ENDLESS_WRITE, vec![])];
    (
        Job {
            steps,
            asked: Instant::now(),
            deadline: Instant::now() + Duration::from_millis(300),
            answer,
        },
        answered,
    )
}

const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
const ENDLESS_WRITE: &str = "INSERT INTO t (text) \
     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

#[tokio::test]
async fn a_write_is_seen_by_the_next_read() {
    let folder = Folder::new();
    let store = folder.store(&SqliteSettings::default());
    let values = vec![text("é"), Value::Null];
    let sql = "INSERT INTO t (text, more) VALUES (?, ?)".to_owned();
    assert_eq!(store.execute(sql, values, soon()).await, Ok(1));
    let rows = store
        .query("SELECT text, more, 1.5, x'00ff', 7 FROM t".to_owned(), vec![], soon())
        .await
        .unwrap();
    assert_eq!(
        rows,
        [vec![
            text("é"),
            Value::Null,
            Value::Real(1.5),
            Value::Blob(vec![0, 255]),
            Value::Integer(7)
        ]]
    );
}

#[tokio::test]
async fn steps_of_a_batch_see_what_the_former_did() {
    let folder = Folder::new();
    let store = folder.store(&SqliteSettings::default());
    let steps = vec![
        insert("a"),
        step("SELECT text FROM t", vec![]),
        step("DELETE FROM t", vec![]),
    ];
    let outcomes = store.batch(steps, soon()).await.unwrap();
    assert_eq!(
        outcomes[0],
        Outcome {
            affected: 1,
            rows: vec![]
        }
    );
    assert_eq!(
        outcomes[1],
        Outcome {
            affected: 0,
            rows: vec![vec![text("a")]]
        }
    );
    assert_eq!(outcomes[2].affected, 1);
}

#[tokio::test]
async fn a_failing_job_harms_nobody_else_of_its_group() {
    let folder = Folder::new();
    let settings = SqliteSettings::default();
    let store = folder.store(&settings);
    let unmet = Step {
        at_least: 1,
        ..step("UPDATE t SET more = 'x' WHERE text = 'nobody'", vec![])
    };
    let jobs = vec![
        vec![insert("a")],
        vec![insert("lost"), insert("a")],
        vec![insert("lost too"), unmet],
        vec![insert("lost as well"), step("INSERT INTO nothing VALUES (1)", vec![])],
        vec![insert("b")],
    ];
    let answers = together(&folder, &settings, jobs);
    assert!(answers[0].is_ok() && answers[4].is_ok());
    assert_eq!(answers[1], Err(Error::UniqueViolation("t.text".to_owned())));
    assert_eq!(answers[2], Err(Error::Unmet(1)));
    assert!(matches!(answers[3], Err(Error::Invalid(_))));
    assert_eq!(count(&store).await, 2);
}

#[tokio::test]
async fn an_unmet_step_alone_undoes_its_batch() {
    let folder = Folder::new();
    let store = folder.store(&SqliteSettings::default());
    let unmet = Step {
        at_least: 1,
        ..step("SELECT 1 FROM t WHERE text = 'nobody'", vec![])
    };
    assert_eq!(
        store.batch(vec![insert("a"), unmet], soon()).await,
        Err(Error::Unmet(1))
    );
    assert_eq!(count(&store).await, 0);
}

#[tokio::test]
async fn concurrent_jobs_share_commits() {
    let folder = Folder::new();
    let settings = SqliteSettings::default();
    let store = folder.store(&settings);
    let log = folder.0.join("store.db-wal");
    let before = std::fs::metadata(&log).unwrap().len();
    let answers = together(
        &folder,
        &settings,
        (0..200).map(|n| vec![insert(&n.to_string())]).collect(),
    );
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(count(&store).await, 200);
    // A commit writes every page that it changed: 200 of them would write 400 pages and more.
    let pages = (std::fs::metadata(&log).unwrap().len() - before) / 4096;
    assert!(pages < 50, "200 jobs wrote {pages} pages");
}

#[tokio::test]
async fn a_job_whose_deadline_passed_is_never_run() {
    let folder = Folder::new();
    let store = folder.store(&SqliteSettings::default());
    let late = store.batch(vec![insert("late")], Instant::now()).await;
    assert!(matches!(late, Err(Error::Timeout(_))));
    let late = store.query("SELECT 1".to_owned(), vec![], Instant::now()).await;
    assert!(matches!(late, Err(Error::Timeout(_))));
    store.batch(vec![insert("in time")], soon()).await.unwrap();
    assert_eq!(count(&store).await, 1);
}

#[tokio::test]
async fn an_endless_statement_costs_its_own_job_only() {
    let folder = Folder::new();
    let settings = SqliteSettings {
        statement_timeout_ms: 100,
        ..SqliteSettings::default()
    };
    let store = folder.store(&settings);
    let read = store.query(ENDLESS.to_owned(), vec![], soon()).await;
    assert!(matches!(read, Err(Error::Timeout(_))));
    let jobs = vec![
        vec![insert("a")],
        vec![insert("lost"), step(ENDLESS_WRITE, vec![])],
        vec![insert("b")],
    ];
    let answers = together(&folder, &settings, jobs);
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert!(matches!(answers[1], Err(Error::Timeout(_))));
    assert_eq!(count(&store).await, 2);
}

#[tokio::test]
async fn a_query_cannot_write() {
    let folder = Folder::new();
    let store = folder.store(&SqliteSettings::default());
    for sql in [
        "INSERT INTO t (text) VALUES ('x')",
        "DELETE FROM t",
        "INSERT INTO t (text) VALUES ('x') RETURNING id",
    ] {
        let refused = store.query(sql.to_owned(), vec![], soon()).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{sql}: {refused:?}");
    }
    assert_eq!(count(&store).await, 0);
}

#[tokio::test]
async fn everything_but_reading_and_changing_rows_is_refused() {
    let folder = Folder::new();
    migrate(&folder.file(), &SqliteSettings::default()).unwrap();
    let store = folder.store(&SqliteSettings::default());
    store.batch(vec![insert("a")], soon()).await.unwrap();
    let refused = [
        "ATTACH 'other.db' AS other",
        "PRAGMA synchronous = off",
        "PRAGMA user_version",
        "SELECT * FROM pragma_table_info('t')",
        "VACUUM",
        "VACUUM INTO 'copy.db'",
        "BEGIN",
        "BEGIN IMMEDIATE",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT job",
        "RELEASE job",
        "ROLLBACK TO job",
        "CREATE TABLE other (id INTEGER)",
        "CREATE TEMP TABLE other (id INTEGER)",
        "DROP TABLE t",
        "ALTER TABLE t ADD COLUMN other",
        "CREATE TRIGGER tr AFTER INSERT ON t BEGIN DELETE FROM t; END",
        "CREATE VIRTUAL TABLE v USING fts5(a)",
        "REINDEX",
        "ANALYZE",
        "DELETE FROM sqlite_master",
        "DELETE FROM refinery_schema_history",
        "INSERT INTO t (text) VALUES ('x'); INSERT INTO t (text) VALUES ('y')",
        "INSERT INTO t (text) VALUES (?)",
        "SELEC 1",
        "",
        "-- nothing",
    ];
    for sql in refused {
        let read = store.query(sql.to_owned(), vec![], soon()).await;
        assert!(matches!(read, Err(Error::Invalid(_))), "read {sql}: {read:?}");
        let written = store.execute(sql.to_owned(), vec![], soon()).await;
        assert!(matches!(written, Err(Error::Invalid(_))), "write {sql}: {written:?}");
    }
    assert_eq!(count(&store).await, 1);
}

#[tokio::test]
async fn other_constraints_are_invalid() {
    let folder = Folder::new();
    let store = folder.store(&SqliteSettings::default());
    for sql in [
        "INSERT INTO t (text) VALUES (NULL)",
        "INSERT INTO t (text, more) VALUES ('x', 'no')",
    ] {
        let refused = store.execute(sql.to_owned(), vec![], soon()).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{sql}: {refused:?}");
    }
}

#[tokio::test]
async fn results_are_bounded() {
    let folder = Folder::new();
    let settings = SqliteSettings {
        rows_max: 10,
        result_bytes_max: 100_000,
        statement_timeout_ms: 1000,
        ..SqliteSettings::default()
    };
    let store = folder.store(&settings);
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)";
    let rows = |sql: &str, last| store.query(format!("{numbers} {sql}"), vec![Value::Integer(last)], soon());
    assert_eq!(rows("SELECT i FROM n", 10).await.unwrap().len(), 10);
    assert!(matches!(rows("SELECT i FROM n", 11).await, Err(Error::Overloaded(_))));
    assert!(matches!(
        rows("SELECT hex(zeroblob(25000)) FROM n", 3).await,
        Err(Error::Overloaded(_))
    ));
    assert!(matches!(
        rows("SELECT zeroblob(100001) FROM n", 1).await,
        Err(Error::Invalid(_))
    ));
}

#[tokio::test]
async fn a_full_line_is_overloaded() {
    let folder = Folder::new();
    let store = folder.store(&SqliteSettings {
        queue_max: 2,
        group_max: 1,
        ..SqliteSettings::default()
    });
    let (blocker, blocked) = slow_write();
    store.writes.push(blocker).unwrap();
    let many = (0..4).map(|_| {
        let (job, answered) = slow_write();
        (store.writes.push(job), answered)
    });
    let many = many.collect::<Vec<_>>();
    assert!(many.iter().any(|(pushed, _)| *pushed == Err(Refused::Full)));
    blocked.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn closing_answers_what_waits() {
    let folder = Folder::new();
    let store = folder.store(&SqliteSettings::default());
    let (blocker, _blocked) = slow_write();
    store.writes.push(blocker).unwrap();
    let (answer, answered) = oneshot::channel();
    let job = Job {
        steps: vec![insert("a")],
        asked: Instant::now(),
        deadline: soon(),
        answer,
    };
    store.writes.push(job).unwrap();
    store.close();
    assert!(answered.await.unwrap().is_ok());
}

#[test]
fn one_who_commits_groups_waits_for_as_many_as_wanted_or_for_its_time() {
    let line = Backlog::new("write", 8);
    let consumer = line.consumer();
    line.push(1).unwrap();
    consumer.wait_for_group(2, Duration::ZERO);
    assert_eq!(consumer.take(8), Some(vec![1]));
    std::thread::scope(|scope| {
        scope.spawn(|| (2..5).for_each(|job| line.push(job).unwrap()));
        consumer.wait_for_group(3, Duration::from_secs(60));
    });
    assert_eq!(consumer.take(2), Some(vec![2, 3]));
    line.close();
    consumer.wait_for_group(5, Duration::from_secs(60));
    assert_eq!(consumer.take(8), Some(vec![4]));
    assert_eq!(consumer.take(8), None);
    assert_eq!(line.push(6), Err(Refused::Closed));
}
