//! What every relational store promises.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backends::Sql;
use contract::sql::{Error, Outcome, Step, Taken, Value};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::task::JoinSet;

use super::ground::{BYTES_MAX, ROWS_MAX, STEPS_MAX, batch, count, insert, need, number, query, soon, step, text};

const NUMBERS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)";

pub(super) async fn a_write_is_seen_by_the_next_read(sql: Arc<Sql>) {
    let write = "INSERT INTO t (text, more) VALUES (?, ?)".to_owned();
    assert_eq!(sql.execute(write, vec![text("é 🦀"), Value::Null], soon()).await, Ok(1));
    let rows = query(&sql, "SELECT text, more, 1.5, x'00ff', 7, NULL, '' FROM t", vec![])
        .await
        .unwrap();
    let expected = vec![
        text("é 🦀"),
        Value::Null,
        Value::Real(1.5),
        Value::Blob(vec![0, 255]),
        Value::Integer(7),
        Value::Null,
        text(""),
    ];
    assert_eq!(rows, [expected]);
}

pub(super) async fn steps_of_a_batch_see_what_the_former_did(sql: Arc<Sql>) {
    let steps = vec![
        insert("a"),
        step("SELECT text FROM t", vec![]),
        step("UPDATE t SET more = ? WHERE text = 'a'", vec![text("x")]),
        step("SELECT text FROM t WHERE more = 'y'", vec![]),
        step("DELETE FROM t WHERE more = ?", vec![text("x")]),
    ];
    let changed = |affected| Outcome { affected, rows: vec![] };
    let read = |rows| Outcome { affected: 0, rows };
    let outcomes = batch(&sql, steps).await.unwrap();
    assert_eq!(
        outcomes,
        [
            changed(1),
            read(vec![vec![text("a")]]),
            changed(1),
            read(vec![]),
            changed(1)
        ]
    );
}

fn taking(sql: &str, params: usize, taken: &[(u32, u32, u32)]) -> Step {
    let taken = taken.iter().map(|(param, step, column)| Taken {
        param: *param,
        step: *step,
        column: *column,
    });
    Step {
        taken: taken.collect(),
        ..step(sql, vec![Value::Null; params])
    }
}

pub(super) async fn a_step_takes_what_a_former_read(sql: Arc<Sql>) {
    let row = [vec![
        text("it's é 🦀"),
        Value::Integer(-7),
        Value::Null,
        Value::Real(0.1),
        Value::Blob(vec![0, 255, 39]),
        Value::Integer(i64::MAX),
    ]];
    let read = || {
        need(
            "SELECT text, -7, NULL, 0.1e0, x'00ff27', 9223372036854775807 FROM t WHERE text = ?",
            vec![text("it's é 🦀")],
        )
    };
    let all = [0, 1, 2, 3, 4, 5].map(|index| (index, 1, index));
    let steps = vec![
        insert("it's é 🦀"),
        read(),
        taking("SELECT ?, ?, ?, ?, ?, ?", 6, &all),
        need("SELECT 'b'", vec![]),
        taking("INSERT INTO t (text) VALUES (?)", 1, &[(0, 3, 0)]),
    ];
    let outcomes = batch(&sql, steps).await.unwrap();
    assert_eq!(outcomes[1].rows, row);
    assert_eq!(outcomes[2].rows, row);
    assert_eq!((outcomes[3].affected, outcomes[4].affected), (0, 1));
    let kept = query(&sql, "SELECT text FROM t ORDER BY text", vec![]).await.unwrap();
    assert_eq!(kept, [[text("b")], [text("it's é 🦀")]]);
}

