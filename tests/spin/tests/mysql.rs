//! `spin:mysql`, on MariaDB.

use serde_json::{Value, json};
use servers::mariadb::Mariadb;

use crate::stand::Stand;

fn stand() -> (Mariadb, Stand, String) {
    let server = Mariadb::start();
    server.sql("CREATE DATABASE app");
    let stand = Stand::start(&["mysql://127.0.0.1:*"]);
    let url = server.url("app");
    (server, stand, url)
}

/// A step that executes a statement on the first connection.
fn execute(statement: &str, parameters: &Value) -> Value {
    json!({ "execute": [0, statement, parameters] })
}

/// A step that queries on the first connection.
fn query(statement: &str) -> Value {
    json!({ "query": [0, statement, []] })
}

#[test]
fn the_type_of_a_column_decides_the_type_of_a_value() {
    let (_server, stand, url) = stand();
    let table = "CREATE TABLE t (a TINYINT, b SMALLINT UNSIGNED, c INT, d INT UNSIGNED, e BIGINT, f BIGINT UNSIGNED, \
                 g DOUBLE, h FLOAT, i VARCHAR(9), j VARBINARY(9), k TEXT, l BLOB, \
                 m VARCHAR(9) COLLATE utf8mb4_bin, n CHAR(3), o BOOLEAN)";
    let insert = "INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = json!([-1, 2, -3, 4, -5, u64::MAX, 0.5, 1.5, "i", "j", "k", "l", "m", "n", true]);
    let nulls = json!(vec![Value::Null; 15]);
    let given = stand.run(&json!([
        { "open_mysql": url },
        execute(table, &json!([])),
        execute(insert, &values),
        execute(insert, &nulls),
        query("SELECT * FROM t"),
        query("SELECT COUNT(*), 1, 'x', NULL FROM t"),
    ]));
    assert_eq!(given[1..4], ["()", "()", "()"]);
    let lines: Vec<&str> = given[4].lines().collect();
    assert_eq!(
        lines[0],
        "a DbDataType::Int8, b DbDataType::Uint16, c DbDataType::Int32, d DbDataType::Uint32, e DbDataType::Int64, \
         f DbDataType::Uint64, g DbDataType::Floating64, h DbDataType::Floating32, i DbDataType::Str, \
         j DbDataType::Binary, k DbDataType::Str, l DbDataType::Binary, m DbDataType::Binary, n DbDataType::Str, \
         o DbDataType::Int8"
    );
    assert_eq!(
        lines[1],
        "[DbValue::Int8(-1), DbValue::Uint16(2), DbValue::Int32(-3), DbValue::Uint32(4), DbValue::Int64(-5), \
         DbValue::Uint64(18446744073709551615), DbValue::Floating64(0.5), DbValue::Floating32(1.5), \
         DbValue::Str(\"i\"), DbValue::Binary([106]), DbValue::Str(\"k\"), DbValue::Binary([108]), \
         DbValue::Binary([109]), DbValue::Str(\"n\"), DbValue::Int8(1)]"
    );
    assert_eq!(lines[2].matches("DbValue::DbNull").count(), 15);
    assert_eq!(lines.len(), 3);
    assert!(
        given[5].contains("[DbValue::Int64(2), DbValue::Int32(1), DbValue::Str(\"x\"), DbValue::DbNull]"),
        "{}",
        given[5]
    );
}

#[test]
fn what_has_no_type_spoils_the_rows_that_come_after() {
    let (_server, stand, url) = stand();
    let given = stand.run(&json!([
        { "open_mysql": url },
        query("SELECT 1 AS a UNION ALL SELECT NULL"),
        query("SELECT SUM(a) AS s FROM (SELECT 1 AS a) AS t"),
        query("SELECT CAST(SUM(a) AS SIGNED) AS s FROM (SELECT 1 AS a) AS t"),
        query("SELECT TIMESTAMP('2026-01-01') AS t"),
        query("SELECT 1 AS a, CAST(NULL AS DECIMAL) AS d"),
    ]));
    assert_eq!(given[1].lines().count(), 3, "{}", given[1]);
    assert_eq!(
        given[2],
        "s DbDataType::Other\nMysqlError(Error::ValueConversionFailed(\"Cannot convert value Bytes(\\\"1\\\") in column s \
         data type DbDataType::Other\"))"
    );
    assert_eq!(given[3], "s DbDataType::Int64\n[DbValue::Int64(1)]");
    assert!(given[4].contains("ValueConversionFailed"), "{}", given[4]);
    assert!(
        given[5].ends_with("[DbValue::Int32(1), DbValue::DbNull]"),
        "{}",
        given[5]
    );
}

