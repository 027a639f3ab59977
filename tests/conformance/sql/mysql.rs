//! What a store on a server promises besides: about servers that die, hang, refuse or are new.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use backends::Sql;
use backends::mysql::{Mysql, OpenError, check, migrate};
use config::MysqlSettings;
use contract::sql::{Error, Value};
use mysql_async::prelude::Queryable;
use tokio::task::JoinSet;

use super::ground::{Product, batch, count, database, insert, number, query, run, settings, soon, step, unmade};
use servers::proxy::Proxy;

macro_rules! on_every_product {
    ($($case:ident),* $(,)?) => {
        mod on_mariadb {
            use super::Product;
            $(#[test] fn $case() { super::$case(Product::Mariadb); })*
        }
        mod on_mysql {
            use super::Product;
            $(
                #[test]
                #[ignore = "needs a server of MySQL: cargo xtask mysql"]
                fn $case() { super::$case(Product::Mysql); }
            )*
        }
    };
}

on_every_product!(
    answered_writes_survive_the_death_of_the_server,
    a_server_that_was_restarted_while_nobody_asked_costs_no_call,
    a_server_that_hangs_is_a_timeout_and_forgiven,
    only_a_timeout_leaves_open_whether_a_write_was_kept,
    a_server_that_may_only_be_read_is_unavailable,
    what_is_wrong_is_said_without_the_password,
    nodes_that_start_at_once_migrate_once,
    a_node_waits_for_the_one_that_migrates,
    a_database_with_the_longest_name_is_migrated,
    a_schema_that_is_not_this_binarys_is_refused,
    a_batch_that_a_deadlock_undid_is_repeated,
    a_batch_that_may_not_be_repeated_is_unavailable_and_undone,
);

fn open(settings: &MysqlSettings) -> Arc<Sql> {
    Arc::new(Sql::Mysql(Mysql::open(settings).unwrap()))
}

/// Tries until it works, at most for a while.
async fn until_it_works(sql: &Sql, word: &str) {
    let begun = Instant::now();
    while let Err(error) = batch(sql, vec![insert(word)]).await {
        assert!(!matches!(error, Error::Invalid(_)), "{error}");
        if matches!(error, Error::UniqueViolation(_)) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn answered_writes_survive_the_death_of_the_server(product: Product) {
    let mut server = product.start();
    run(async move {
        let sql = open(&settings(database(&server).await));
        let (next, stop) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let (sql, next, stop) = (Arc::clone(&sql), Arc::clone(&next), Arc::clone(&stop));
            tasks.spawn(async move {
                let mut kept = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    match batch(&sql, vec![insert(&n.to_string())]).await {
                        Ok(_) => kept.push(n),
                        Err(Error::Unavailable(_) | Error::Timeout(_) | Error::Overloaded(_)) => {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
                kept
            });
        }
        let written = async |more: i64| {
            let from = next.load(Ordering::Relaxed);
            while next.load(Ordering::Relaxed) < from + more {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        written(200).await;
        tokio::task::block_in_place(|| {
            server.kill();
            server.run();
        });
        until_it_works(&sql, "after").await;
        written(100).await;
        stop.store(true, Ordering::Relaxed);
        let answered: BTreeSet<i64> = tasks.join_all().await.into_iter().flatten().collect();
        let mut found = BTreeSet::new();
        loop {
            let last = found.last().copied().unwrap_or(-1);
            let page = "SELECT CAST(text AS SIGNED) FROM t WHERE text <> 'after' AND CAST(text AS SIGNED) > ? \
                        ORDER BY 1 LIMIT 1000";
            let rows = query(&sql, page, vec![Value::Integer(last)]).await.unwrap();
            if rows.is_empty() {
                break;
            }
            found.extend(rows.iter().map(|row| match row[0] {
                Value::Integer(n) => n,
                _ => panic!("{row:?}"),
            }));
        }
        assert!(answered.len() > 100, "{} answered", answered.len());
        assert!(answered.is_subset(&found), "lost: {:?}", answered.difference(&found));
    });
}

fn a_server_that_was_restarted_while_nobody_asked_costs_no_call(product: Product) {
    let mut server = product.start();
    run(async move {
        // None of the connections is old enough to be checked.
        let mut settings = settings(database(&server).await);
        settings.pool.check_after_ms = 600_000;
        let sql = open(&settings);
        for round in 0..3 {
            let words = (0..8).map(|n| format!("{round}-{n}"));
            let writes: JoinSet<_> = words
                .map(|word| {
                    let sql = Arc::clone(&sql);
                    async move { batch(&sql, vec![insert(&word)]).await.map(|_| ()) }
                })
                .collect();
            assert_eq!(writes.join_all().await, vec![Ok(()); 8], "round {round}");
            tokio::task::block_in_place(|| {
                server.kill();
                server.run();
            });
        }
        assert_eq!(count(&sql).await, 24);
    });
}

fn a_server_that_hangs_is_a_timeout_and_forgiven(product: Product) {
    let server = product.start();
    run(async move {
        let settings = settings(database(&server).await);
        let sql = open(&settings);
        let hasty = open(&MysqlSettings {
            query_timeout_ms: 300,
            ..settings
        });
        for sql in [&sql, &hasty] {
            number(sql, "SELECT COUNT(*) FROM t").await;
        }
        batch(&sql, vec![insert("before")]).await.unwrap();
        server.freeze();
        let begun = Instant::now();
        let read = query(&hasty, "SELECT 1", vec![]).await;
        assert!(matches!(read, Err(Error::Timeout(_))), "{read:?}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        for _ in 0..2 {
            let begun = Instant::now();
            let deadline = begun + Duration::from_millis(300);
            let (read, written) = tokio::join!(
                sql.query("SELECT 1".to_owned(), vec![], deadline),
                sql.batch(vec![insert("during")], deadline)
            );
            assert!(matches!(read, Err(Error::Timeout(_))), "{read:?}");
            assert!(matches!(written, Err(Error::Timeout(_))), "{written:?}");
            assert!(begun.elapsed() < Duration::from_secs(1));
        }
        server.thaw();
        until_it_works(&sql, "after").await;
        assert_eq!(
            query(&sql, "SELECT COUNT(*) FROM t WHERE text = 'after'", vec![])
                .await
                .unwrap()
                .len(),
            1
        );
    });
}

/// A network that cuts connections anywhere, also while a COMMIT or its answer is on its way.
fn only_a_timeout_leaves_open_whether_a_write_was_kept(product: Product) {
    let seed = getrandom::u64().unwrap();
    println!("seed={seed}");
    run(async move {
        let url = database(product.shared()).await;
        let server = url.rsplit(['@', '/']).nth(1).unwrap();
        let proxy = Proxy::to(server.parse().unwrap()).unwrap();
        let through = open(&settings(url.replace(server, &proxy.address().to_string())));
        let sql = open(&settings(url));
        batch(&sql, vec![step("INSERT INTO numbers VALUES (1, 0)", vec![])])
            .await
            .unwrap();
        proxy.cut_at_random(seed, 0.03);
        let (mut kept, mut unknown) = (0, 0);
        for _ in 0..600 {
            let raise = step("UPDATE numbers SET n = n + 1 WHERE id = 1", vec![]);
            match batch(&through, vec![raise]).await {
                Ok(_) => kept += 1,
                Err(Error::Timeout(_)) => unknown += 1,
                Err(Error::Unavailable(_)) => {}
                Err(other) => panic!("{other}"),
            }
        }
        proxy.heal();
        assert!(kept > 100 && unknown > 0, "{kept} kept, {unknown} unknown");
        // What was on its way when its caller was told is done by now, for it has locked the row.
        batch(&sql, vec![step("UPDATE numbers SET n = n + 0 WHERE id = 1", vec![])])
            .await
            .unwrap();
        let n = number(&sql, "SELECT n FROM numbers").await;
        assert!(
            (kept..=kept + unknown).contains(&n),
            "{n}: {kept} kept, {unknown} unknown"
        );
    });
}

fn a_server_that_may_only_be_read_is_unavailable(product: Product) {
    let server = product.start();
    run(async move {
        let sql = open(&settings(database(&server).await));
        batch(&sql, vec![insert("before")]).await.unwrap();
        server.sql("SET GLOBAL read_only = 1");
        let refused = batch(&sql, vec![insert("during")]).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        assert_eq!(count(&sql).await, 1);
        server.sql("SET GLOBAL read_only = 0");
        batch(&sql, vec![insert("after")]).await.unwrap();
        assert_eq!(count(&sql).await, 2);
    });
}

fn what_is_wrong_is_said_without_the_password(product: Product) {
    run(async {
        let server = product.shared();
        let at = |url: String| MysqlSettings {
            url,
            ..MysqlSettings::default()
        };
        let good = server.url("mysql");
        let absent = servers::free_port();
        for (url, is_right) in [
            (
                good.replace("secret", "hidden"),
                (|error| matches!(error, OpenError::Denied { .. })) as fn(&_) -> bool,
            ),
            (server.url("nowhere"), |error| {
                matches!(error, OpenError::NoDatabase { .. })
            }),
            (format!("mysql://app:hidden@127.0.0.1:{absent}/mpim"), |error| {
                matches!(error, OpenError::Unreachable { .. })
            }),
            ("mysql://app:hidden@localhost".to_owned(), |error| {
                matches!(error, OpenError::Url { .. })
            }),
            ("postgres://app:hidden@localhost/mpim".to_owned(), |error| {
                matches!(error, OpenError::Url { .. })
            }),
            ("app:hidden@localhost".to_owned(), |error| {
                matches!(error, OpenError::Url { .. })
            }),
        ] {
            let settings = at(url.clone());
            let error = match Mysql::open(&settings) {
                Ok(store) => store.connect().await.unwrap_err(),
                Err(error) => error,
            };
            assert!(is_right(&error), "{url}: {error:?}");
            let said = format!("{error} {error:?} {settings:?}");
            assert!(!said.contains("hidden") && !said.contains("secret"), "{said}");
        }
        let down = open(&at(format!("mysql://app:hidden@127.0.0.1:{absent}/mpim")));
        let begun = Instant::now();
        let refused = down.query("SELECT 1".to_owned(), vec![], soon()).await;
        assert!(
            matches!(&refused, Err(Error::Unavailable(said)) if !said.contains("hidden")),
            "{refused:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(1), "at once");
    });
}

fn nodes_that_start_at_once_migrate_once(product: Product) {
    run(async {
        let settings = settings(unmade(product.shared()));
        assert!(matches!(check(&settings).await, Err(OpenError::NoDatabase { .. })));
        let mut nodes = JoinSet::new();
        for _ in 0..4 {
            let settings = settings.clone();
            nodes.spawn(async move { migrate(&settings).await.unwrap() });
        }
        let applied: Vec<String> = nodes.join_all().await.into_iter().flatten().collect();
        assert_eq!(
            applied.iter().collect::<BTreeSet<_>>().len(),
            applied.len(),
            "{applied:?}"
        );
        assert!(!applied.is_empty());
        assert_eq!(check(&settings).await, Ok(()));
        assert_eq!(migrate(&settings).await, Ok(vec![]));
    });
}

/// The lock, as nodes of other releases know it.
const LOCK: &str = "CONCAT('mpim.migrate.', LEFT(SHA2(DATABASE(), 256), 48))";

fn a_node_waits_for_the_one_that_migrates(product: Product) {
    run(async {
        let settings = MysqlSettings {
            query_timeout_ms: 200,
            ..settings(database(product.shared()).await)
        };
        let mut other = mysql_async::Conn::from_url(&settings.url).await.unwrap();
        let turn: Option<i64> = other.query_first(format!("SELECT GET_LOCK({LOCK}, 0)")).await.unwrap();
        assert_eq!(turn, Some(1));
        let node = migrate(&settings);
        tokio::pin!(node);
        let waited = tokio::time::timeout(Duration::from_millis(600), &mut node).await;
        assert!(waited.is_err(), "it did not wait: {waited:?}");
        let held = other.query_first::<Option<i64>, _>(format!("SELECT IS_USED_LOCK({LOCK}) = CONNECTION_ID()"));
        assert_eq!(held.await.unwrap().flatten(), Some(1));
        other.query_drop(format!("DO RELEASE_LOCK({LOCK})")).await.unwrap();
        assert!(!node.await.unwrap().is_empty());
        other.disconnect().await.unwrap();
    });
}

fn a_database_with_the_longest_name_is_migrated(product: Product) {
    run(async {
        let settings = settings(product.shared().url(&"d".repeat(64)));
        assert!(!migrate(&settings).await.unwrap().is_empty());
        assert_eq!(check(&settings).await, Ok(()));
    });
}

fn a_schema_that_is_not_this_binarys_is_refused(product: Product) {
    run(async {
        let settings = settings(unmade(product.shared()));
        migrate(&settings).await.unwrap();
        let mut conn = mysql_async::Conn::from_url(&settings.url).await.unwrap();
        conn.query_drop("UPDATE refinery_schema_history SET checksum = '1' WHERE version = 1")
            .await
            .unwrap();
        assert!(matches!(migrate(&settings).await, Err(OpenError::Diverged { .. })));
        conn.query_drop("UPDATE refinery_schema_history SET version = 999999 WHERE version = 1")
            .await
            .unwrap();
        assert!(matches!(
            migrate(&settings).await,
            Err(OpenError::Newer { found: 999_999, .. })
        ));
        assert!(matches!(
            check(&settings).await,
            Err(OpenError::Newer { found: 999_999, .. })
        ));
        conn.query_drop("DELETE FROM refinery_schema_history").await.unwrap();
        let older = check(&settings).await.unwrap_err();
        assert!(matches!(older, OpenError::Older { found: 0, .. }));
        assert!(older.to_string().contains("mpim migrate"));
        conn.disconnect().await.unwrap();
    });
}

/// What becomes of a batch that the server undoes for the sake of another transaction, which has more to lose.
async fn undone_by_a_deadlock(product: Product, settings: &MysqlSettings) -> Result<(), Error> {
    let sql = open(settings);
    let fill = (0..2).map(|id| step("INSERT INTO numbers VALUES (?, 0)", vec![Value::Integer(id)]));
    batch(&sql, fill.collect()).await.unwrap();
    let mut rival = mysql_async::Conn::from_url(&settings.url).await.unwrap();
    let rows: Vec<String> = (0..50).map(|id| format!("({id})")).collect();
    rival.query_drop("START TRANSACTION").await.unwrap();
    rival
        .query_drop(format!("INSERT INTO kinds (id) VALUES {}", rows.join(",")))
        .await
        .unwrap();
    rival
        .query_drop("UPDATE numbers SET n = n + 1 WHERE id = 0")
        .await
        .unwrap();
    let mark = settings
        .url
        .rsplit('/')
        .next()
        .unwrap()
        .trim_start_matches("test")
        .parse::<i64>()
        .unwrap()
        + 7000;
    let batched = tokio::spawn({
        let sql = Arc::clone(&sql);
        let raise = move |id| {
            step(
                "UPDATE numbers SET n = n + ? WHERE id = ?",
                vec![Value::Integer(mark), Value::Integer(id)],
            )
        };
        async move { batch(&sql, vec![raise(1), raise(0)]).await }
    });
    let mut watcher = mysql_async::Conn::from_url(product.shared().url_of("root", "mysql"))
        .await
        .unwrap();
    let waits = format!(
        "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT' AND trx_query LIKE '%{mark}%'"
    );
    while watcher.query_first::<i64, _>(&waits).await.unwrap() != Some(1) {
        // The server renews this table only when nobody has read it for a tenth of a second.
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    rival
        .query_drop("UPDATE numbers SET n = n + 1 WHERE id = 1")
        .await
        .unwrap();
    rival.query_drop("COMMIT").await.unwrap();
    let answer = batched.await.unwrap().map(|_| ());
    let kept = if answer.is_ok() { mark + 1 } else { 1 };
    assert_eq!(
        number(&sql, &format!("SELECT COUNT(*) FROM numbers WHERE n = {kept}")).await,
        2
    );
    answer
}

fn a_batch_that_a_deadlock_undid_is_repeated(product: Product) {
    run(async {
        let settings = settings(database(product.shared()).await);
        assert_eq!(undone_by_a_deadlock(product, &settings).await, Ok(()));
    });
}

fn a_batch_that_may_not_be_repeated_is_unavailable_and_undone(product: Product) {
    run(async {
        let settings = MysqlSettings {
            retries: 0,
            ..settings(database(product.shared()).await)
        };
        let undone = undone_by_a_deadlock(product, &settings).await;
        assert!(matches!(undone, Err(Error::Unavailable(_))), "{undone:?}");
    });
}