pub(super) async fn what_cannot_be_taken_is_refused_and_nothing_kept(sql: Arc<Sql>) {
    let one = || need("SELECT 'a'", vec![]);
    let take = |taken| taking("INSERT INTO t (text) VALUES (?)", 1, taken);
    let wrong = [
        ("from itself", vec![take(&[(0, 0, 0)])]),
        ("from a later one", vec![take(&[(0, 1, 0)]), one()]),
        (
            "where there may be none",
            vec![step("SELECT 'a'", vec![]), take(&[(0, 0, 0)])],
        ),
        ("for no parameter", vec![one(), take(&[(1, 0, 0)])]),
        ("no such column", vec![one(), take(&[(0, 0, 1)])]),
        (
            "a column too few",
            vec![need("SELECT 'a', 'b'", vec![]), take(&[(0, 0, 0)])],
        ),
        (
            "of two rows",
            vec![need("SELECT 'a' UNION ALL SELECT 'b'", vec![]), take(&[(0, 0, 0)])],
        ),
        (
            "of a write",
            vec![need("DELETE FROM t WHERE text = 'x'", vec![]), take(&[(0, 0, 0)])],
        ),
    ];
    for (what, steps) in wrong {
        sql.execute("INSERT INTO t (text) VALUES ('x')".to_owned(), vec![], soon())
            .await
            .unwrap();
        let answer = batch(&sql, [vec![insert("lost")], shifted(steps)].concat()).await;
        assert!(matches!(answer, Err(Error::Invalid(_))), "{what}: {answer:?}");
        assert_eq!(
            sql.execute("DELETE FROM t".to_owned(), vec![], soon()).await,
            Ok(1),
            "{what}"
        );
    }
}

/// The same steps after another one.
fn shifted(mut steps: Vec<Step>) -> Vec<Step> {
    for taken in steps.iter_mut().flat_map(|step| &mut step.taken) {
        taken.step += 1;
    }
    steps
}

pub(super) async fn what_a_former_batch_read_is_not_taken(sql: Arc<Sql>) {
    let copy = |word: &str| {
        vec![
            need("SELECT text FROM t WHERE text = ?", vec![text(word)]),
            taking("INSERT INTO t (text) VALUES (? || '!')", 1, &[(0, 0, 0)]),
        ]
    };
    batch(&sql, vec![insert("a")]).await.unwrap();
    batch(&sql, copy("a")).await.unwrap();
    for _ in 0..3 {
        assert_eq!(batch(&sql, copy("b")).await, Err(Error::Unmet(0)));
    }
    let kept = query(&sql, "SELECT text FROM t ORDER BY text", vec![]).await.unwrap();
    assert_eq!(kept, [[text("a")], [text("a!")]]);
}

pub(super) async fn a_failing_step_undoes_its_batch(sql: Arc<Sql>) {
    batch(&sql, vec![insert("a")]).await.unwrap();
    let twice = batch(&sql, vec![insert("lost"), insert("a"), insert("lost too")]).await;
    // Which name a key has is the store's affair; that it is named, and its value not, is not.
    let Err(Error::UniqueViolation(key)) = twice else {
        panic!("{twice:?}")
    };
    assert!(key.contains("text") && !key.contains("'"), "{key}");
    let wrong = batch(
        &sql,
        vec![insert("lost"), step("INSERT INTO nothing VALUES (1)", vec![])],
    )
    .await;
    assert!(matches!(wrong, Err(Error::Invalid(_))), "{wrong:?}");
    assert_eq!(count(&sql).await, 1);
    let key = batch(&sql, vec![step("INSERT INTO numbers VALUES (1, 1)", vec![]); 2]).await;
    assert!(matches!(key, Err(Error::UniqueViolation(_))), "{key:?}");
}

pub(super) async fn an_unmet_step_undoes_its_batch(sql: Arc<Sql>) {
    for unmet in [
        need("SELECT 1 FROM t WHERE text = 'nobody'", vec![]),
        need("UPDATE t SET more = 'x' WHERE text = 'nobody'", vec![]),
        need("DELETE FROM t WHERE text = ?", vec![text("nobody")]),
    ] {
        let done = batch(&sql, vec![insert("a"), unmet, insert("b")]).await;
        assert_eq!(done, Err(Error::Unmet(1)));
    }
    assert_eq!(count(&sql).await, 0);
    let met = need("SELECT text FROM t WHERE text = 'a'", vec![]);
    assert!(batch(&sql, vec![insert("a"), met]).await.is_ok());
}

pub(super) async fn the_first_step_that_fails_is_the_one_that_is_told(sql: Arc<Sql>) {
    for unmet in [
        "SELECT 1 FROM t WHERE text = 'nobody'",
        "DELETE FROM t WHERE text = 'nobody'",
    ] {
        let steps = vec![insert("a"), need(unmet, vec![]), insert("a"), insert("b")];
        assert_eq!(batch(&sql, steps).await, Err(Error::Unmet(1)));
        let steps = vec![insert("a"), insert("a"), need(unmet, vec![])];
        assert!(matches!(batch(&sql, steps).await, Err(Error::UniqueViolation(_))));
    }
    // The connection that it happened on serves others.
    for word in ["a", "b", "c"] {
        batch(&sql, vec![insert(word)]).await.unwrap();
    }
    assert_eq!(count(&sql).await, 3);
}