#[test]
fn a_failed_execute_tells_what_the_server_said_and_a_failed_query_does_not() {
    let (_server, stand, url) = stand();
    let given = stand.run(&json!([
        { "open_mysql": url },
        execute("CREATE TABLE t (id INT PRIMARY KEY)", &json!([])),
        execute("INSERT INTO t VALUES (?)", &json!([1])),
        execute("INSERT INTO t VALUES (?)", &json!([1])),
        query("SELECT nothing FROM t"),
        query("INSERT INTO t VALUES (2)"),
        query("SELECT id FROM t"),
        execute("INSERT INTO t VALUES (?)", &json!([])),
    ]));
    assert_eq!(
        given[3],
        "MysqlError(Error::QueryFailed(\"Server(ServerError { code: 1062, message: \\\"Duplicate entry '1' for key \
         'PRIMARY'\\\", state: \\\"23000\\\" })\"))"
    );
    assert_eq!(
        given[4],
        "no query: MysqlError(Error::Other(\"async error: channel closed\"))"
    );
    // It was done, but a statement without rows has no stream of them.
    assert!(
        given[5].ends_with("Error::Other(\"unable to stream query result\"))"),
        "{}",
        given[5]
    );
    assert_eq!(
        given[6],
        "id DbDataType::Int32\n[DbValue::Int32(1)]\n[DbValue::Int32(2)]"
    );
    assert!(given[7].contains("Error::QueryFailed("), "{}", given[7]);
}

#[test]
fn every_statement_is_prepared() {
    let (_server, stand, url) = stand();
    let given = stand.run(&json!([
        { "open_mysql": url },
        execute("PREPARE p FROM 'SELECT 1'", &json!([])),
        execute("BEGIN NOT ATOMIC SELECT 1; END", &json!([])),
        execute("SELECT 1; SELECT 2", &json!([])),
        query("SHOW SESSION STATUS LIKE 'Com_stmt_prepare'"),
        query("SHOW SESSION STATUS LIKE 'Com_stmt_prepare'"),
    ]));
    assert!(given[1].contains("code: 1295"), "{}", given[1]);
    assert!(given[3].contains("code: 1064"), "{}", given[3]);
    // A statement that was prepared before is not prepared again.
    assert_eq!(given[4], given[5]);
}

#[test]
fn a_transaction_lives_on_one_connection_and_ends_with_it() {
    let (server, stand, url) = stand();
    server.sql("CREATE TABLE app.t (id INT PRIMARY KEY)");
    let count = |number: u32| json!({ "query": [number, "SELECT COUNT(*) AS n FROM t", []] });
    let given = stand.run(&json!([
        { "open_mysql": url },
        { "open_mysql": url },
        execute("SET autocommit = 0", &json!([])),
        execute("INSERT INTO t VALUES (1)", &json!([])),
        count(0),
        count(1),
        execute("COMMIT", &json!([])),
        count(1),
        execute("INSERT INTO t VALUES (2)", &json!([])),
        { "close_mysql": 0 },
    ]));
    let count_of = |text: &str| text.lines().nth(1).map(str::to_owned);
    assert_eq!(count_of(&given[4]).as_deref(), Some("[DbValue::Int64(1)]"));
    assert_eq!(count_of(&given[5]).as_deref(), Some("[DbValue::Int64(0)]"));
    assert_eq!(count_of(&given[7]).as_deref(), Some("[DbValue::Int64(1)]"));
    // Locks what the second transaction would hold, were it still open.
    let given = stand.run(&json!([
        { "open_mysql": url },
        execute("INSERT INTO t VALUES (2)", &json!([])),
        count(0),
    ]));
    assert_eq!(given[1], "()");
    assert_eq!(count_of(&given[2]).as_deref(), Some("[DbValue::Int64(2)]"));
}

#[test]
fn a_transaction_may_be_started_by_name() {
    let (server, stand, url) = stand();
    server.sql("CREATE TABLE app.t (id INT PRIMARY KEY)");
    let given = stand.run(&json!([
        { "open_mysql": url },
        execute("START TRANSACTION", &json!([])),
        execute("INSERT INTO t VALUES (1)", &json!([])),
        execute("ROLLBACK", &json!([])),
        query("SELECT COUNT(*) AS n FROM t"),
    ]));
    assert_eq!(given[1..4], ["()", "()", "()"]);
    assert!(given[4].ends_with("[DbValue::Int64(0)]"), "{}", given[4]);
}

