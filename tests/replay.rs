//! The replay: many speak at full speed over a network that drops, and everybody has everything in the end.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::dice::Dice;
use crate::harness::node::{Folder, mpim};
use crate::harness::{Manifest, Node, manifest};

/// How many speakers share a small group.
const SLICE: usize = 50;

/// What a file asks for: lines, speakers, and how many messages reach somebody other than their sender.
#[derive(Debug, PartialEq)]
struct Play {
    lines: u64,
    speakers: u64,
    deliveries: u64,
}

impl Play {
    fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).expect("a file");
        let mut speakers = HashMap::new();
        let mut said = Vec::new();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).expect("JSON");
            let fresh = speakers.len();
            said.push(
                *speakers
                    .entry(line["from"].as_str().expect("text").to_owned())
                    .or_insert(fresh),
            );
        }
        let slice = |speaker: usize| (speakers.len() - speaker / SLICE * SLICE).min(SLICE);
        let deliveries = said
            .iter()
            .map(|speaker| speakers.len() - 1 + slice(*speaker) - 1)
            .sum::<usize>();
        let counts = [said.len(), speakers.len(), deliveries].map(|count| u64::try_from(count).expect("fits"));
        Self {
            lines: counts[0],
            speakers: counts[1],
            deliveries: counts[2],
        }
    }
}

/// Writes invented lines: everybody speaks, some more than others, and some lines are long.
pub(crate) fn invent(file: &Path, lines: u64, speakers: u64) {
    let mut dice = Dice::new(1);
    let words = [
        "the", "harbour", "was", "quiet", "until", "seven", "bells", "rang", "over", "grey", "water", "\n",
    ];
    let mut text = String::new();
    for line in 0..lines {
        let favourite = dice.between(0, speakers).min(dice.between(0, speakers));
        let speaker = if line < speakers { line } else { favourite };
        let length = if dice.between(0, 20) == 0 {
            120
        } else {
            dice.between(3, 20)
        };
        let said: Vec<&str> = (0..length)
            .map(|_| words[usize::try_from(dice.next() % 12).expect("fits")])
            .collect();
        writeln!(
            text,
            "{}",
            json!({ "from": format!("Speaker {speaker}"), "text": said.join(" ") })
        )
        .expect("written");
    }
    std::fs::write(file, text).expect("written");
}

/// Performs a file, and gives the report once everything in it is as it must be.
async fn perform(node: &Node, file: &Path, seed: u64, drop: &str) -> Value {
    let play = Play::read(file);
    let (out, code) = replay(node, file, seed, drop, "30").await;
    assert_eq!(code, Some(0), "{out}");
    let report: Value = serde_json::from_str(&out).expect("one JSON object");
    let count = |key: &str| {
        report[key]
            .as_u64()
            .unwrap_or_else(|| panic!("{key} is missing: {report}"))
    };
    assert_eq!(
        Play {
            lines: count("lines"),
            speakers: count("speakers"),
            deliveries: count("deliveries")
        },
        play
    );
    assert_eq!(
        (count("messages"), count("deliveries_expected")),
        (play.lines * 2, play.deliveries)
    );
    assert_eq!((count("differences"), count("losses")), (0, 0), "{report}");
    assert_eq!(report["seed"], seed);
    assert!(
        count("drops") <= play.lines && count("pulled") <= play.deliveries,
        "{report}"
    );
    let figure = |key: &str| {
        report[key]
            .as_f64()
            .filter(|figure| *figure > 0.0)
            .expect("more than nothing")
    };
    assert!(figure("latency_p50_ms") <= figure("latency_p99_ms"), "{report}");
    assert!(figure("latency_p99_ms") <= figure("latency_max_ms"), "{report}");
    assert!(
        figure("messages_per_s") > 1.0 && figure("deliveries_per_s") > 1.0,
        "{report}"
    );
    report
}

/// Runs the replay. Gives what it prints, and its exit code.
async fn replay(node: &Node, file: &Path, seed: u64, drop: &str, patience: &str) -> (String, Option<i32>) {
    let seed = seed.to_string();
    let arguments = [
        "--url",
        &node.url,
        "--seed",
        &seed,
        "--drop",
        drop,
        "--patience",
        patience,
        "--json",
    ];
    run(mpim().arg("replay").arg(file).args(arguments)).await
}

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command for five minutes at most. Gives what it prints, and its exit code.
pub(crate) async fn run(command: &mut Command) -> (String, Option<i32>) {
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = Running(command.spawn().expect("the binary runs"));
    let (mut out, mut log) = (
        running.0.stdout.take().expect("piped"),
        running.0.stderr.take().expect("piped"),
    );
    let said = tokio::task::spawn_blocking(move || {
        let mut said = String::new();
        out.read_to_string(&mut said).expect("text");
        // What goes wrong is told in a few lines, which the pipe holds until then.
        log.read_to_string(&mut said).expect("text");
        said
    });
    let said = tokio::time::timeout(Duration::from_secs(300), said).await;
    (
        said.expect("within five minutes").expect("read"),
        running.0.wait().expect("ended").code(),
    )
}

