//! A story: a cluster, the traffic on it, and a seed that says where the disturbances fall.

use std::time::Duration;

use super::nodes::{Cluster, Network, manifest};
use super::traffic::{Traffic, soak};
use crate::harness::Manifest;
use crate::harness::dice::Dice;

/// A story that is being told.
pub(super) struct Story {
    name: &'static str,
    seed: u64,
    dice: Dice,
    pub(super) cluster: Cluster,
    traffic: Traffic,
}

/// The seed of a story, which is printed before anything can go wrong.
pub(super) fn seed(name: &str) -> u64 {
    let seed = Dice::seed();
    eprintln!("{name}: MPIM_SEED={seed}");
    seed
}

impl Story {
    /// Starts a cluster of so many nodes, on which everybody begins to talk.
    pub(super) async fn begin(name: &'static str, nodes: usize, network: Network) -> Self {
        Self::with(name, nodes, network, &manifest()).await
    }

    /// As [`Story::begin`], with another manifest.
    pub(super) async fn with(name: &'static str, nodes: usize, network: Network, manifest: &Manifest) -> Self {
        let seed = seed(name);
        let mut dice = Dice::new(seed);
        let cluster = Cluster::start(nodes, network, manifest).await;
        let traffic = Traffic::begin(&cluster, dice.next()).await;
        Self {
            name,
            seed,
            dice,
            cluster,
            traffic,
        }
    }

    /// Waits until so many more sends were accepted.
    pub(super) async fn talks(&mut self, more: u64) {
        self.traffic.accepts(more).await;
    }

    /// Nobody says anything new from now on.
    pub(super) fn falls_silent(&self) {
        self.traffic.falls_silent();
    }

    /// Nobody says anything new from now on, and what was begun is accepted when this returns.
    pub(super) async fn speaks_its_last(&mut self) {
        self.falls_silent();
        self.traffic.is_answered().await;
    }

    /// Lets a disturbance last.
    pub(super) async fn lasts(&self, time: Duration) {
        tokio::time::sleep(time * u32::try_from(soak()).expect("a small number")).await;
    }

    /// One of so many.
    pub(super) fn pick(&mut self, count: u64) -> usize {
        usize::try_from(self.dice.between(0, count)).expect("few")
    }

    /// A seed for a disturbance.
    pub(super) fn next_seed(&mut self) -> u64 {
        self.dice.next()
    }

    /// Waits until everybody has everything, prints the line of the story, and fails unless all is as was promised.
    pub(super) async fn end(self) {
        self.traffic.end(&self.cluster, self.name, self.seed).await.settle();
    }
}