#[test]
fn the_rows_that_a_statement_touched_are_told_by_the_server_alone() {
    let (server, stand, url) = stand();
    server.sql("CREATE TABLE app.t (id INT PRIMARY KEY, v INT)");
    let given = stand.run(&json!([
        { "open_mysql": url },
        execute("INSERT INTO t VALUES (?, ?), (2, 0), (3, 0)", &json!([1, 0])),
        query("SELECT ROW_COUNT() AS n"),
        execute("UPDATE t SET v = ? WHERE id > ?", &json!([1, 1])),
        query("SELECT ROW_COUNT() AS n"),
        execute("UPDATE t SET v = 1 WHERE id > 7", &json!([])),
        query("SELECT ROW_COUNT() AS n"),
        execute("DELETE FROM t", &json!([])),
        query("SELECT ROW_COUNT() AS n"),
    ]));
    let counts: Vec<&str> = given
        .iter()
        .skip(2)
        .step_by(2)
        .filter_map(|text| text.lines().nth(1))
        .collect();
    assert_eq!(
        counts,
        [
            "[DbValue::Int64(3)]",
            "[DbValue::Int64(2)]",
            "[DbValue::Int64(0)]",
            "[DbValue::Int64(3)]"
        ]
    );
}

#[test]
fn rows_that_nobody_reads_do_not_block_their_connection() {
    let (_server, stand, url) = stand();
    let many = "SELECT a.seq FROM seq_1_to_1000 AS a";
    let given = stand.run(&json!([
        { "open_mysql": url },
        { "query_unread": [0, many, []] },
        query("SELECT 7 AS a"),
        query(many),
        { "at_once": [query("SELECT SLEEP(0.05) AS a"), query("SELECT 1 AS b"), query("SELECT CONNECTION_ID() AS c")] },
    ]));
    assert_eq!(given[1], "unread");
    assert_eq!(given[2], "a DbDataType::Int32\n[DbValue::Int32(7)]");
    assert_eq!(given[3].lines().count(), 1001);
    assert_eq!(given[4].lines().count(), 6);
}

#[test]
fn each_open_is_a_connection_of_its_own() {
    let (_server, stand, url) = stand();
    let given = stand.run(&json!([
        { "open_mysql": url },
        { "open_mysql": url },
        { "query": [0, "SELECT CONNECTION_ID() AS c", []] },
        { "query": [1, "SELECT CONNECTION_ID() AS c", []] },
        { "query": [0, "SELECT CONNECTION_ID() AS c", []] },
    ]));
    assert_ne!(given[2], given[3]);
    assert_eq!(given[2], given[4]);
}

#[test]
fn a_connection_that_cannot_be_says_why() {
    let (server, _, url) = stand();
    let stand = Stand::start(&[&format!("mysql://{}", server.address())]);
    let given = stand.run(&json!([
        { "open_mysql": "mysql://app:secret@127.0.0.1:1/app" },
        { "open_mysql": url.replace("secret", "wrong") },
        { "open_mysql": url },
    ]));
    assert_eq!(
        given[0],
        "MysqlError(Error::ConnectionFailed(\"address mysql://app:secret@127.0.0.1:1/app is not permitted\"))"
    );
    assert!(
        given[1].contains("Error::ConnectionFailed(\"Server error: `ERROR ") && given[1].contains("Access denied"),
        "{}",
        given[1]
    );
    assert_eq!(given[2], "opened");
}

#[test]
fn ssl_mode_alone_asks_for_tls_and_what_else_does_is_passed_over() {
    let (_server, stand, url) = stand();
    let given = stand.run(&json!([
        { "open_mysql": format!("{url}?ssl-mode=required") },
        { "open_mysql": format!("{url}?sslmode=Preferred&client_found_rows=true") },
        { "open_mysql": format!("{url}?ssl-mode=DISABLED") },
        { "open_mysql": format!("{url}?require_ssl=true") },
    ]));
    let refused = "MysqlError(Error::ConnectionFailed(\"this stand-in has no TLS\"))";
    assert_eq!(given, [refused, refused, "opened", "opened"]);
}