/// 60 speakers and a threshold of 55: the group of all is a large one, those of 50 and of 10 have inboxes.
#[tokio::test]
async fn everybody_hears_everything_in_both_kinds_of_groups_over_a_failing_network() {
    let folder = Folder::new();
    let file = folder.path().join("lines.jsonl");
    invent(&file, 300, 60);
    let node = Node::with(&threshold(55));
    for seed in [7, 8] {
        let report = perform(&node, &file, seed, "0.05").await;
        assert_eq!(report["fan_out"], json!(["read", "write"]));
        assert!(report["drops"].as_u64().is_some_and(|drops| drops > 0), "{report}");
    }
}

#[tokio::test]
async fn few_speakers_hear_everything_when_all_their_groups_are_of_one_kind() {
    let folder = Folder::new();
    let file = folder.path().join("lines.jsonl");
    invent(&file, 300, 12);
    for (members, fan_out) in [(10, "read"), (100, "write")] {
        let node = Node::with(&threshold(members));
        let report = perform(&node, &file, 9, "0.05").await;
        assert_eq!(report["fan_out"], json!([fan_out, fan_out]));
    }
}

#[tokio::test]
async fn the_same_seed_drops_at_the_same_lines_and_another_one_elsewhere() {
    let folder = Folder::new();
    let file = folder.path().join("lines.jsonl");
    invent(&file, 200, 4);
    let node = Node::start();
    let mut drops = Vec::new();
    for seed in [3, 3, 4] {
        drops.push(
            perform(&node, &file, seed, "0.2").await["drops"]
                .as_u64()
                .expect("a count"),
        );
    }
    assert_eq!(drops[0], drops[1]);
    assert!(drops.iter().all(|drops| (15..70).contains(drops)), "{drops:?}");
    let quiet = perform(&node, &file, 3, "0").await;
    assert_eq!(quiet["drops"], 0);
}

/// The node answers every send and pushes every message, but its store garbles some and loses places of others: who
/// was not there and has to pull finds out.
#[tokio::test]
async fn a_node_that_does_not_keep_what_was_said_is_found_out() {
    let folder = Folder::new();
    let file = folder.path().join("lines.jsonl");
    invent(&file, 200, 4);
    let node = Node::start();
    let store = Connection::open(node.folder.path().join("data/mpim.sqlite")).expect("opened");
    let damage = "CREATE TRIGGER garble AFTER INSERT ON messages WHEN NEW.seq = 10 \
                  BEGIN UPDATE messages SET content = 'something else' WHERE id = NEW.id; END; \
                  CREATE TRIGGER lose AFTER INSERT ON inbox WHEN NEW.seq % 7 = 0 \
                  BEGIN DELETE FROM inbox WHERE user_id = NEW.user_id AND seq = NEW.seq; END";
    store.execute_batch(damage).expect("damaged");
    let (out, code) = replay(&node, &file, 5, "0.5", "5").await;
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("with other words") && out.contains("lacks"), "{out}");
}

/// The plays next to the checkout, or as much of invented ones.
#[tokio::test]
async fn whole_plays_are_performed_at_full_speed_without_a_loss() {
    let folder = Folder::new();
    let root = manifest::root();
    let plays = root
        .parent()
        .expect("the checkout lies somewhere")
        .join("shared/data/plays.jsonl");
    let file = if plays.exists() {
        plays
    } else {
        eprintln!("there are no plays next to the checkout: invented lines take their place");
        let file = folder.path().join("plays.jsonl");
        invent(&file, 7_097, 299);
        file
    };
    let node = Node::start();
    let report = perform(&node, &file, 1, "0.01").await;
    let deliveries = report["deliveries"].as_u64().expect("a count");
    let cpu = node.cpu();
    let each = cpu.as_secs_f64() * 1e6 / deliveries as f64;
    eprintln!("{report}\nthe node took {cpu:.1?} of the processors, {each:.1} µs a delivery");
    assert_eq!(report["fan_out"], json!(["read", "write"]));
}

fn threshold(members: i64) -> Manifest {
    Manifest::default()
        .set("component.send.tool.mpim.config.fan-out-threshold", members)
        .set("component.groups.tool.mpim.config.fan-out-threshold", members)
}
