//! Readers, writers, several nodes, a cache that loses entries and loaders that die, in random order and on paused
//! time, against what must hold: no answer is older than the last forget that was complete when the lookup began.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::time::{sleep, timeout};

use super::*;

const KEYS: usize = 3;
const NODES: u64 = 2;

/// A xorshift generator: the same seed is the same run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn pause(&mut self) -> Duration {
        ms(self.below(12))
    }
}

/// The store, and what forgets have promised.
#[derive(Default)]
struct Model {
    committed: [u64; KEYS],
    forgotten: [u64; KEYS],
    answers: u64,
    hits: u64,
}

struct World {
    cache: Cache,
    nodes: Vec<ReadThrough>,
    model: RefCell<Model>,
}

/// One reader: looks up, loads, dawdles, perhaps dies, fills.
async fn reader(world: &World, mut dice: Dice) {
    for _ in 0..40 {
        sleep(dice.pause()).await;
        let key = dice.below(KEYS as u64) as usize;
        let node = &world.nodes[dice.below(NODES) as usize];
        let promised = world.model.borrow().forgotten[key];
        let patience = ms(dice.below(40));
        let looking = look(node, &world.cache, ["a", "b", "c"][key]);
        let Ok(found) = timeout(patience, looking).await else {
            continue;
        };
        let answer = match found {
            Found::Value(value) => {
                world.model.borrow_mut().hits += 1;
                u64::from_be_bytes(value.try_into().unwrap())
            }
            Found::Absent => panic!("the store has every key"),
            Found::Load(ticket) => {
                sleep(dice.pause()).await;
                let read = world.model.borrow().committed[key];
                sleep(dice.pause()).await;
                if dice.below(8) > 0 {
                    let ttl_ms = [0, 5, 1000][dice.below(3) as usize];
                    fill_for(node, &world.cache, ticket, Some(&read.to_be_bytes()), ttl_ms).await;
                }
                read
            }
        };
        assert!(answer >= promised, "{answer} is older than {promised}");
        world.model.borrow_mut().answers += 1;
    }
}

/// One writer: commits, dawdles, forgets.
async fn writer(world: &World, mut dice: Dice) {
    for _ in 0..25 {
        sleep(dice.pause()).await;
        let key = dice.below(KEYS as u64) as usize;
        let written = {
            let mut model = world.model.borrow_mut();
            model.committed[key] += 1;
            model.committed[key]
        };
        sleep(dice.pause()).await;
        let node = &world.nodes[dice.below(NODES) as usize];
        forget(node, &world.cache, ["a", "b", "c"][key]).await;
        let mut model = world.model.borrow_mut();
        model.forgotten[key] = model.forgotten[key].max(written);
    }
}

/// The cache loses an entry now and then.
async fn loss(world: &World, mut dice: Dice) {
    for _ in 0..20 {
        sleep(dice.pause() * 3).await;
        let key = ["a", "b", "c"][dice.below(KEYS as u64) as usize];
        world.cache.delete(key).await.unwrap();
    }
}

async fn run(seed: u64) -> (u64, u64) {
    let settings = ReadThroughSettings {
        wait_ms: 15,
        load_within_ms: 25,
        ..ReadThroughSettings::default()
    };
    let world = Rc::new(World {
        cache: cache(),
        nodes: (0..NODES).map(|_| ReadThrough::new(settings.clone())).collect(),
        model: RefCell::default(),
    });
    let local = tokio::task::LocalSet::new();
    let mut dice = Dice(seed);
    let mut tasks = Vec::new();
    for actor in 0..9 {
        let (world, dice) = (world.clone(), Dice(dice.below(u64::MAX) | 1));
        tasks.push(local.spawn_local(async move {
            match actor {
                0 | 1 => writer(&world, dice).await,
                2 => loss(&world, dice).await,
                _ => reader(&world, dice).await,
            }
        }));
    }
    local.await;
    for task in tasks {
        if let Err(failed) = task.await {
            panic!("seed {seed}: {failed}");
        }
    }
    let model = world.model.borrow();
    (model.answers, model.hits)
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_older_than_the_last_complete_forget() {
    let mut random = [0; 8];
    getrandom::fill(&mut random).unwrap();
    let first = std::env::var("MPIM_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let first = first.unwrap_or(u64::from_be_bytes(random) >> 1).max(1);
    println!("seeds from {first}: MPIM_TEST_SEED={first}");
    let (mut answers, mut hits) = (0, 0);
    for seed in first..first + 300 {
        let (more, found) = run(seed).await;
        answers += more;
        hits += found;
    }
    println!("{answers} answers, {hits} from the cache");
    assert!(answers > 10_000 && hits > 1_000, "the runs reach both ways");
}
