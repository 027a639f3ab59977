//! `mpim replay`: a conversation of many, performed at full speed over a failing network, and checked: in the end
//! everybody has every line of their groups exactly once and in order. This module is the director.

mod figures;
mod hearing;
mod ledger;
mod member;
mod performing;
mod play;
mod stage;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use client::address::{Address, DEFAULT_URL};
use client::error::Error;
use client::socket::Client;
use client::text::clean;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};

use crate::failure::Failure;
use crate::print::print;
use figures::{Counts, Report};
use ledger::Ledger;
use member::{Leaving, Member};
use play::{Circle, Play};
use stage::{Progress, Servers, Stage};

const LOOK: Duration = Duration::from_millis(100);
/// How long the members have to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);
/// How many members that lack something are listed.
const LISTED: usize = 10;

/// How the command is used, for its help text.
pub const EXAMPLES: &str = "\
Examples:
  mpim replay plays.jsonl
  mpim replay plays.jsonl --seed 7 --drop 0.05 --json
  mpim replay plays.jsonl --url http://127.0.0.1:7080 --url http://127.0.0.1:7081";

/// Performs a conversation of many at full speed and checks that everybody received everything.
///
/// The file has one JSON object a line: {"from": "who", "text": "what"}. Each speaker gets an account, a connection, a
/// place in one group of all and in a small group. Every line is said to both groups. Now and then a speaker's
/// connection breaks: the next one resumes the session, pulls what was missed and repeats what was not answered.
#[derive(Debug, Args)]
pub struct Replay {
    /// The lines to perform.
    file: PathBuf,
    /// Where the server is. Given several times, speakers are spread over all of them, and one whose server is gone
    /// goes on at the next.
    #[arg(long = "url", value_name = "URL", default_value = DEFAULT_URL)]
    urls: Vec<Address>,
    /// Decides, with the file, where connections drop.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The probability that a line is followed by a drop of its speaker's connection.
    #[arg(long, value_name = "P", default_value_t = 0.01, value_parser = probability)]
    drop: f64,
    /// Without any progress for so many seconds, the performance has stalled.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    patience: u64,
    /// Prints the report as JSON, and no progress.
    #[arg(long)]
    json: bool,
}

fn probability(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err("a probability lies between 0 and 1".to_owned())
    }
}

/// Performs and reports.
pub async fn run(replay: Replay) -> Result<(), Failure> {
    let play = Play::open(&replay.file)?;
    let run = run_name(replay.seed);
    let bars = MultiProgress::with_draw_target(match replay.json {
        true => ProgressDrawTarget::hidden(),
        false => ProgressDrawTarget::stderr(),
    });
    if !replay.json {
        print(&format!(
            "run {run}: {} lines by {} speakers",
            play.lines(),
            play.speakers()
        ))?;
    }
    let (stage, tokens, clients) = prepare(&replay, run, play, &bars).await?;
    let stage = Arc::new(stage);
    let mut ending = perform(&replay, &stage, tokens, clients, &bars).await;
    let failure = ending.failure.take();
    let report = report(&replay, &stage, ending);
    match replay.json {
        true => print(&serde_json::to_string(&report).map_err(Failure::other)?)?,
        false => print(clean(&report.text(), true).trim_end())?,
    }
    match (failure, report.differences) {
        (Some(error), _) => Err(error.into()),
        (None, 0) => Ok(()),
        (None, count) => Err(Failure::other(format!(
            "{count} differences between what was said and what was heard"
        ))),
    }
}

/// The first part of the accounts' names: other for each run, so that runs on one server do not meet.
fn run_name(seed: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let started = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    format!("r{:011x}", play::mix(seed, started) >> 20)
}

async fn prepare(
    replay: &Replay,
    run: String,
    play: Play,
    bars: &MultiProgress,
) -> Result<(Stage, Vec<String>, Vec<Client>), Failure> {
    let bar = bars.add(bar("registering", play.speakers() as u64));
    let servers = Servers::new(&replay.urls).ok_or_else(|| Failure::other("no server is named"))?;
    let grants = stage::register(&servers, &run, play.speakers(), &bar).await?;
    bar.finish_and_clear();
    let groups = stage::make_groups(servers.of(0), &run, &play, &grants).await?;
    let clients = stage::connect(&servers, &grants).await?;
    let stage = Stage {
        servers,
        run,
        ledger: Ledger::new(play.lines()),
        play,
        users: grants.iter().map(|grant| grant.user.0).collect(),
        groups,
        progress: Progress::default(),
    };
    Ok((stage, grants.into_iter().map(|grant| grant.token).collect(), clients))
}

/// How the performance ended.
#[derive(Debug, Default)]
struct Ending {
    leavings: Vec<Leaving>,
    /// What ended it early.
    failure: Option<Error>,
    stalled: bool,
}

