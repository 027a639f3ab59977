//! The traffic of a story: pairs, a small group and a large one that talk all the time, over all nodes; and the
//! account of it in the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use super::device::Device;
use super::nodes::Cluster;
use super::world::{Phase, World};
use crate::harness::accounts::{Accounts, Found, Group, Target, gap};
use crate::harness::audit::{audit, number};
use crate::harness::dice::Dice;
use crate::harness::{Client, Node, http};

/// How many users there are; each has a partner.
const USERS: usize = 16;
/// From so many members on a group has no inboxes.
pub(super) const THRESHOLD: i64 = 6;
const SMALL: usize = 4;
const LARGE: usize = 10;
/// Between an answer and the next thing that is said in a conversation, about.
const PACE: Duration = Duration::from_millis(40);
/// How long nothing may move, with everything healed.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// Everybody who talks.
pub(super) struct Traffic {
    world: Arc<World>,
    living: JoinSet<Device>,
    groups: Vec<(u64, Group)>,
}

/// How a story ended.
#[derive(Debug)]
pub(super) struct Report {
    story: String,
    seed: u64,
    world: Arc<World>,
    lost: u64,
    differences: Vec<String>,
}

impl Traffic {
    /// Makes accounts and groups, and lets everybody begin.
    pub(super) async fn begin(cluster: &Cluster, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let world = Arc::new(World::new(cluster.addresses(), PACE));
        let node = cluster.any();
        let names: Vec<String> = (0..USERS).map(|index| format!("p{index}")).collect();
        let mut accounts = Vec::new();
        for name in &names {
            let user: u64 = http::register(node, name).await.parse().expect("a number");
            accounts.push((user, http::login(node, name, "phone").await));
        }
        let users: Vec<u64> = accounts.iter().map(|(user, _)| *user).collect();
        let mut devices: Vec<Device> = Vec::new();
        for (name, (user, token)) in names.into_iter().zip(&accounts) {
            devices.push(Device::new(world.clone(), name, *user, token.clone(), dice.next()));
        }
        for (index, device) in devices.iter_mut().enumerate() {
            device.talks_to(Target::User(users[index ^ 1]), 1, true);
        }
        let mut groups = Vec::new();
        for (count, in_inboxes) in [(SMALL, true), (LARGE, false)] {
            let members = users[..count].to_vec();
            let id = make_group(node, &accounts[0].1, &members[1..], in_inboxes).await;
            let others = u64::try_from(count - 1).expect("few");
            for device in &mut devices[..count] {
                device.talks_to(Target::Group(id), others, in_inboxes);
            }
            groups.push((id, Group { members, in_inboxes }));
        }
        let mut living = JoinSet::new();
        for device in devices {
            living.spawn(device.live());
        }
        Self { world, living, groups }
    }

    /// Nobody begins anything new from now on.
    pub(super) fn falls_silent(&self) {
        self.world.phase.send_replace(Phase::Listen);
    }

    /// Waits until so many more sends were accepted. A story that is told for longer waits for more.
    pub(super) async fn accepts(&mut self, more: u64) {
        let counts = &self.world.counts;
        let goal = counts.accepted.now() + more * soak();
        self.until("sends are accepted", |world| world.counts.accepted.now() >= goal)
            .await;
    }

    /// Waits until every send that was begun is accepted.
    pub(super) async fn is_answered(&mut self) {
        self.until("sends are answered", |world| {
            world.counts.begun.now() == world.counts.accepted.now()
        })
        .await;
    }

    /// Waits for a condition for as long as anything moves.
    async fn until(&mut self, what: &str, done: impl Fn(&World) -> bool) {
        let moved = |world: &World| world.counts.accepted.now() + world.counts.delivered.now();
        let (mut last, mut since) = (moved(&self.world), Instant::now());
        while !done(&self.world) {
            if let Some(Err(error)) = self.living.try_join_next() {
                panic!("a device broke off: {error}");
            }
            tokio::time::sleep(LOOK).await;
            let now = moved(&self.world);
            if now != last {
                (last, since) = (now, Instant::now());
            }
            assert!(
                since.elapsed() < PATIENCE,
                "{what}: nothing moved for {PATIENCE:?}; {:?}\n{}",
                self.world.counts,
                self.world.faults().join("\n")
            );
        }
    }

