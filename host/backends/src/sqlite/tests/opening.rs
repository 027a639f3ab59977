//! Opening, closing and losing the file.

use super::*;

#[tokio::test]
async fn answered_writes_are_there_after_reopening() {
    let folder = Folder::new();
    let store = folder.store(&SqliteSettings::default());
    store.batch(vec![insert("a"), insert("b")], soon()).await.unwrap();
    store.close();
    let store = Sqlite::open(&folder.file(), &SqliteSettings::default()).unwrap();
    assert_eq!(count(&store).await, 2);
}

#[tokio::test]
async fn a_file_locked_by_another_is_unavailable_until_it_is_free() {
    let folder = Folder::new();
    let store = folder.store(&SqliteSettings {
        busy_timeout_ms: 50,
        ..SqliteSettings::default()
    });
    let other = rusqlite::Connection::open(folder.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let locked = store.batch(vec![insert("a")], soon()).await;
    assert!(matches!(locked, Err(Error::Unavailable(_))), "{locked:?}");
    assert_eq!(count(&store).await, 0);
    other.execute_batch("ROLLBACK").unwrap();
    store.batch(vec![insert("a")], soon()).await.unwrap();
}

#[test]
fn a_file_that_cannot_be_opened_says_why() {
    let folder = Folder::new();
    let settings = SqliteSettings {
        busy_timeout_ms: 50,
        ..SqliteSettings::default()
    };
    let open = |path: PathBuf| Sqlite::open(&path, &settings).unwrap_err();
    assert!(matches!(open(folder.0.clone()), OpenError::Folder { .. }));
    assert!(matches!(
        open(folder.0.join("absent/store.db")),
        OpenError::NoFolder { .. }
    ));
    let noise = folder.0.join("noise.db");
    std::fs::write(&noise, "this is no database. ".repeat(500)).unwrap();
    assert!(matches!(open(noise), OpenError::Damaged { .. }));
    let locked = folder.0.join("locked.db");
    let other = rusqlite::Connection::open(&locked).unwrap();
    other.execute_batch("CREATE TABLE t (id); BEGIN EXCLUSIVE").unwrap();
    let error = open(locked);
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("locked.db is locked by another process"));
}

#[tokio::test]
async fn damaged_pages_are_unavailable_rather_than_wrong() {
    let folder = Folder::new();
    let store = folder.store(&SqliteSettings::default());
    let words = (0..500).map(|n| insert(&format!("{n} {}", "x".repeat(200)))).collect();
    store.batch(words, soon()).await.unwrap();
    store.close();
    // Whoever closes last moves everything from the log into the file, and that may be a reader, a little later.
    let last = rusqlite::Connection::open(folder.file()).unwrap();
    let moved = last.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    assert_eq!(moved, Ok(0));
    drop(last);
    let mut bytes = std::fs::read(folder.file()).unwrap();
    bytes[8192..].fill(0xAA);
    std::fs::write(folder.file(), bytes).unwrap();
    let store = Sqlite::open(&folder.file(), &SqliteSettings::default()).unwrap();
    let read = store
        .query("SELECT sum(length(text)) FROM t".to_owned(), vec![], soon())
        .await;
    assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
    let written = store.batch(vec![insert("a")], soon()).await;
    assert!(matches!(written, Err(Error::Unavailable(_))), "{written:?}");
}

#[test]
fn migrations_are_applied_once_and_never_back() {
    let folder = Folder::new();
    let settings = SqliteSettings::default();
    assert!(
        migrate(&folder.file(), &settings)
            .unwrap()
            .contains(&"V1__chat".to_owned())
    );
    assert!(migrate(&folder.file(), &settings).unwrap().is_empty());
    let connection = rusqlite::Connection::open(folder.file()).unwrap();
    connection
        .execute_batch("UPDATE refinery_schema_history SET checksum = '1' WHERE version = 1")
        .unwrap();
    let error = migrate(&folder.file(), &settings).unwrap_err();
    assert!(matches!(error, OpenError::Diverged { .. }), "{error}");
    let newer = "INSERT INTO refinery_schema_history VALUES (999, 'later', 'some day', '1')";
    connection.execute_batch(newer).unwrap();
    let error = migrate(&folder.file(), &settings).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 999, .. }), "{error}");
}