async fn perform(
    replay: &Replay,
    stage: &Arc<Stage>,
    tokens: Vec<String>,
    clients: Vec<Client>,
    bars: &MultiProgress,
) -> Ending {
    let (stop, stopped) = watch::channel(false);
    let mut members = JoinSet::new();
    for (index, (token, client)) in tokens.into_iter().zip(clients).enumerate() {
        let drops = |line| play::drops(replay.seed, line, replay.drop);
        members.spawn(Member::new(Arc::clone(stage), index, token, drops).perform(client, stopped.clone()));
    }
    let mut ending = Ending::default();
    watch_over(replay, stage, &mut members, &mut ending, bars).await;
    // Nobody may be listening any more.
    let _ = stop.send(true);
    let goodbye = async {
        while let Some(left) = members.join_next().await {
            ending.take(left);
        }
    };
    // Whoever is late is ended with the set.
    let _ = timeout(GOODBYE, goodbye).await;
    ending
}

impl Ending {
    fn take(&mut self, left: Result<Result<Leaving, Error>, tokio::task::JoinError>) {
        match left {
            Ok(Ok(leaving)) => self.leavings.push(leaving),
            Ok(Err(error)) => {
                self.failure.get_or_insert(error);
            }
            Err(error) => {
                self.failure
                    .get_or_insert(Error::Unreadable(format!("a member broke off: {error}")));
            }
        }
    }
}

/// Shows the progress until everybody is through, one failed, or nothing moves any more.
async fn watch_over(
    replay: &Replay,
    stage: &Stage,
    members: &mut JoinSet<Result<Leaving, Error>>,
    ending: &mut Ending,
    bars: &MultiProgress,
) {
    let sent = bars.add(bar("sent", stage.play.lines() as u64 * 2));
    let delivered = bars.add(bar("delivered", stage.play.deliveries()));
    let mut look = interval(LOOK);
    let mut moved = (0, Instant::now());
    let progress = &stage.progress;
    loop {
        tokio::select! {
            Some(left) = members.join_next() => {
                ending.take(left);
                break;
            }
            _ = look.tick() => {}
        }
        let counts =
            [&progress.sent, &progress.delivered, &progress.finished].map(|count| count.load(Ordering::Relaxed));
        let [sent_now, delivered_now, finished] = counts;
        sent.set_position(sent_now);
        delivered.set_position(delivered_now);
        if finished == stage.play.speakers() as u64 {
            break;
        }
        let sum: u64 = counts.iter().sum();
        if sum != moved.0 {
            moved = (sum, Instant::now());
        } else if moved.1.elapsed() >= Duration::from_secs(replay.patience) {
            ending.stalled = true;
            break;
        }
    }
    sent.finish_and_clear();
    delivered.finish_and_clear();
}

fn bar(what: &str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:11} {bar:40} {human_pos}/{human_len} {per_sec}");
    let bar = ProgressBar::new(length).with_prefix(what.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn report(replay: &Replay, stage: &Stage, ending: Ending) -> Report {
    let mut counts = Counts::default();
    ending.leavings.iter().for_each(|leaving| counts.add(&leaving.counts));
    let lacking = list_lacking(stage, &ending.leavings);
    if ending.stalled {
        stage.ledger.differ(format!("nothing moved for {} s", replay.patience));
    }
    if lacking == 0 && !ending.stalled && ending.failure.is_none() {
        stage.ledger.check_order(&stage.play);
    }
    let (differences, first_differences) = stage.ledger.differences();
    let mut report = Report {
        run: stage.run.clone(),
        seed: replay.seed,
        lines: stage.play.lines(),
        speakers: stage.play.speakers(),
        small_groups: stage.groups.slices(),
        fan_out: stage.groups.fan_out(),
        deliveries_expected: stage.play.deliveries(),
        differences,
        first_differences,
        ..Report::default()
    };
    report.count(&counts);
    report
}

/// Puts what members lack among the differences; gives how many lack something.
fn list_lacking(stage: &Stage, leavings: &[Leaving]) -> usize {
    let mut lacking = 0;
    for leaving in leavings {
        let name = format!("{}-{}", stage.run, leaving.index);
        let incomplete = leaving.unanswered > 0 || leaving.tallies.iter().any(|tally| !tally.is_complete());
        lacking += usize::from(incomplete);
        if !incomplete || lacking > LISTED {
            continue;
        }
        if leaving.unanswered > 0 {
            stage
                .ledger
                .differ(format!("{name} has no answer to {} sends", leaving.unanswered));
        }
        for (tally, circle) in leaving.tallies.iter().zip(Circle::BOTH) {
            let Some(seq) = tally.first_missing() else {
                continue;
            };
            let line = stage.ledger.line_at(&stage.play, leaving.index, circle, seq);
            let line = line.map_or("which nobody has".to_owned(), |line| format!("line {}", line + 1));
            let missing = tally.missing();
            stage.ledger.differ(format!(
                "{name} lacks {missing} messages ({circle:?}), first seq {seq}, {line}"
            ));
        }
    }
    if lacking > LISTED {
        stage
            .ledger
            .differ(format!("{} more members lack something", lacking - LISTED));
    }
    lacking
}

#[cfg(test)]
mod tests {
    use super::{probability, run_name};

    #[test]
    fn probabilities_lie_between_0_and_1() {
        assert_eq!(probability("0.25"), Ok(0.25));
        assert!(probability("1.5").is_err() && probability("NaN").is_err() && probability("x").is_err());
    }

    #[test]
    fn two_runs_have_names_that_accounts_may_have() {
        let names = [run_name(1), run_name(1), run_name(2)];
        assert_ne!(names.first(), names.get(1));
        assert!(
            names
                .iter()
                .all(|name| name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        );
    }
}
