//! This node's membership: its lease and name, who else is alive, and what is done on one node at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use capabilities::Services;
use config::{ClusterSettings, ms};
use contract::Fault;
use contract::metadata::Lease;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use wire::push::{ALIVE, BEHIND, BEHIND_MS};

use crate::event::{Event, tell, tell_death};
use crate::failover::{self, KNOWN};
use crate::workers::Worker;

/// This node as a member of its cluster.
pub struct Member {
    services: Arc<Services>,
    /// What tells this node from another of the same name: the identity of its data folder.
    identity: String,
    settings: ClusterSettings,
}

/// What this node knows of the others, from beat to beat.
#[derive(Debug, Default)]
struct Watch {
    /// Whether this node has had a lease, so that one that is new again was lost in between.
    had_lease: bool,
    /// Whether another node had the name of this one.
    lacks_name: bool,
    /// When each other node was seen alive last.
    seen: BTreeMap<String, Instant>,
    /// Since when this node sees to what each dead one left.
    dead: BTreeMap<String, Instant>,
}

impl Member {
    /// Takes a worker number, which a node cannot serve without, and the node's name, unless the metadata store
    /// cannot be reached: then it goes on without others, and joins them later.
    pub async fn join(
        services: Arc<Services>,
        identity: String,
        settings: ClusterSettings,
    ) -> anyhow::Result<(Self, Worker)> {
        anyhow::ensure!(
            settings.lease_ms >= settings.heartbeat_ms.saturating_mul(2),
            "cluster.lease_ms must be at least twice cluster.heartbeat_ms"
        );
        let worker = Worker::claim(services.clone(), identity.clone(), settings.clone()).await?;
        let member = Self {
            services,
            identity,
            settings,
        };
        member.claim_name().await?;
        member.meet().await;
        Ok((member, worker))
    }

    /// The name may still be held by a node that died a moment ago.
    async fn claim_name(&self) -> anyhow::Result<()> {
        let until = Instant::now() + ms(self.settings.lease_ms.saturating_mul(2));
        loop {
            match self.hold_name().await {
                Ok(true) => return Ok(()),
                Ok(false) if Instant::now() < until => sleep(ms(self.settings.heartbeat_ms) / 4).await,
                Ok(false) => anyhow::bail!("another node of the cluster has the name {}", self.services.name),
                Err(error @ Fault::Invalid(_)) => return Err(error).context("the metadata store refuses this node"),
                Err(error) => {
                    tracing::warn!(%error, "the metadata store cannot be reached, this node begins without it");
                    return Ok(());
                }
            }
        }
    }

    /// Learns who is alive before anything is published, where that can be known.
    async fn meet(&self) {
        match self.services.metadata.members(&[ALIVE.to_owned()]).await {
            Ok(found) => {
                self.know(found.into_iter().flatten().collect());
                // Nothing was published before, so that nobody can have missed it.
                self.services.peers.take_behind();
            }
            Err(error) => tracing::debug!(%error, "the other nodes are not known yet"),
        }
    }

    async fn hold_name(&self) -> Result<bool, Fault> {
        let lock = format!("/cluster/name/{}", self.services.name);
        let held = self
            .services
            .metadata
            .lock(lock, self.identity.clone(), self.settings.lease_ms)
            .await?;
        Ok(held.is_some())
    }

