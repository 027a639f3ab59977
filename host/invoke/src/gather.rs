//! What several tasks want at the same moment, collected into batches.
//!
//! Whoever asks waits for a turn. Who has it does what all want who wait by then, and meanwhile the next batch fills. One
//! that asks alone has its turn at once, so that nobody waits for company. There is no task of its own: a turn is a permit,
//! and one that is given up in the middle of its turn, with its caller, leaves the others to the next turn. A few turns
//! may be taken at a time, so that one that hangs does not keep all others from finding that out.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, oneshot};

/// Where batches fill.
pub(crate) struct Gather<T, R> {
    waiting: Mutex<Vec<Asked<T, R>>>,
    turns: Semaphore,
    most: usize,
    waiting_max: usize,
}

struct Asked<T, R> {
    wanted: T,
    weight: usize,
    answer: oneshot::Sender<R>,
}

/// More wait than may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl<T: Clone, R> Gather<T, R> {
    /// Batches weigh at most so much, at most so many callers wait, and so many batches are under way at once.
    pub(crate) fn new(most: usize, waiting_max: usize, turns: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            turns: Semaphore::new(turns.clamp(1, Semaphore::MAX_PERMITS)),
            most: most.max(1),
            waiting_max,
        }
    }

    /// Has it done, however much it weighs. `batch` does what some want, in the order in which they asked, and gives
    /// an answer for each; what it gives none for is asked for again. It may be called several times, and may begin again
    /// what another had begun and given up.
    pub(crate) async fn ask<F>(&self, wanted: T, weight: usize, batch: impl Fn(Vec<T>) -> F) -> Result<R, Full>
    where
        F: Future<Output = Vec<R>>,
    {
        loop {
            let answered = self.enter(wanted.clone(), weight)?;
            if let Some(answer) = self.wait(answered, &batch).await {
                return Ok(answer);
            }
        }
    }

    fn enter(&self, wanted: T, weight: usize) -> Result<oneshot::Receiver<R>, Full> {
        let (answer, answered) = oneshot::channel();
        let mut waiting = self.waiting();
        if waiting.len() >= self.waiting_max {
            return Err(Full);
        }
        waiting.push(Asked { wanted, weight, answer });
        Ok(answered)
    }

    /// None: who had the turn gave up.
    async fn wait<F>(&self, mut answered: oneshot::Receiver<R>, batch: &impl Fn(Vec<T>) -> F) -> Option<R>
    where
        F: Future<Output = Vec<R>>,
    {
        loop {
            // Kept until what was taken is done. It is never closed.
            let _turn = tokio::select! {
                biased;
                answer = &mut answered => return answer.ok(),
                turn = self.turns.acquire() => turn,
            };
            // What needs no waiting would be done before anybody else could ask: those who are about to, do so first.
            tokio::task::yield_now().await;
            let asked = self.some();
            if asked.is_empty() {
                // All that waited is done, or being done, in the turns of others, and this among it.
                return answered.await.ok();
            }
            let (wanted, answers): (Vec<_>, Vec<_>) =
                asked.into_iter().map(|asked| (asked.wanted, asked.answer)).unzip();
            for (answer, given) in answers.into_iter().zip(batch(wanted).await) {
                // One who went away does not want it any more.
                let _ = answer.send(given);
            }
        }
    }

    fn some(&self) -> Vec<Asked<T, R>> {
        let mut waiting = self.waiting();
        // Nobody does what is for nobody.
        waiting.retain(|asked| !asked.answer.is_closed());
        let mut weight = 0;
        let fits = |asked: &&Asked<T, R>| {
            let first = weight == 0;
            weight += asked.weight.max(1);
            first || weight <= self.most
        };
        let count = waiting.iter().take_while(fits).count();
        waiting.drain(..count).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Asked<T, R>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::future::join_all;

    use super::*;

    const TURNS: usize = 4;

    /// Doubles numbers, and keeps the batches. Each turn needs a permit to end.
    struct Doubling {
        gather: Gather<u32, u32>,
        permits: Semaphore,
        begun: Mutex<Vec<Vec<u32>>>,
    }

    impl Doubling {
        fn new(permits: usize) -> Arc<Self> {
            Arc::new(Self {
                gather: Gather::new(3, 8, TURNS),
                permits: Semaphore::new(permits),
                begun: Mutex::default(),
            })
        }

        async fn double(self: Arc<Self>, number: u32) -> Result<u32, Full> {
            self.double_heavy(number, 1).await
        }

        async fn double_heavy(self: Arc<Self>, number: u32, weight: usize) -> Result<u32, Full> {
            let this = &self;
            let batch = |numbers: Vec<u32>| async move {
                this.begun.lock().expect("whole").push(numbers.clone());
                this.permits.acquire().await.expect("open").forget();
                numbers.iter().map(|number| number * 2).collect()
            };
            self.gather.ask(number, weight, batch).await
        }

        fn begun(&self) -> Vec<Vec<u32>> {
            self.begun.lock().expect("whole").clone()
        }

        /// Runs what can run now.
        async fn settle(&self) {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn those_who_ask_at_the_same_moment_are_one_batch_of_no_more_than_may() {
        let doubling = Doubling::new(100);
        let answers = join_all((0..7).map(|number| doubling.clone().double(number))).await;
        assert_eq!(answers, (0..7).map(|number| Ok(number * 2)).collect::<Vec<_>>());
        assert_eq!(doubling.begun(), [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
    }

    #[tokio::test]
    async fn a_batch_weighs_no_more_than_may_unless_it_is_one_alone() {
        let doubling = Doubling::new(100);
        let heavy = [(0, 2), (1, 2), (2, 1), (3, 9), (4, 1)];
        let asking = heavy.map(|(number, weight)| doubling.clone().double_heavy(number, weight));
        assert_eq!(join_all(asking).await, [Ok(0), Ok(2), Ok(4), Ok(6), Ok(8)]);
        assert_eq!(doubling.begun(), [vec![0], vec![1, 2], vec![3], vec![4]]);
    }

    #[tokio::test]
    async fn one_who_asks_alone_waits_for_nobody() {
        let doubling = Doubling::new(1);
        assert_eq!(doubling.clone().double(4).await, Ok(8));
        assert_eq!(doubling.begun(), [vec![4]]);
    }

    #[tokio::test]
    async fn who_gives_up_in_a_turn_leaves_the_others_to_the_next() {
        let doubling = Doubling::new(0);
        // One turn alone, which the first that waits for it has.
        let turns = u32::try_from(TURNS).expect("few");
        let mut turn = doubling.gather.turns.acquire_many(turns).await.expect("open");
        let _others = turn.split(TURNS - 1).expect("as many");
        let all: Vec<_> = (0..3)
            .map(|number| tokio::spawn(doubling.clone().double(number)))
            .collect();
        doubling.settle().await;
        drop(turn);
        doubling.settle().await;
        assert_eq!(doubling.begun(), [vec![0, 1, 2]], "the first does what all want");
        let mut all = all.into_iter();
        all.next().expect("the first").abort();
        doubling.settle().await;
        doubling.permits.add_permits(100);
        let answers = join_all(all).await.into_iter().map(|answer| answer.expect("answered"));
        assert_eq!(answers.collect::<Vec<_>>(), [Ok(2), Ok(4)]);
        assert_eq!(doubling.begun()[1..], [vec![1, 2]], "nobody wants the first any more");
    }

    #[tokio::test]
    async fn a_turn_that_hangs_keeps_nobody_from_the_others_and_so_many_may_wait() {
        let doubling = Doubling::new(0);
        let mut all = Vec::new();
        let turns = u32::try_from(TURNS).expect("few");
        for number in 0..turns {
            all.push(tokio::spawn(doubling.clone().double(number)));
            doubling.settle().await;
        }
        let alone: Vec<_> = (0..turns).map(|number| vec![number]).collect();
        assert_eq!(doubling.begun(), alone);
        let last = turns + 8;
        all.extend((turns..last).map(|number| tokio::spawn(doubling.clone().double(number))));
        doubling.settle().await;
        assert_eq!(doubling.clone().double(last).await, Err(Full));
        doubling.permits.add_permits(100);
        let answers = join_all(all).await.into_iter().map(|answer| answer.expect("answered"));
        assert_eq!(
            answers.collect::<Vec<_>>(),
            (0..last).map(|number| Ok(number * 2)).collect::<Vec<_>>()
        );
    }

    #[tokio::test]
    async fn many_who_ask_and_give_up_at_random_have_each_their_own_answer() {
        let seed = std::env::var("MPIM_SEED").ok().and_then(|seed| seed.parse().ok());
        let mut random = seed.unwrap_or_else(|| u64::from(std::process::id()) | 1);
        eprintln!("asking at random: MPIM_SEED={random}");
        let mut below = |most: u64| {
            // Marsaglia, "Xorshift RNGs", 2003.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % most
        };
        for _ in 0..50 {
            let doubling = Doubling::new(0);
            let mut asking = Vec::new();
            for number in 0..40 {
                match below(4) {
                    0 => doubling.permits.add_permits(1),
                    1 => tokio::task::yield_now().await,
                    _ => {}
                }
                let task = tokio::spawn(doubling.clone().double(number));
                if below(3) == 0 {
                    doubling.settle().await;
                    task.abort();
                } else {
                    asking.push((number, task));
                }
            }
            doubling.permits.add_permits(1000);
            for (number, task) in asking {
                let answer = task.await.expect("answered");
                assert!(answer == Ok(number * 2) || answer == Err(Full), "{number}: {answer:?}");
            }
        }
    }
}