pub(super) async fn rows_that_an_update_finds_are_counted_though_they_do_not_change(sql: Arc<Sql>) {
    let steps = vec![
        step("INSERT INTO numbers VALUES (1, 5)", vec![]),
        need("UPDATE numbers SET n = n WHERE id = 1", vec![]),
    ];
    let outcomes = batch(&sql, steps).await.unwrap();
    assert_eq!(outcomes[1].affected, 1);
}

pub(super) async fn an_empty_batch_does_nothing(sql: Arc<Sql>) {
    assert_eq!(batch(&sql, vec![]).await, Ok(vec![]));
}

pub(super) async fn a_job_whose_deadline_passed_is_never_run(sql: Arc<Sql>) {
    let late = sql.batch(vec![insert("late")], Instant::now()).await;
    assert!(matches!(late, Err(Error::Timeout(_))));
    let late = sql.query("SELECT 1".to_owned(), vec![], Instant::now()).await;
    assert!(matches!(late, Err(Error::Timeout(_))));
    batch(&sql, vec![insert("in time")]).await.unwrap();
    assert_eq!(count(&sql).await, 1);
}

pub(super) async fn an_endless_statement_costs_its_own_job_only(sql: Arc<Sql>) {
    let endless = format!("{NUMBERS} SELECT COUNT(*) FROM n a, n b, n c, n d WHERE a.i + b.i + c.i + d.i = 0");
    let begun = Instant::now();
    let deadline = begun + Duration::from_millis(300);
    let read = sql.query(endless.clone(), vec![Value::Integer(900)], deadline).await;
    assert!(matches!(read, Err(Error::Timeout(_))), "{read:?}");
    assert!(begun.elapsed() < Duration::from_secs(3));
    let write = vec![
        insert("lost"),
        step(&format!("INSERT INTO t (text) {endless}"), vec![Value::Integer(900)]),
    ];
    let written = sql.batch(write, Instant::now() + Duration::from_millis(300)).await;
    assert!(matches!(written, Err(Error::Timeout(_))), "{written:?}");
    batch(&sql, vec![insert("b")]).await.unwrap();
    assert_eq!(count(&sql).await, 1);
}

pub(super) async fn a_query_cannot_write(sql: Arc<Sql>) {
    for statement in [
        "INSERT INTO t (text) VALUES ('x')",
        "DELETE FROM t",
        "INSERT INTO t (text) VALUES ('x') RETURNING id",
    ] {
        let refused = query(&sql, statement, vec![]).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{statement}: {refused:?}");
    }
    assert_eq!(count(&sql).await, 0);
}

pub(super) async fn everything_but_reading_and_changing_rows_is_refused(sql: Arc<Sql>) {
    batch(&sql, vec![insert("a")]).await.unwrap();
    for statement in [
        "BEGIN",
        "START TRANSACTION",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT job",
        "CREATE TABLE other (id INTEGER)",
        "DROP TABLE t",
        "TRUNCATE TABLE t",
        "ALTER TABLE t ADD COLUMN other INTEGER",
        "CREATE INDEX other ON t (more)",
        "GRANT ALL ON *.* TO app",
        "SET autocommit = 0",
        "USE mysql",
        "LOCK TABLES t WRITE",
        "FLUSH TABLES",
        "CALL nothing()",
        "ANALYZE TABLE t",
        "PRAGMA user_version",
        "ATTACH 'other.db' AS other",
        "SELECT @@version",
        "SELECT text INTO OUTFILE '/tmp/other' FROM t",
        "SELECT * FROM mysql.user",
        "SELECT load_file('/etc/passwd')",
        "SELECT get_lock('a', 1)",
        "DELETE FROM refinery_schema_history",
        "INSERT INTO t (text) VALUES ('x'); INSERT INTO t (text) VALUES ('y')",
        "SELEC 1",
        "",
        "-- nothing",
    ] {
        let read = query(&sql, statement, vec![]).await;
        assert!(matches!(read, Err(Error::Invalid(_))), "read {statement}: {read:?}");
        let written = sql.execute(statement.to_owned(), vec![], soon()).await;
        assert!(
            matches!(written, Err(Error::Invalid(_))),
            "write {statement}: {written:?}"
        );
    }
    assert_eq!(count(&sql).await, 1);
}

