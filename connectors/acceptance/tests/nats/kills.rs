//! tidemill and the server are killed.

use std::time::Instant;

use tidemill_acceptance::Job;
use tidemill_acceptance::chance::{Chance, kills};

use crate::server::{LIMIT, finished, messages, pipeline, publish, server};

#[test]
fn kills_of_the_run_and_of_the_server_lose_and_repeat_nothing() {
    const MESSAGES: usize = 20_000;
    let (kills, mut chance) = (kills(5), Chance::new("nats"));
    for source in ["max_ack_pending = 1000", "max_ack_pending = 1000\nconsumer = 'tidemill'"] {
        let (mut server, mut client) = server();
        publish(&mut client, "plant.t1", 0..MESSAGES);
        drop(client);
        let job = Job::new(&pipeline(&server, source));
        let (mut run, mut killed, begun) = (job.start(), 0, Instant::now());
        while messages(&server, "OUT") < MESSAGES || killed < kills {
            assert!(begun.elapsed() < LIMIT, "{} of {MESSAGES}, {}", messages(&server, "OUT"), run.said());
            std::thread::sleep(chance.pause(0, 300));
            if killed < kills {
                killed += 1;
                run.kill();
                run = job.start();
                std::thread::sleep(chance.pause(0, 300));
                server.restart();
            }
            // A run that meets no server when it begins ends.
            if !run.is_running() {
                run = job.start();
            }
        }
        run.stop().success();
        assert!(finished(&job).into_iter().eq(0..MESSAGES), "{source}: each number once, in order");
        // The ids of the messages: what is sent twice is stored once.
        assert_eq!(messages(&server, "OUT"), MESSAGES);
    }
}
