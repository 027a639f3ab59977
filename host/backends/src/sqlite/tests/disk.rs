//! A disk that is full, and one that fails at the last moment.

use std::sync::atomic::AtomicBool;

use super::*;

/// What a disk does to the store on it.
#[derive(Debug, Default)]
struct Disk {
    /// Pages that the file may have.
    pages_max: Option<u32>,
    /// While true, every commit is refused.
    refuses: Arc<AtomicBool>,
}

impl Disk {
    fn pen(&self, folder: &Folder) -> Pen {
        let mut pen = open_pen(&folder.file(), &SqliteSettings::default()).unwrap();
        if let Some(pages) = self.pages_max {
            pen.connection.pragma_update(None, "max_page_count", pages).unwrap();
        }
        let refuses = Arc::clone(&self.refuses);
        let hook = move || refuses.load(Ordering::Relaxed);
        pen.connection.commit_hook(Some(hook)).unwrap();
        pen
    }

    fn store(&self, folder: &Folder) -> Sqlite {
        folder.make_table();
        Sqlite::start(self.pen(folder), &folder.file(), &SqliteSettings::default()).unwrap()
    }

    fn together(&self, folder: &Folder, jobs: Vec<Vec<Step>>) -> Vec<writer::Answer> {
        answers(&self.pen(folder), folder, &SqliteSettings::default(), jobs)
    }
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_forgives() {
    let folder = Folder::new();
    let disk = Disk {
        pages_max: Some(24),
        ..Disk::default()
    };
    let store = disk.store(&folder);
    let big = "x".repeat(3000);
    let long = |n: usize| insert(&format!("{n}{big}"));
    let mut kept = 0;
    let full = loop {
        match store.batch(vec![long(kept)], soon()).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(full, Error::Unavailable(_)) && kept > 2,
        "{full:?} after {kept}"
    );
    // In a group, the job that needs room fails and the one that needs none is kept.
    let small = step("UPDATE t SET more = 'y' WHERE id = 1", vec![]);
    let answers = disk.together(&folder, vec![vec![small.clone()], vec![long(1000)], vec![small]]);
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert!(matches!(answers[1], Err(Error::Unavailable(_))));
    assert_eq!(count(&store).await, kept as i64);
    store.batch(vec![step("DELETE FROM t", vec![])], soon()).await.unwrap();
    store.batch(vec![long(0)], soon()).await.unwrap();
    assert_eq!(count(&store).await, 1);
}

#[tokio::test]
async fn a_commit_that_fails_is_answered_to_all_and_keeps_nothing() {
    let folder = Folder::new();
    let disk = Disk::default();
    let store = disk.store(&folder);
    store.batch(vec![insert("before")], soon()).await.unwrap();
    disk.refuses.store(true, Ordering::Relaxed);
    let answers = disk.together(
        &folder,
        vec![vec![insert("a")], vec![insert("before")], vec![insert("b")]],
    );
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Err(Error::Unavailable(_)))),
        "{answers:?}"
    );
    let alone = store.batch(vec![insert("c")], soon()).await;
    assert!(matches!(alone, Err(Error::Unavailable(_))));
    disk.refuses.store(false, Ordering::Relaxed);
    assert_eq!(count(&store).await, 1);
    store.batch(vec![insert("a")], soon()).await.unwrap();
    assert_eq!(count(&store).await, 2);
}
