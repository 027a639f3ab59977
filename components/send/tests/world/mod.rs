//! The world of the tests of sending: groups and who belongs to them, routes as a test sets them, and what a store may do to
//! a page.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    clippy::allow_attributes,
    reason = "each test uses its part"
)]

pub mod calls;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ops::Deref;
use std::rc::Rc;

use guest::route::Decision;
use guest::sql::Error as SqlError;
pub use native::{Call, Fault, Push, Random, caller, run, seed};

#[derive(Clone)]
pub struct World {
    world: native::World,
    online: Rc<RefCell<BTreeSet<u64>>>,
    /// Which row the next pages lack, one each: its writer ends while they look.
    unseen: Rc<RefCell<Vec<usize>>>,
    most_rows: Rc<Cell<usize>>,
    reads: Rc<Cell<(u64, u64)>>,
}

impl Deref for World {
    type Target = native::World;

    fn deref(&self) -> &native::World {
        &self.world
    }
}

impl World {
    /// A world with users 1 to `users`, as the host of this thread, without a cache.
    pub fn with_users(users: u64) -> Self {
        Self::seeded(seed(), users)
    }

    pub fn seeded(seed: u64, users: u64) -> Self {
        let world = Self {
            world: native::World::seeded(seed, users),
            online: Rc::default(),
            unseen: Rc::default(),
            most_rows: Rc::new(Cell::new(usize::MAX)),
            reads: Rc::default(),
        };
        world.cached(false);
        let online = world.online.clone();
        world.answer_routes(move |users| {
            let decision = decide(&online.borrow(), users);
            Box::pin(async { Ok(decision) })
        });
        let (unseen, most_rows) = (world.unseen.clone(), world.most_rows.clone());
        world.store().filter(move |sql, mut rows| {
            if sql.contains("ORDER BY")
                && let Some(unseen) = unseen.borrow_mut().pop()
            {
                rows.remove(unseen);
            }
            match rows.len() > most_rows.get() {
                true => Err(SqlError::Overloaded("too many rows".to_owned())),
                false => Ok(rows),
            }
        });
        world
    }

    pub fn group(&self, group: u64, members: &[u64]) {
        let count = members.len();
        self.exec(&format!("INSERT INTO conversations VALUES ({group}, NULL, NULL, 0, 0)"));
        self.exec(&format!(
            "INSERT INTO chat_groups VALUES ({group}, 'g', {}, 0, {count}, 0)",
            members[0]
        ));
        for member in members {
            self.exec(&format!("INSERT INTO members VALUES ({group}, {member}, 0, 0, 0, 0)"));
        }
    }

    /// As the component `groups` does it: at the last seq of the conversation, in one transaction.
    pub fn join(&self, group: u64, user: u64) {
        self.exec(&format!(
            "INSERT INTO members SELECT c.id, {user}, 0, 0, c.last_seq, c.last_seq FROM conversations c WHERE c.id = {group}"
        ));
        self.exec(&format!(
            "UPDATE chat_groups SET member_count = member_count + 1 WHERE id = {group}"
        ));
    }

    pub fn leave(&self, group: u64, user: u64) {
        self.exec(&format!(
            "DELETE FROM members WHERE conversation_id = {group} AND user_id = {user}"
        ));
        self.exec(&format!(
            "UPDATE chat_groups SET member_count = member_count - 1 WHERE id = {group}"
        ));
    }

    /// The next page that is read lacks a row, and the one after it another.
    pub fn unsees(&self, rows: &[usize]) {
        self.unseen.replace(rows.iter().rev().copied().collect());
    }

    /// A query that gives more rows is `overloaded` from now on.
    pub fn most_rows(&self, most: usize) {
        self.most_rows.set(most);
    }

    /// Users with live connections, two each, at `node-a`.
    pub fn online(&self, users: &[u64]) {
        self.online.replace(users.iter().copied().collect());
    }

    pub fn routes_fail(&self, fail: bool) {
        self.reach(&[Call::Route], !fail);
    }

    pub fn pushes_fail(&self, fail: bool) {
        self.reach(Call::PUSHES, !fail);
    }

    /// Whether there is a cache.
    pub fn cached(&self, cached: bool) {
        self.reach(Call::CACHE, cached);
    }

    fn reach(&self, calls: &[Call], within: bool) {
        match within {
            true => self.give_back(calls),
            false => self.take_away(calls),
        }
    }

    /// What goes wrong at the next write.
    pub fn fault(&self, fault: Option<Fault>) {
        match fault {
            Some(fault) => self.fail(Call::WRITES, fault),
            None => self.calm(),
        }
    }

    /// What others do just before the next write.
    pub fn before_write(&self, hook: impl FnOnce(&Self) + 'static) {
        let this = self.clone();
        self.before(Call::WRITES, 0, move |_| hook(&this));
    }

    pub fn queries(&self) -> u64 {
        self.calls(&[Call::Query])
    }

    pub fn batches(&self) -> u64 {
        self.calls(&[Call::Batch])
    }

    pub fn routed(&self) -> u64 {
        self.calls(&[Call::Route])
    }

    /// Queries and their rows since the last time.
    pub fn reads(&self) -> (u64, u64) {
        let now = (self.queries(), self.store().rows_read());
        let before = self.reads.replace(now);
        (now.0 - before.0, now.1 - before.1)
    }
}

fn decide(known: &BTreeSet<u64>, users: Vec<u64>) -> Decision {
    let (online, offline): (Vec<u64>, Vec<u64>) = users.into_iter().partition(|user| known.contains(user));
    let nodes = if online.is_empty() {
        vec![]
    } else {
        vec!["node-a".to_owned()]
    };
    let multi_connection = online.clone();
    Decision {
        nodes,
        online,
        multi_connection,
        offline,
    }
}
