//! The connection between the run and the server fails.

use std::time::{Duration, Instant};

use tidemill_acceptance::Job;
use tidemill_acceptance::chance::Chance;
use tidemill_acceptance::proxy::{Direction, Fault, Proxy};

use crate::server::{LIMIT, finished, messages, pipeline, publish, server, source_at, wait_for_messages};

#[test]
fn faults_between_the_run_and_the_server_lose_and_repeat_nothing() {
    let mut chance = Chance::new("nats: faults");
    for fault in [
        Fault::Latency(Duration::from_millis(20)),
        Fault::Slice(7),
        Fault::Throttle(50_000 + chance.below(450_000) as u32),
        Fault::Reset,
        Fault::HalfOpen,
        Fault::BlackHole,
    ] {
        let (server, mut client) = server();
        let proxy = Proxy::start(server.port());
        publish(&mut client, "plant.t1", 0..1);
        let text = pipeline(&server, "").replace(&server.address(), &proxy.address());
        let job = Job::new(&text);
        let run = job.start();
        wait_for_messages(&server, "OUT", 1);
        proxy.set(fault);
        publish(&mut client, "plant.t1", 1..2000);
        std::thread::sleep(Duration::from_millis(500));
        proxy.set(Fault::None);
        wait_for_messages(&server, "OUT", 2000);
        run.stop().success();
        assert!(finished(&job).into_iter().eq(0..2000), "{fault:?}: each number once, in order");
        assert_eq!(messages(&server, "OUT"), 2000);
    }
}

/// Nothing in the protocol tells wrong bytes from right ones: TLS does. So it does not matter what is read.
#[test]
fn wrong_bytes_end_the_run_or_the_connection() {
    let mut chance = Chance::new("nats: corrupt");
    for _ in 0..3 {
        let every = 100 + chance.below(10_000);
        let (server, mut client) = server();
        let proxy = Proxy::start(server.port());
        publish(&mut client, "plant.t1", 0..1);
        let job = Job::new(&source_at(&pipeline(&server, ""), &server, &proxy.address()));
        let mut run = job.start();
        wait_for_messages(&server, "OUT", 1);
        proxy.set(Fault::Corrupt(every));
        publish(&mut client, "plant.t1", 1..2000);
        std::thread::sleep(Duration::from_secs(1));
        proxy.set(Fault::None);
        if run.is_running() {
            run.interrupt();
        }
        let ended = run.wait();
        assert!(ended.status.code().is_some_and(|code| code != 101), "{}: {}", ended.status, ended.said);
    }
}

#[test]
fn a_server_that_is_away_does_not_keep_a_run_from_stopping() {
    // More than the client of the library keeps for a connection to come.
    const MESSAGES: usize = 5000;
    for fault in [Fault::Reset, Fault::HalfOpen, Fault::BlackHole] {
        let (server, mut client) = server();
        let proxy = Proxy::start(server.port());
        publish(&mut client, "plant.t1", 0..MESSAGES);
        let job = Job::new(&source_at(&pipeline(&server, ""), &server, &proxy.address()));
        // The first checkpoint is that of the stop.
        let run = job.start_with(&["--state", "state", "--checkpoint-every", "1h"]);
        let begun = Instant::now();
        while proxy.bytes(Direction::Down) < 60 * MESSAGES as u64 {
            assert!(begun.elapsed() < LIMIT, "{fault:?}: {}", run.said());
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(500));
        proxy.set(fault);
        run.stop().success();
        proxy.set(Fault::None);
        let run = job.start();
        // Everything else may be there already, so that nothing would show that it has begun: until then, a stop is an error.
        publish(&mut client, "plant.t1", MESSAGES..MESSAGES + 1);
        wait_for_messages(&server, "OUT", MESSAGES + 1);
        run.stop().success();
        assert!(finished(&job).into_iter().eq(0..=MESSAGES), "{fault:?}: each number once, in order");
        assert_eq!(messages(&server, "OUT"), MESSAGES + 1);
    }
}