pub(super) async fn wrong_statements_and_parameters_are_invalid(sql: Arc<Sql>) {
    for (statement, params) in [
        ("SELECT nothing FROM t", vec![]),
        ("SELECT * FROM nothing", vec![]),
        ("SELECT ? FROM", vec![text("x")]),
        ("SELECT ?", vec![]),
        ("SELECT ?", vec![text("x"), text("y")]),
        ("SELECT '?'", vec![text("x")]),
        ("SELECT ?", vec![Value::Real(f64::NAN)]),
        ("SELECT 'open", vec![]),
    ] {
        let refused = query(&sql, statement, params).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{statement}: {refused:?}");
    }
}

pub(super) async fn other_constraints_are_invalid(sql: Arc<Sql>) {
    for statement in [
        "INSERT INTO t (text) VALUES (NULL)",
        "INSERT INTO t (text, more) VALUES ('x', 'no')",
    ] {
        let refused = sql.execute(statement.to_owned(), vec![], soon()).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{statement}: {refused:?}");
    }
    assert_eq!(count(&sql).await, 0);
}

pub(super) async fn results_are_bounded(sql: Arc<Sql>) {
    let most = ROWS_MAX as i64;
    let rows = async |what: &str, last| query(&sql, &format!("{NUMBERS} {what}"), vec![Value::Integer(last)]).await;
    assert_eq!(rows("SELECT i FROM n", most).await.unwrap().len(), ROWS_MAX);
    for last in [most + 1, 2 * most] {
        let many = rows("SELECT i FROM n", last).await;
        assert!(matches!(many, Err(Error::Overloaded(_))), "{many:?}");
    }
    batch(
        &sql,
        vec![step(
            "INSERT INTO kinds (id, s) VALUES (1, ?)",
            vec![text(&"x".repeat(BYTES_MAX / 2 - 200))],
        )],
    )
    .await
    .unwrap();
    let long = "SELECT s FROM kinds, n";
    assert_eq!(rows(long, 1).await.unwrap().len(), 1);
    assert!(matches!(rows(long, 3).await, Err(Error::Overloaded(_))));
    // Nothing of a batch is kept whose result is too large.
    let step = step(&format!("{NUMBERS} {long}"), vec![Value::Integer(3)]);
    let done = batch(&sql, vec![insert("lost"), step]).await;
    assert!(matches!(done, Err(Error::Overloaded(_))), "{done:?}");
    assert_eq!(count(&sql).await, 0);
    // Nor is it kept by what comes after it.
    for n in 0..8 {
        batch(&sql, vec![insert(&n.to_string())]).await.unwrap();
    }
    assert_eq!(count(&sql).await, 8);
}

pub(super) async fn a_write_may_change_more_rows_than_a_result_may_have(sql: Arc<Sql>) {
    let most = 3 * ROWS_MAX as i64;
    let fill = format!("INSERT INTO numbers (id, n) {NUMBERS} SELECT i, i FROM n");
    assert_eq!(
        sql.execute(fill, vec![Value::Integer(most)], soon()).await,
        Ok(most as u64)
    );
    assert_eq!(
        number(&sql, "SELECT COUNT(*) FROM numbers WHERE n IN (SELECT id FROM numbers)").await,
        most
    );
    let copy = "INSERT INTO kinds (id) SELECT id FROM numbers".to_owned();
    assert_eq!(sql.execute(copy, vec![], soon()).await, Ok(most as u64));
}

pub(super) async fn batches_are_bounded(sql: Arc<Sql>) {
    let many = |count: usize| (0..count).map(|n| insert(&n.to_string())).collect::<Vec<_>>();
    let refused = batch(&sql, many(STEPS_MAX + 1)).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    assert_eq!(count(&sql).await, 0);
    assert_eq!(batch(&sql, many(STEPS_MAX)).await.unwrap().len(), STEPS_MAX);
    assert_eq!(count(&sql).await, STEPS_MAX as i64);
    let large = step(
        "INSERT INTO kinds (id, s) VALUES (1, ?)",
        vec![text(&"x".repeat(BYTES_MAX + 1))],
    );
    let refused = batch(&sql, vec![large]).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    let long = format!("SELECT '{}'", "x".repeat(64 * 1024));
    assert!(matches!(query(&sql, &long, vec![]).await, Err(Error::Invalid(_))));
}

