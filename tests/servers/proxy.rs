//! A TCP proxy between a node and a server: the network that fails when a test wants it to.
//!
//! It knows bytes and connections, and refuses to know what they mean. A connection is two threads, one for each
//! direction; all of them end with the proxy.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes that travel at once; a fault strikes one such chunk.
const CHUNK_BYTES: usize = 16 * 1024;
/// How long opening a connection to the server may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// A proxy that listens on a port of its own.
pub struct Proxy {
    address: SocketAddr,
    network: Arc<Network>,
    acceptor: Option<JoinHandle<()>>,
}

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Bytes go through.
    Open,
    /// Bytes wait, and so do new connections: nobody is told.
    Partitioned,
    /// New connections are closed at once.
    Refusing,
    /// The proxy ends.
    Ended,
}

/// What happens to chunks of bytes on their way.
#[derive(Debug, Clone, Copy)]
struct Faults {
    way: Way,
    delay: Duration,
    /// Of a million chunks, how many cut their connection.
    cuts: u64,
    /// Of a million bytes, how many are changed.
    flips: u64,
}

struct Network {
    server: SocketAddr,
    faults: Mutex<Faults>,
    changed: Condvar,
    /// Both sockets of each live connection.
    live: Mutex<HashMap<u64, [TcpStream; 2]>>,
    pumps: Mutex<Vec<JoinHandle<()>>>,
    dice: Mutex<u64>,
    cut: AtomicU64,
}

