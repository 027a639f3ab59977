//! What processes do beside spending time: how often their threads leave a processor, and what they write to storage, as
//! the kernel tells of each thread and process.
//!
//! Switches are counted thread by thread, since the file of a process tells those of its first thread alone. Those of a
//! thread that ended before the end of the count are lost, and a thread that began meanwhile counts from its beginning:
//! a lower bound, and exact for processes that keep their threads, as servers do under a steady load.

use std::collections::BTreeMap;

use crate::figures::Figures;
use crate::process::Process;

/// What processes have done since it was counted from.
#[derive(Debug)]
pub(crate) struct Activity<'a> {
    processes: &'a [Process],
    before: Vec<Counts>,
}

impl<'a> Activity<'a> {
    /// Counts from now on.
    pub(crate) fn of(processes: &'a [Process]) -> Self {
        let before = processes.iter().map(Counts::now).collect();
        Self { processes, before }
    }

    /// Adds what was done since for an operation, of each process: switches that a thread asked for, because it waited;
    /// switches that the kernel made; and bytes that go to storage. What the kernel does not tell is left out.
    pub(crate) fn each(&self, figures: &mut Figures, operations: f64) {
        for (process, before) in self.processes.iter().zip(&self.before) {
            let now = Counts::now(process);
            let mut set = |what: &str, count: Option<u64>| {
                if let Some(count) = count {
                    figures.set(format!("{}_{what}", process.name), count as f64 / operations.max(1.0));
                }
            };
            let switches = now.switches_since(before);
            set("switches_voluntary", switches.map(|switches| switches.voluntary));
            set("switches_involuntary", switches.map(|switches| switches.involuntary));
            set("write_bytes", now.write_bytes_since(before));
        }
    }
}

/// What the kernel has counted of a process so far.
#[derive(Debug, Default)]
struct Counts {
    /// By the ids of its threads.
    threads: BTreeMap<u32, Switches>,
    /// Absent where it is not for this user to read.
    write_bytes: Option<u64>,
}

/// How often a thread left a processor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Switches {
    voluntary: u64,
    involuntary: u64,
}

impl Counts {
    fn now(process: &Process) -> Self {
        let threads = process.threads().into_iter();
        Self {
            threads: threads
                .filter_map(|(id, status)| Some((id, Switches::read(&status)?)))
                .collect(),
            write_bytes: process.io().and_then(|io| number(&io, "write_bytes")),
        }
    }

    /// Those of the threads that there are now; none where there are none to be seen.
    fn switches_since(&self, before: &Self) -> Option<Switches> {
        if self.threads.is_empty() || before.threads.is_empty() {
            return None;
        }
        let mut all = Switches::default();
        for (id, now) in &self.threads {
            let since = before.threads.get(id).and_then(|before| now.since(*before));
            // A thread that was not there before; also under the id of one that ended.
            let since = since.unwrap_or(*now);
            all.voluntary += since.voluntary;
            all.involuntary += since.involuntary;
        }
        Some(all)
    }

    fn write_bytes_since(&self, before: &Self) -> Option<u64> {
        self.write_bytes?.checked_sub(before.write_bytes?)
    }
}

impl Switches {
    /// Reads the `status` of a thread.
    fn read(status: &str) -> Option<Self> {
        Some(Self {
            voluntary: number(status, "voluntary_ctxt_switches")?,
            involuntary: number(status, "nonvoluntary_ctxt_switches")?,
        })
    }

    fn since(self, before: Self) -> Option<Self> {
        Some(Self {
            voluntary: self.voluntary.checked_sub(before.voluntary)?,
            involuntary: self.involuntary.checked_sub(before.involuntary)?,
        })
    }
}

/// The value of a name in a file of lines `name: value`.
fn number(text: &str, name: &str) -> Option<u64> {
    let mut values = text.lines().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key == name).then(|| value.trim().parse().ok())?
    });
    values.next()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Activity, Counts, Switches, number};
    use crate::figures::Figures;
    use crate::process::Process;

    /// Of Linux 6.1, shortened.
    const STATUS: &str = "Name:\ttokio-rt-worker\nState:\tS (sleeping)\nTgid:\t4711\nPid:\t4713\nThreads:\t9\n\
        Cpus_allowed_list:\t0-1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t150211\n\
        nonvoluntary_ctxt_switches:\t377\n";
    const IO: &str = "rchar: 4292\nwchar: 0\nsyscr: 13\nsyscw: 0\nread_bytes: 20480\nwrite_bytes: 8192\n\
        cancelled_write_bytes: 4096\n";

    fn counts(threads: &[(u32, u64, u64)], write_bytes: Option<u64>) -> Counts {
        let threads = threads.iter().map(|(id, voluntary, involuntary)| {
            let (voluntary, involuntary) = (*voluntary, *involuntary);
            (*id, Switches { voluntary, involuntary })
        });
        Counts {
            threads: threads.collect::<BTreeMap<_, _>>(),
            write_bytes,
        }
    }

    fn switches(voluntary: u64, involuntary: u64) -> Switches {
        Switches { voluntary, involuntary }
    }

    #[test]
    fn both_kinds_of_switches_are_read_from_the_status_of_a_thread() {
        assert_eq!(Switches::read(STATUS), Some(switches(150_211, 377)));
        assert_eq!(Switches::read("Name:\tmpim\nvoluntary_ctxt_switches:\t1\n"), None);
    }

    #[test]
    fn bytes_for_storage_are_neither_those_of_calls_nor_those_taken_back() {
        assert_eq!(number(IO, "write_bytes"), Some(8192));
        assert_eq!(number("rchar: 1\n", "write_bytes"), None);
    }

    #[test]
    fn switches_of_all_threads_count_and_of_each_only_those_since() {
        let before = counts(&[(1, 10, 1), (2, 100, 5)], None);
        let now = counts(&[(1, 12, 1), (2, 130, 6), (3, 7, 2)], None);
        assert_eq!(now.switches_since(&before), Some(switches(2 + 30 + 7, 1 + 2)));
    }

    #[test]
    fn a_thread_that_ended_takes_its_switches_along_and_its_id_may_come_again() {
        let before = counts(&[(1, 10, 1), (2, 100, 5)], None);
        assert_eq!(
            counts(&[(1, 11, 1)], None).switches_since(&before),
            Some(switches(1, 0))
        );
        let again = counts(&[(1, 10, 1), (2, 4, 0)], None);
        assert_eq!(again.switches_since(&before), Some(switches(4, 0)));
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_no_zero() {
        let (nothing, something) = (counts(&[], None), counts(&[(1, 1, 1)], Some(5)));
        assert_eq!(nothing.switches_since(&something), None);
        assert_eq!(something.write_bytes_since(&nothing), None);
        assert_eq!(counts(&[], Some(9)).write_bytes_since(&something), Some(4));
    }

    #[test]
    fn figures_are_those_of_one_operation() {
        let processes = [Process::own()];
        let activity = Activity::of(&processes);
        let (mut all, mut each) = (Figures::default(), Figures::default());
        activity.each(&mut each, 1e9);
        activity.each(&mut all, 1.0);
        assert!(all.of("load_switches_voluntary").is_some() && all.of("load_switches_involuntary").is_some());
        assert_eq!(each.of("load_switches_voluntary"), Some(0.0));
    }
}