    /// Says again and again that this node is alive, and acts on what it finds out of others, until dropped.
    pub async fn live(&self, events: mpsc::Sender<Event>) {
        let mut watch = Watch::default();
        let mut failures = 0_u32;
        loop {
            match self.beat(&events, &mut watch).await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    metrics::counter!("mpim_cluster_missed_beats_total").increment(1);
                    if failures == 1 {
                        tracing::warn!(%error, "this node cannot tell that it is alive");
                    }
                }
            }
            sleep(ms(self.settings.heartbeat_ms)).await;
        }
    }

    async fn beat(&self, events: &mpsc::Sender<Event>, watch: &mut Watch) -> Result<(), Fault> {
        let name = self.services.name.to_string();
        let has_name = self.hold_name().await?;
        if !std::mem::replace(&mut watch.lacks_name, !has_name) && !has_name {
            tracing::error!(node = name, "another node of the cluster has the name of this one");
        }
        let lease = |set: &str, member: &str, ttl_ms| Lease {
            set: set.to_owned(),
            member: member.to_owned(),
            ttl_ms,
        };
        let mut leases = vec![
            lease(ALIVE, &name, self.settings.lease_ms),
            lease(KNOWN, &name, self.settings.lease_ms.saturating_mul(10).max(3_600_000)),
        ];
        let behind = self.services.peers.take_behind();
        leases.extend(behind.iter().map(|name| lease(BEHIND, name, BEHIND_MS)));
        let put = self.services.metadata.put(leases).await;
        if put.is_err() {
            behind.iter().for_each(|name| self.services.peers.note_behind(name));
        }
        // Acted on before anything else can fail: the next beat would not find it out again.
        if put?.first() == Some(&true) && watch.had_lease {
            tracing::warn!("the lease of this node was lost, its clients catch up");
            tell(events, Event::Missed).await;
        }
        watch.had_lease = true;

        let sets = [ALIVE, KNOWN, BEHIND].map(str::to_owned);
        let mut found = self.services.metadata.members(&sets).await?.into_iter();
        let [alive, known, behind] = std::array::from_fn(|_| found.next().unwrap_or_default());
        self.tell_peers(&alive, watch);
        if behind.contains(&name) {
            tracing::warn!("this node may have missed something, its clients catch up");
            tell(events, Event::Missed).await;
            // Last, since nobody knows whether a removal that fails was done.
            self.services.metadata.remove(BEHIND, &name).await?;
        }
        self.fail_over(events, &alive, known, watch).await
    }

    /// A node whose lease went this very moment, perhaps with all others, is still told what there is to tell.
    fn tell_peers(&self, alive: &[String], watch: &mut Watch) {
        let now = Instant::now();
        for name in alive {
            watch.seen.insert(name.clone(), now);
        }
        let patience = ms(self.settings.lease_ms);
        watch.seen.retain(|_, seen| now.duration_since(*seen) < patience);
        self.know(watch.seen.keys().cloned().collect());
    }

    /// Replaces the nodes that are alive. One that was not among them until now may have missed what this node
    /// published since it came, and have lost its routes to this node's sweep: it is told to catch up.
    fn know(&self, mut alive: Vec<String>) {
        let this = &*self.services.name;
        let before = self.services.peers.alive();
        let come = alive.iter().filter(|name| **name != *this && !before.contains(name));
        come.for_each(|name| self.services.peers.note_behind(name));
        if !alive.iter().any(|name| **name == *this) {
            alive.push(this.to_owned());
        }
        metrics::gauge!("mpim_cluster_nodes").set(u32::try_from(alive.len()).unwrap_or(u32::MAX));
        self.services.peers.set_alive(alive);
    }

    /// What dead nodes leave behind is seen to by one node at a time.
    async fn fail_over(
        &self,
        events: &mpsc::Sender<Event>,
        alive: &[String],
        known: Vec<String>,
        watch: &mut Watch,
    ) -> Result<(), Fault> {
        let is_dead = |name: &String| !alive.contains(name) && !watch.seen.contains_key(name);
        let dead: Vec<String> = known.into_iter().filter(is_dead).collect();
        watch.dead.retain(|name, _| dead.contains(name));
        if dead.is_empty() || !self.takes_turn("failover", self.settings.lease_ms).await? {
            return Ok(());
        }
        for name in dead {
            let since = *watch.dead.entry(name.clone()).or_insert_with(Instant::now);
            tell_death(events, &name).await;
            failover::take_over(&self.services, &name).await?;
            if since.elapsed() > ms(self.settings.look_after_ms) {
                failover::forget(&self.services, &name).await?;
            }
        }
        Ok(())
    }

    /// Whether it is this node that does what one node at a time has to do, for so long.
    async fn takes_turn(&self, work: &str, ttl_ms: u64) -> Result<bool, Fault> {
        let taken = self
            .services
            .metadata
            .lock(turn(work), self.identity.clone(), ttl_ms)
            .await?;
        Ok(taken.is_some())
    }

    /// Whether a timer runs on this node now. It runs on one node at a time, and on none while the nodes cannot agree.
    pub async fn runs_timer(&self, timer: &str, every: Duration) -> bool {
        let every_ms = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        let ttl_ms = every_ms.saturating_mul(3).max(self.settings.lease_ms);
        match self.takes_turn(timer, ttl_ms).await {
            Ok(turn) => turn,
            Err(error) => {
                metrics::counter!("mpim_timer_skipped_total", "timer" => timer.to_owned()).increment(1);
                tracing::debug!(%error, timer, "a timer does not run while the nodes cannot agree");
                false
            }
        }
    }

    /// Leaves a timer's next turn to whichever node asks first.
    pub async fn passes_timer(&self, timer: &str) {
        if let Err(error) = self.services.metadata.unlock(&turn(timer), &self.identity).await {
            tracing::debug!(%error, timer, "the turn of a timer ends by itself");
        }
    }

    /// Leaves: others need not wait for the lease to end.
    pub async fn leave(&self) {
        let name = &self.services.name;
        let left = async {
            self.services.metadata.remove(ALIVE, name).await?;
            let lock = format!("/cluster/name/{name}");
            self.services.metadata.unlock(&lock, &self.identity).await
        };
        if let Err(error) = left.await {
            tracing::debug!(%error, "the lease of this node ends by itself");
        }
    }
}

/// What whoever does what one node at a time has to do holds.
fn turn(work: &str) -> String {
    format!("/cluster/turn/{work}")
}