impl Proxy {
    /// Starts one in front of a server, with everything open.
    pub fn to(server: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let open = Faults {
            way: Way::Open,
            delay: Duration::ZERO,
            cuts: 0,
            flips: 0,
        };
        let network = Arc::new(Network {
            server,
            faults: Mutex::new(open),
            changed: Condvar::new(),
            live: Mutex::default(),
            pumps: Mutex::default(),
            dice: Mutex::new(0),
            cut: AtomicU64::new(0),
        });
        let shared = network.clone();
        let acceptor = std::thread::spawn(move || shared.accept(&listener));
        Ok(Self {
            address,
            network,
            acceptor: Some(acceptor),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection now; new ones are welcome.
    pub fn cut(&self) {
        self.network.cut_all();
    }

    /// From now on each chunk cuts its connection with this probability: before it, behind it or in the middle of it.
    pub fn cut_at_random(&self, seed: u64, rate: f64) {
        self.network.seed(seed);
        self.network.change(|faults| faults.cuts = millionths(rate));
    }

    /// From now on each chunk is late.
    pub fn delay(&self, by: Duration) {
        self.network.change(|faults| faults.delay = by);
    }

    /// From now on each byte is changed with this probability.
    pub fn garble(&self, seed: u64, rate: f64) {
        self.network.seed(seed);
        self.network.change(|faults| faults.flips = millionths(rate));
    }

    /// Ends every connection, and closes new ones at once.
    pub fn refuse(&self) {
        self.network.change(|faults| faults.way = Way::Refusing);
        self.network.cut_all();
    }

    /// From now on no byte gets through and nobody is told; new connections hang as well. What waits goes on its
    /// way when the network is healed, as what TCP sends again does.
    pub fn partition(&self) {
        self.network.change(|faults| faults.way = Way::Partitioned);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.network.change(|faults| {
            *faults = Faults {
                way: Way::Open,
                delay: Duration::ZERO,
                cuts: 0,
                flips: 0,
            };
        });
    }

    /// How many connections were cut until now.
    pub fn cuts(&self) -> u64 {
        self.network.cut.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.network.change(|faults| faults.way = Way::Ended);
        self.network.cut_all();
        // Wakes the acceptor, which looks at the way before anything else.
        let _ = TcpStream::connect_timeout(&self.address, CONNECT_WITHIN);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        // One that was being opened meanwhile.
        self.network.cut_all();
        let pumps = std::mem::take(&mut *lock(&self.network.pumps));
        for pump in pumps {
            let _ = pump.join();
        }
    }
}

impl Network {
    fn change(&self, change: impl FnOnce(&mut Faults)) {
        let mut faults = lock(&self.faults);
        if faults.way != Way::Ended {
            change(&mut faults);
        }
        self.changed.notify_all();
    }

    fn seed(&self, seed: u64) {
        *lock(&self.dice) = seed;
    }

    /// A number that looks random (SplitMix64, by Steele, Lea and Flood).
    fn roll(&self) -> u64 {
        let mut state = lock(&self.dice);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// The faults of now; waits while the network is partitioned.
    fn faults(&self) -> Faults {
        let partitioned = |faults: &mut Faults| faults.way == Way::Partitioned;
        let faults = self.changed.wait_while(lock(&self.faults), partitioned);
        *faults.unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for number in 0.. {
            let Ok((client, _)) = listener.accept() else { return };
            match self.faults().way {
                Way::Ended => return,
                Way::Refusing => drop(client),
                // A server that cannot be reached costs the client its connection, nothing else.
                Way::Open | Way::Partitioned => drop(self.open(number, client)),
            }
        }
    }

    fn open(self: &Arc<Self>, number: u64, client: TcpStream) -> std::io::Result<()> {
        let server = TcpStream::connect_timeout(&self.server, CONNECT_WITHIN)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let halves = [
            (client.try_clone()?, server.try_clone()?),
            (server.try_clone()?, client.try_clone()?),
        ];
        lock(&self.live).insert(number, [client, server]);
        let mut pumps = lock(&self.pumps);
        pumps.retain(|pump| !pump.is_finished());
        for (from, to) in halves {
            let shared = self.clone();
            pumps.push(std::thread::spawn(move || {
                shared.pump(from, to);
                shared.end(number);
            }));
        }
        Ok(())
    }

    /// Moves bytes until one side ends or a fault does.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            let faults = self.faults();
            if !faults.delay.is_zero() {
                std::thread::sleep(faults.delay);
            }
            let mut bytes = chunk.get_mut(..count).unwrap_or_default();
            self.garble(&mut *bytes, faults.flips);
            let cut = faults.cuts > 0 && self.roll() % 1_000_000 < faults.cuts;
            if cut {
                let kept = usize::try_from(self.roll()).unwrap_or(usize::MAX) % (count + 1);
                bytes = bytes.get_mut(..kept).unwrap_or_default();
            }
            if to.write_all(bytes).is_err() || cut {
                self.cut.fetch_add(u64::from(cut), Ordering::Relaxed);
                return;
            }
        }
    }

    fn garble(&self, bytes: &mut [u8], flips: u64) {
        if flips == 0 {
            return;
        }
        for byte in bytes {
            if self.roll() % 1_000_000 < flips {
                *byte ^= 1 << (self.roll() % 8);
            }
        }
    }

    fn end(&self, number: u64) {
        if let Some(sockets) = lock(&self.live).remove(&number) {
            shut(&sockets);
        }
    }

    fn cut_all(&self) {
        for (_, sockets) in lock(&self.live).drain() {
            shut(&sockets);
            self.cut.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Wakes the threads that wait at the sockets of a connection.
fn shut(sockets: &[TcpStream; 2]) {
    for socket in sockets {
        let _ = socket.shutdown(Shutdown::Both);
    }
}

fn millionths(rate: f64) -> u64 {
    (rate.clamp(0.0, 1.0) * 1e6) as u64
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::Proxy;

    /// A server that gives back what it gets, for as long as its clients stay.
    fn echo() -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                std::thread::spawn(move || {
                    let mut reader = stream.try_clone()?;
                    std::io::copy(&mut reader, &mut stream)
                });
            }
        });
        Proxy::to(address).expect("a proxy")
    }

    fn connect(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect(proxy.address()).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        stream
    }

    /// Says something; gives what comes back, or nothing when the connection is over.
    fn say(stream: &mut TcpStream, words: &[u8]) -> Option<Vec<u8>> {
        stream.write_all(words).ok()?;
        let mut heard = vec![0; words.len()];
        stream.read_exact(&mut heard).ok()?;
        Some(heard)
    }

    #[test]
    fn bytes_go_through_and_a_cut_ends_what_is_open_only() {
        let proxy = echo();
        let mut stream = connect(&proxy);
        assert_eq!(say(&mut stream, b"one").as_deref(), Some(b"one".as_slice()));
        proxy.cut();
        assert_eq!(say(&mut stream, b"two"), None);
        assert_eq!(
            say(&mut connect(&proxy), b"three").as_deref(),
            Some(b"three".as_slice())
        );
        assert_eq!(proxy.cuts(), 1);
    }

    #[test]
    fn a_partition_holds_bytes_and_connections_until_it_is_healed() {
        let proxy = echo();
        let mut old = connect(&proxy);
        assert!(say(&mut old, b"before").is_some());
        proxy.partition();
        old.write_all(b"during").expect("the kernel takes it");
        let mut new = connect(&proxy);
        new.write_all(b"newer").expect("the kernel takes it");
        for stream in [&mut old, &mut new] {
            stream.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
            assert!(stream.read(&mut [0; 8]).is_err(), "nothing gets through");
            stream.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        }
        proxy.heal();
        let mut heard = [0; 6];
        old.read_exact(&mut heard).expect("what waited");
        assert_eq!(&heard, b"during");
        let mut heard = [0; 5];
        new.read_exact(&mut heard).expect("what waited");
        assert_eq!(&heard, b"newer");
    }

    #[test]
    fn whoever_is_refused_can_come_again_after_healing() {
        let proxy = echo();
        let mut stream = connect(&proxy);
        assert!(say(&mut stream, b"before").is_some());
        proxy.refuse();
        assert_eq!(say(&mut stream, b"during"), None);
        assert_eq!(say(&mut connect(&proxy), b"during"), None);
        proxy.heal();
        assert!(say(&mut connect(&proxy), b"after").is_some());
    }

    #[test]
    fn random_faults_strike_some_and_end_with_the_healing() {
        let struck = |seed: u64| {
            let proxy = echo();
            proxy.garble(seed, 0.01);
            let heard = say(&mut connect(&proxy), &[b'x'; 4096]).expect("an answer");
            heard.iter().filter(|byte| **byte != b'x').count()
        };
        assert!((20..160).contains(&struck(1)), "of 4096 bytes, twice one in a hundred");
        let proxy = echo();
        proxy.cut_at_random(2, 0.2);
        let cut = (0..50).filter(|_| say(&mut connect(&proxy), b"word").is_none()).count();
        assert!((5..40).contains(&cut), "{cut}");
        proxy.heal();
        assert!(say(&mut connect(&proxy), b"word").is_some());
    }

    #[test]
    fn late_bytes_arrive() {
        let proxy = echo();
        proxy.delay(Duration::from_millis(60));
        let begun = std::time::Instant::now();
        assert!(say(&mut connect(&proxy), b"word").is_some());
        assert!(begun.elapsed() >= Duration::from_millis(120), "{:?}", begun.elapsed());
    }
}
