//! What is measured: a server with its accounts, and the processes whose time is counted.

use client::accounts::enter;
use client::address::Address;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::account::Account;
use crate::activity::Activity;
use crate::failure::Failure;
use crate::figures::Figures;
use crate::names::unique;
use crate::process::{Folder, Process, Server, Spent, migrate};
use crate::seed::{Seeding, stored_bytes};
use crate::terms::Terms;

/// Passwords are hashed slowly on purpose: more registrations at once only wait for each other.
const REGISTRATIONS: usize = 8;
/// Accounts that are registered one by one, where they cannot be written into a file.
pub(crate) const MOST_REGISTERED: u32 = 1000;

/// A server that is measured.
#[derive(Debug)]
pub(crate) struct Subject {
    // Before its folder, so that it ends first.
    server: Option<Server>,
    folder: Option<Folder>,
    address: Address,
    processes: Vec<Process>,
    pub(crate) accounts: Vec<Account>,
}

impl Subject {
    /// A server with so many accounts, and with what `more` writes besides into the file of a server of its own.
    pub(crate) async fn begin(
        terms: &Terms,
        users: u32,
        more: impl FnOnce(&Seeding<'_>, &[Account]) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        Self::begin_in(terms, None, users, more).await
    }

    /// As [`Subject::begin`], with a folder that [`Subject::end`] gave back.
    pub(crate) async fn begin_in(
        terms: &Terms,
        folder: Option<Folder>,
        users: u32,
        more: impl FnOnce(&Seeding<'_>, &[Account]) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        if !terms.is_embedded() && users > MOST_REGISTERED {
            return Err(Failure::other(format!(
                "{users} accounts are more than the {MOST_REGISTERED} that can be registered: only into the file of an \
                 embedded store of its own more can be written"
            )));
        }
        let folder = match (folder, &terms.url) {
            (None, None) => Some(Folder::make()?),
            (folder, _) => folder,
        };
        let (seeded, server) = tokio::task::block_in_place(|| {
            let mut seeded = None;
            if let Some(folder) = folder.as_ref().filter(|_| terms.is_embedded()) {
                folder.forget();
                migrate(folder, &terms.app())?;
                seeded = Some(Seeding::in_file(&folder.store(), users, more)?);
            }
            let server = folder.as_ref().map(|folder| Server::start(folder, &terms.up()));
            Ok::<_, Failure>((seeded, server.transpose()?))
        })?;
        let own = server.as_ref().map(Server::address);
        let address = terms.url.as_ref().or(own).cloned();
        let address = address.ok_or_else(|| Failure::other("no server"))?;
        let own = [server.as_ref().map(Server::process), Some(Process::own())];
        let processes = own.into_iter().flatten().chain(terms.cpu_of.iter().cloned()).collect();
        let accounts = match seeded {
            Some(accounts) => accounts,
            None => register(&address, users).await?,
        };
        Ok(Self {
            server,
            folder,
            address,
            processes,
            accounts,
        })
    }

    /// Ends the server, and gives its folder for another.
    pub(crate) fn end(self) -> Option<Folder> {
        drop(self.server);
        self.folder
    }

    /// Where the server is.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The process of the server, where it is its own or was named.
    pub(crate) fn server(&self) -> Option<&Process> {
        self.processes.iter().find(|process| process.name == "server")
    }

    /// Begins to count.
    pub(crate) fn meter(&self) -> Meter<'_> {
        Meter {
            subject: self,
            spent: Spent::by(&self.processes),
            activity: Activity::of(&self.processes),
            stored: self.stored_bytes(),
        }
    }

    /// What its store takes, where that is a file of its own.
    pub(crate) fn stored_bytes(&self) -> Option<u64> {
        stored_bytes(&self.folder.as_ref()?.store())
    }
}

/// What had been spent when counting began.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    subject: &'a Subject,
    spent: Spent<'a>,
    activity: Activity<'a>,
    stored: Option<u64>,
}

impl Meter<'_> {
    /// Adds what was spent since, of each process: microseconds for an operation, and seconds for 1,000.
    pub(crate) fn cpu(&self, figures: &mut Figures, operations: f64) {
        self.spent.each(figures, operations);
    }

    /// Adds context switches and bytes written since, of each process, for an operation.
    pub(crate) fn activity(&self, figures: &mut Figures, operations: f64) {
        self.activity.each(figures, operations);
    }

    /// Adds what the store has grown by since.
    pub(crate) fn stored(&self, figures: &mut Figures, operations: f64) {
        if let Some((before, after)) = self.stored.zip(self.subject.stored_bytes()) {
            let grown = after.saturating_sub(before) as f64;
            figures.set("stored_bytes", grown / operations.max(1.0));
        }
    }
}

async fn register(address: &Address, users: u32) -> Result<Vec<Account>, Failure> {
    let all = unique();
    let enter = |index| {
        let (name, password) = (format!("b{all}-{index}"), format!("{all}-{index}-secret"));
        async move {
            let grant = enter(address, &name, &password, "bench").await?;
            Ok::<_, Failure>(Account { name, password, grant })
        }
    };
    stream::iter(0..users)
        .map(enter)
        .buffered(REGISTRATIONS)
        .try_collect()
        .await
}
