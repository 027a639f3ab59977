//! Rows that a benchmark writes into the store of its own server before that starts: what would take hours through the
//! methods that clients call. It knows the tables of `migrations/sqlite`, as the components do.

use std::path::Path;

use client::records::{Grant, Int};
use rusqlite::{Connection, OpenFlags, Transaction, params};
use sha2::{Digest, Sha256};

use crate::account::Account;
use crate::failure::Failure;
use crate::names::{now, unique};

/// Ids of what is written here; those that servers give are greater.
const FIRST_ID: i64 = 1 << 40;
const FIRST_CONVERSATION: i64 = 2 << 40;
const FIRST_MESSAGE: i64 = 3 << 40;
/// The state of a message that was acknowledged.
const DELIVERED: u8 = 3;
/// The state of a contact that both want.
const ACCEPTED: u8 = 2;
/// The role of the one who owns a group.
const OWNER: u8 = 2;
const SESSION_MS: i64 = 24 * 60 * 60 * 1000;

/// One transaction over the file.
#[derive(Debug)]
pub(crate) struct Seeding<'a> {
    rows: Transaction<'a>,
    now_ms: i64,
}

impl Seeding<'_> {
    /// Writes so many accounts, each with a session, and what `more` writes besides. All have the same password, of
    /// which one hash is computed.
    pub(crate) fn in_file(
        file: &Path,
        users: u32,
        more: impl FnOnce(&Seeding<'_>, &[Account]) -> Result<(), Failure>,
    ) -> Result<Vec<Account>, Failure> {
        let mut store = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(Failure::other)?;
        // What is lost when this dies was for nobody.
        store
            .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1048576;")
            .map_err(Failure::other)?;
        let seeding = Seeding {
            rows: store.transaction().map_err(Failure::other)?,
            now_ms: i64::try_from(now().as_millis()).unwrap_or(i64::MAX),
        };
        let accounts = seeding.accounts(users).map_err(Failure::other)?;
        more(&seeding, &accounts)?;
        seeding.rows.commit().map_err(Failure::other)?;
        Ok(accounts)
    }

    /// Writes a group of these members, the first of whom owns it.
    pub(crate) fn group(&self, members: &[Account]) -> Result<Int, Failure> {
        self.write_group(members).map_err(Failure::other)
    }

    fn write_group(&self, members: &[Account]) -> rusqlite::Result<Int> {
        let id = self.next_id()?;
        let owner = members.first().map_or(0, id_of);
        self.rows.execute(
            "INSERT INTO conversations (id, last_seq, last_at) VALUES (?1, 0, ?2)",
            params![id, self.now_ms],
        )?;
        self.rows.execute(
            "INSERT INTO chat_groups (id, name, owner_id, join_policy, member_count, created_at) \
             VALUES (?1, 'bench', ?2, 0, ?3, ?4)",
            params![id, owner, members.len() as i64, self.now_ms],
        )?;
        let mut member = self.rows.prepare(
            "INSERT INTO members (conversation_id, user_id, role, joined_at, joined_seq, read_seq) \
             VALUES (?1, ?2, ?3, ?4, 0, 0)",
        )?;
        for account in members {
            let user = id_of(account);
            let role = if user == owner { OWNER } else { 0 };
            member.execute(params![id, user, role, self.now_ms])?;
        }
        Ok(Int(id.cast_unsigned()))
    }

    /// Makes pairs of users contacts of each other.
    pub(crate) fn contacts<'a>(&self, pairs: impl Iterator<Item = (&'a Account, &'a Account)>) -> Result<(), Failure> {
        let write = || {
            let mut contact = self
                .rows
                .prepare("INSERT INTO contacts (owner_id, peer_id, state, created_at) VALUES (?1, ?2, ?3, ?4)")?;
            for (one, other) in pairs {
                let (one, other) = (id_of(one), id_of(other));
                contact.execute(params![one, other, ACCEPTED, self.now_ms])?;
                contact.execute(params![other, one, ACCEPTED, self.now_ms])?;
            }
            Ok::<_, rusqlite::Error>(())
        };
        write().map_err(Failure::other)
    }

    /// Writes so many delivered messages: two accounts that follow each other have a conversation, and all
    /// conversations go on in turn, as they do where many people talk.
    pub(crate) fn messages(&self, accounts: &[Account], count: u64, bytes: usize) -> Result<(), Failure> {
        self.write_messages(accounts, count.cast_signed(), bytes)
            .map_err(Failure::other)
    }

    fn write_messages(&self, accounts: &[Account], count: i64, bytes: usize) -> rusqlite::Result<()> {
        let pairs: Vec<(i64, i64)> = accounts
            .chunks_exact(2)
            .filter_map(|pair| Some((id_of(pair.first()?), id_of(pair.last()?))))
            .collect();
        let among = (pairs.len() as i64).max(1);
        let mut message = self.rows.prepare(
            "INSERT INTO messages (id, conversation_id, seq, sender_id, recipient_id, client_id, content, content_type, \
             content_hash, priority, qos, state, created_at, sent_at, delivered_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'text/plain', ?8, 1, 1, ?9, ?10, ?10, ?10)",
        )?;
        let mut entry = self
            .rows
            .prepare("INSERT INTO inbox (user_id, seq, kind, message_id) VALUES (?1, ?2, 0, ?3)")?;
        let content = "x".repeat(bytes);
        for number in 0..count {
            let (index, seq) = (number % among, number / among + 1);
            let Some((sender, recipient)) = usize::try_from(index).ok().and_then(|index| pairs.get(index)) else {
                break;
            };
            let id = FIRST_MESSAGE + number;
            let (client_id, hash) = (format!("seed-{number}"), format!("{number:064x}"));
            let conversation = FIRST_CONVERSATION + index;
            message.execute(params![
                id,
                conversation,
                seq,
                sender,
                recipient,
                client_id,
                content,
                hash,
                DELIVERED,
                self.now_ms
            ])?;
            entry.execute(params![recipient, seq, id])?;
        }
        for (index, (low, high)) in (0..).zip(&pairs) {
            let last_seq = count / among + i64::from(index < count % among);
            if last_seq == 0 {
                break;
            }
            self.conversation(FIRST_CONVERSATION + index, *low, *high, last_seq)?;
        }
        Ok(())
    }

    /// A conversation of two that has so many messages.
    fn conversation(&self, id: i64, low: i64, high: i64, last_seq: i64) -> rusqlite::Result<()> {
        let mut pair = self.rows.prepare_cached(
            "INSERT INTO conversations (id, user_low, user_high, last_seq, last_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        pair.execute(params![id, low, high, last_seq, self.now_ms])?;
        let mut member = self.rows.prepare_cached(
            "INSERT INTO members (conversation_id, user_id, role, joined_at, joined_seq, read_seq) \
             VALUES (?1, ?2, 0, ?3, 0, 0)",
        )?;
        member.execute(params![id, low, self.now_ms])?;
        member.execute(params![id, high, self.now_ms])?;
        let mut head = self
            .rows
            .prepare_cached("INSERT INTO inbox_heads (user_id, last_seq) VALUES (?1, ?2)")?;
        head.execute(params![high, last_seq])?;
        Ok(())
    }

    /// An id for a conversation, beyond those of all users.
    fn next_id(&self) -> rusqlite::Result<i64> {
        let last = "SELECT COALESCE(MAX(id), ?1) + 1 FROM conversations";
        self.rows.query_row(last, [FIRST_CONVERSATION], |row| row.get(0))
    }

    fn accounts(&self, users: u32) -> anyhow::Result<Vec<Account>> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let password = format!("{}-secret", unique());
        let hash = password::hash(password.as_bytes(), password::Cost::default())?;
        let mut user = self
            .rows
            .prepare("INSERT INTO users (id, name, name_key, password_hash, created_at) VALUES (?1, ?2, ?2, ?3, ?4)")?;
        let mut session = self.rows.prepare(
            "INSERT INTO sessions (id, user_id, device, device_class, token_hash, created_at, expires_at) \
             VALUES (?1, ?1, 'bench', 'bench', ?2, ?3, ?4)",
        )?;
        let mut accounts = Vec::new();
        for index in 0..i64::from(users) {
            let id = FIRST_ID + index;
            let name = format!("b{index}");
            let token = hexadecimal(
                &Sha256::new()
                    .chain_update(secret)
                    .chain_update(index.to_le_bytes())
                    .finalize(),
            );
            user.execute(params![id, name, hash, self.now_ms])?;
            let token_hash = hexadecimal(&Sha256::digest(&token));
            session.execute(params![id, token_hash, self.now_ms, self.now_ms + SESSION_MS])?;
            accounts.push(Account {
                name,
                password: password.clone(),
                grant: Grant {
                    user: Int(id.cast_unsigned()),
                    token,
                },
            });
        }
        Ok(accounts)
    }
}