pub(super) async fn values_come_back_as_they_were(sql: Arc<Sql>) {
    let seed = RandomState::new().hash_one(1);
    println!("seed {seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let finite = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO;
    let rows = (any::<i64>(), finite, any::<String>(), any::<Vec<u8>>());
    let edges = [
        (
            i64::MIN,
            f64::MAX,
            "it's \\ \"?\" `;` \0 \u{1a}\r\n%_ ".to_owned(),
            vec![],
        ),
        (i64::MAX, f64::MIN_POSITIVE, String::new(), (0..=255).collect()),
        (0, -0.1, "\u{10ffff}é".to_owned(), vec![0, 39, 92]),
        (-1, 1e15, "a ".to_owned(), vec![0]),
    ];
    for (n, row) in (0..200)
        .map(|n| (n, rows.new_tree(&mut runner).unwrap().current()))
        .chain((200..).zip(edges))
    {
        let values = vec![
            Value::Integer(row.0),
            Value::Real(row.1),
            Value::Text(row.2),
            Value::Blob(row.3),
        ];
        let mut params = vec![Value::Integer(n)];
        params.extend(values.clone());
        let read = step("SELECT i, r, s, b FROM kinds WHERE id = ?", vec![Value::Integer(n)]);
        let write = step("INSERT INTO kinds (id, i, r, s, b) VALUES (?,?,?,?,?)", params);
        let outcomes = batch(&sql, vec![write, read]).await.unwrap();
        assert_eq!(outcomes[1].rows, std::slice::from_ref(&values));
        let said = query(&sql, "SELECT ?,?,?,?", values.clone()).await.unwrap();
        assert_eq!(said, [values]);
    }
}

pub(super) async fn counts_and_sums_are_integers(sql: Arc<Sql>) {
    let fill = (1..=3).map(|n| {
        step(
            "INSERT INTO numbers VALUES (?, ?)",
            vec![Value::Integer(n), Value::Integer(-n)],
        )
    });
    batch(&sql, fill.collect()).await.unwrap();
    let what = "SELECT COUNT(*), SUM(n), MIN(n), 5 - ?, n = -3, COALESCE(SUM(n), 0), CASE WHEN n < 0 THEN 1 ELSE 0 END \
                FROM numbers WHERE id = 3";
    let rows = query(&sql, what, vec![Value::Integer(-3)]).await.unwrap();
    assert_eq!(rows, [[1, -3, -3, 8, 1, -3, 1].map(Value::Integer).to_vec()]);
    let none = query(&sql, "SELECT SUM(n), MAX(n) FROM numbers WHERE id = 9", vec![])
        .await
        .unwrap();
    assert_eq!(none, [vec![Value::Null, Value::Null]]);
    let mean = query(&sql, "SELECT AVG(n) FROM numbers", vec![]).await.unwrap();
    assert_eq!(mean, [vec![Value::Real(-2.0)]]);
}

pub(super) async fn quotes_and_backslashes_are_letters(sql: Arc<Sql>) {
    let rows = query(&sql, r"SELECT '\', 'it''s', 'a' || ? || 'b', '?'", vec![text(r"\'")])
        .await
        .unwrap();
    assert_eq!(rows, [vec![text(r"\"), text("it's"), text(r"a\'b"), text("?")]]);
    batch(&sql, vec![insert("a")]).await.unwrap();
    let names = query(&sql, "SELECT \"text\", `text` FROM \"t\"", vec![]).await.unwrap();
    assert_eq!(names, [vec![text("a"), text("a")]]);
}

pub(super) async fn texts_are_ordered_and_compared_by_their_bytes(sql: Arc<Sql>) {
    for word in [
        "b", "a", "B", "é", "e", "É", "Z", "ß", "ss", "🦀", "\u{ffff}", "aa", "_",
    ] {
        batch(&sql, vec![insert(word)]).await.unwrap();
    }
    let rows = query(&sql, "SELECT text FROM t ORDER BY text", vec![]).await.unwrap();
    let words: Vec<&[u8]> = rows
        .iter()
        .map(|row| match &row[0] {
            Value::Text(text) => text.as_bytes(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(words.len(), 13);
    assert!(words.is_sorted(), "{words:?}");
    let same = query(&sql, "SELECT 'a' = 'A', 'e' = 'é', ? = ?", vec![text("x"), text("X")])
        .await
        .unwrap();
    assert_eq!(same, [vec![Value::Integer(0); 3]]);
}

pub(super) async fn concurrent_increments_lose_nothing(sql: Arc<Sql>) {
    batch(&sql, vec![step("INSERT INTO numbers VALUES (1, 0)", vec![])])
        .await
        .unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let sql = Arc::clone(&sql);
        tasks.spawn(async move {
            let mut seen = Vec::new();
            for _ in 0..20 {
                let steps = vec![
                    need("UPDATE numbers SET n = n + 1 WHERE id = 1", vec![]),
                    step("SELECT n FROM numbers WHERE id = 1", vec![]),
                ];
                let outcomes = batch(&sql, steps).await.unwrap();
                let Value::Integer(n) = outcomes[1].rows[0][0] else {
                    panic!("a number")
                };
                seen.push(n);
            }
            seen
        });
    }
    let seen: Vec<i64> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(
        seen.iter().collect::<BTreeSet<_>>().len(),
        320,
        "each has a number of its own"
    );
    assert_eq!(number(&sql, "SELECT n FROM numbers WHERE id = 1").await, 320);
}

/// What a message to a group relies on: whoever comes in takes the head first, so who has the head sees everybody,
/// also where it has read something before.
pub(super) async fn a_read_after_the_lock_sees_the_newest_state(sql: Arc<Sql>) {
    batch(&sql, vec![step("INSERT INTO numbers VALUES (1, 0)", vec![])])
        .await
        .unwrap();
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let sql = Arc::clone(&sql);
        tasks.spawn(async move {
            for round in 0..20 {
                let steps = vec![
                    step("SELECT COUNT(*) FROM t", vec![]),
                    need("UPDATE numbers SET n = n + 1 WHERE id = 1", vec![]),
                    need(
                        "SELECT 1 FROM numbers WHERE id = 1 AND n - 1 = (SELECT COUNT(*) FROM t)",
                        vec![],
                    ),
                    insert(&format!("{task}-{round}")),
                    step(
                        "INSERT INTO kinds (id, i) SELECT n, (SELECT COUNT(*) FROM t) FROM numbers WHERE id = 1",
                        vec![],
                    ),
                ];
                batch(&sql, steps).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(number(&sql, "SELECT COUNT(*) FROM kinds WHERE id = i").await, 160);
}

pub(super) async fn locks_in_opposite_order_are_resolved_unseen(sql: Arc<Sql>) {
    let fill = (0..2).map(|id| step("INSERT INTO numbers VALUES (?, 0)", vec![Value::Integer(id)]));
    batch(&sql, fill.collect()).await.unwrap();
    let mut tasks = JoinSet::new();
    for task in 0..6 {
        let sql = Arc::clone(&sql);
        tasks.spawn(async move {
            for _ in 0..20 {
                let raise = |id| need("UPDATE numbers SET n = n + 1 WHERE id = ?", vec![Value::Integer(id)]);
                batch(&sql, vec![raise(task % 2), raise(1 - task % 2)]).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(number(&sql, "SELECT COUNT(*) FROM numbers WHERE n = 120").await, 2);
}

pub(super) async fn a_caller_that_goes_away_leaves_nothing_behind(sql: Arc<Sql>) {
    batch(&sql, vec![step("INSERT INTO numbers VALUES (1, 0)", vec![])])
        .await
        .unwrap();
    let (mut kept, mut micros) = (0, 0);
    for round in 0..150_i64 {
        let steps = vec![
            need("UPDATE numbers SET n = n + 1 WHERE id = 1", vec![]),
            insert(&round.to_string()),
        ];
        // Dropped at a later and later moment, from before it is sent to after it is answered.
        let patience = Duration::from_micros(micros);
        if tokio::time::timeout(patience, batch(&sql, steps)).await.is_ok() {
            kept += 1;
        }
        micros = (micros + 97) % 6000;
    }
    let raise = need("UPDATE numbers SET n = n + 1000 WHERE id = 1", vec![]);
    batch(&sql, vec![raise]).await.unwrap();
    let (head, rows) = (number(&sql, "SELECT n FROM numbers").await - 1000, count(&sql).await);
    assert_eq!(head, rows, "both or none");
    assert!(rows >= kept, "{rows} rows for {kept} answers");
}