    /// Lets everybody end what they began, waits until all have everything, and compares.
    pub(super) async fn end(mut self, cluster: &Cluster, story: &str, seed: u64) -> Report {
        self.falls_silent();
        self.is_answered().await;
        let expected = self.world.counts.expected.now();
        let deadline = Instant::now() + PATIENCE;
        while self.world.counts.delivered.now() < expected && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
        self.world.phase.send_replace(Phase::Leave);
        let mut devices = Vec::new();
        while let Some(device) = self.living.join_next().await {
            devices.push(device.expect("a device does not panic"));
        }
        devices.sort_by_key(|device| device.user);
        let differences = check(cluster.any(), &devices, &self.groups).await;
        Report {
            story: story.to_owned(),
            seed,
            lost: expected.saturating_sub(self.world.counts.delivered.now()),
            differences,
            world: self.world,
        }
    }
}

impl Report {
    /// Prints the report, and fails unless everything is as was promised.
    pub(super) fn settle(self) {
        let counts = &self.world.counts;
        println!(
            "story={} seed={} accepted={} delivered={} duplicates_on_wire={} duplicates_shown={} out_of_order={} \
             lost={} longest_gap_ms={} turned_away={} reconnects={}",
            self.story,
            self.seed,
            counts.accepted.now(),
            counts.delivered.now(),
            counts.duplicates_on_wire.now(),
            counts.duplicates_shown.now(),
            counts.out_of_order.now(),
            self.lost,
            counts.longest_gap_ms.now(),
            counts.turned_away.now(),
            counts.reconnects.now()
        );
        let wrong = [self.lost, counts.out_of_order.now(), counts.duplicates_shown.now()];
        assert_eq!(wrong, [0; 3], "lost, out of order, shown twice: {self:#?}");
        assert_eq!(self.differences, Vec::<String>::new());
        assert_eq!(self.world.faults(), Vec::<String>::new());
    }
}

/// How many times as long as usual stories are told: `MPIM_SOAK`.
pub(super) fn soak() -> u64 {
    std::env::var("MPIM_SOAK").map_or(1, |times| times.parse().expect("MPIM_SOAK is a number"))
}

async fn make_group(node: &Node, owner: &str, others: &[u64], in_inboxes: bool) -> u64 {
    let mut owner = Client::resume(node, owner).await.expect("resumed");
    let group = owner
        .call("groups.create", json!({ "name": "friends" }))
        .await
        .expect("made");
    let users: Vec<String> = others.iter().map(u64::to_string).collect();
    owner
        .call("groups.invite", json!({ "group": group["id"], "users": users }))
        .await
        .expect("invited");
    let group = owner
        .call("groups.info", json!({ "group": group["id"] }))
        .await
        .expect("there");
    assert_eq!(group["fan_out"], if in_inboxes { "write" } else { "read" });
    number(&group["id"])
}

/// What differs between what was said, what the cluster has kept and what devices have shown.
async fn check(node: &Node, devices: &[Device], groups: &[(u64, Group)]) -> Vec<String> {
    let mut accounts = Accounts {
        groups: groups.iter().cloned().collect(),
        users: devices.iter().map(|device| device.user).collect(),
        ..Accounts::default()
    };
    let mut found = Found::default();
    for device in devices {
        accounts.said.extend(device.said.iter().cloned());
        audit(node, &device.name, device.user, &mut found).await;
    }
    let mut differences = accounts.check(&found);
    for device in devices {
        let name = &device.name;
        if found.inboxes.get(&device.user) != Some(&device.inbox.entries) {
            let places: Vec<u64> = device.inbox.entries.iter().map(|(place, _)| *place).collect();
            differences.push(format!(
                "{name}: {} shown of an inbox of {}, {:?}",
                places.len(),
                found.inboxes.get(&device.user).map_or(0, Vec::len),
                gap(&places)
            ));
        }
        for (group, track) in &device.groups {
            let kept = found.conversations[group].iter().map(|kept| (kept.seq, kept.message));
            if !kept.eq(track.entries.iter().copied()) {
                differences.push(format!("{name}: the device and the group {group} differ"));
            }
        }
    }
    differences
}