fn id_of(account: &Account) -> i64 {
    account.grant.user.0.cast_signed()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of the pages that a store has in use, those in its log included; none where there is no such file.
pub(crate) fn stored_bytes(file: &Path) -> Option<u64> {
    let store = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let ask = |what| store.pragma_query_value(None, what, |row| row.get::<_, i64>(0)).ok();
    let bytes = (ask("page_count")? - ask("freelist_count")?) * ask("page_size")?;
    u64::try_from(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{Seeding, stored_bytes};
    use crate::names::unique;

    #[test]
    fn what_is_written_fits_the_tables() {
        let file = std::env::temp_dir().join(format!("mpim-seed-{}.sqlite", unique()));
        backends::sqlite::migrate(&file, &config::SqliteSettings::default()).unwrap();
        let mut group = None;
        let accounts = Seeding::in_file(&file, 5, |seeding, accounts| {
            seeding.messages(accounts, 7, 40)?;
            group = Some(seeding.group(accounts)?);
            seeding.contacts(accounts.iter().zip(accounts.iter().skip(1)).take(1))
        });
        let accounts = accounts.map_err(|failure| failure.to_string()).unwrap();
        let store = rusqlite::Connection::open(&file).unwrap();
        let count = |what: &str| -> i64 { store.query_row(what, [], |row| row.get(0)).unwrap() };
        assert_eq!((accounts.len(), count("SELECT COUNT(*) FROM sessions")), (5, 5));
        assert_eq!(count("SELECT COUNT(*) FROM inbox"), 7);
        // The sequence numbers of each conversation, and the cursors of each inbox, have no gaps.
        assert_eq!(count("SELECT SUM(last_seq) FROM conversations"), 7);
        assert_eq!(count("SELECT SUM(last_seq) FROM inbox_heads"), 7);
        assert_eq!(count("SELECT MAX(seq) FROM messages"), 4);
        assert_eq!(count("SELECT member_count FROM chat_groups"), 5);
        assert_eq!(count("SELECT COUNT(*) FROM members WHERE role = 2"), 1);
        assert_eq!(count("SELECT COUNT(*) FROM contacts"), 2);
        assert!(group.is_some() && stored_bytes(&file).is_some_and(|bytes| bytes > 0));
        drop(store);
        std::fs::remove_file(&file).unwrap();
    }
}
