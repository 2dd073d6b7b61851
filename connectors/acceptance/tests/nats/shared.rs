//! Several runs with one consumer.

use std::collections::BTreeSet;

use tidemill_acceptance::Job;

use crate::server::{
    finished, messages, pipeline, publish, server, wait_for_acknowledgements, wait_for_messages,
};

#[test]
fn a_consumer_is_for_the_runs_of_one_state_unless_it_is_shared() {
    let (server, mut client) = server();
    publish(&mut client, "plant.t1", 0..500);
    let text = pipeline(&server, "consumer = 'c'");
    let (job, other) = (Job::new(&text), Job::new(&text));
    let run = job.start();
    wait_for_messages(&server, "OUT", 500);
    wait_for_acknowledgements(&mut client, "c");
    // While it runs, and behind its end.
    let said = other.start().wait().failure();
    assert!(said.contains("has given messages to others") && said.contains("shared = true"), "{said}");
    run.stop().success();
    for options in ["consumer = 'c'", "consumer = 'c'\nshared = true"] {
        let said = Job::new(&pipeline(&server, options)).start().wait().failure();
        assert!(said.contains("has given messages to others"), "{said}");
    }
    // Its own run goes on.
    publish(&mut client, "plant.t1", 500..700);
    let run = job.start();
    wait_for_messages(&server, "OUT", 700);
    run.stop().success();
    assert!(finished(&job).into_iter().eq(0..700), "each number once, in order");
    assert_eq!(messages(&server, "OUT"), 700);
}

#[test]
fn runs_that_share_a_consumer_read_on_behind_each_other() {
    let (server, mut client) = server();
    let text = pipeline(&server, "consumer = 'c'\nshared = true\nmax_ack_pending = 100");
    let jobs = [Job::new(&text), Job::new(&text)];
    publish(&mut client, "plant.t1", 0..1000);
    let [first, second] = jobs.each_ref().map(Job::start);
    wait_for_messages(&server, "OUT", 1000);
    let said = first.stop().success();
    assert!(said.contains("at least once: the source may be sent records again"), "{said}");
    // The other goes on alone, and the first one does not read that again.
    publish(&mut client, "plant.t1", 1000..3000);
    wait_for_messages(&server, "OUT", 3000);
    let first = jobs[0].start();
    publish(&mut client, "plant.t1", 3000..4000);
    wait_for_messages(&server, "OUT", 4000);
    for run in [first, second] {
        run.stop().success();
    }
    // The ids of their messages differ: what both had read would be stored twice.
    assert_eq!(messages(&server, "OUT"), 4000);
    let numbers: BTreeSet<usize> = jobs.iter().flat_map(finished).collect();
    assert!(numbers.into_iter().eq(0..4000));
}

#[test]
fn what_a_killed_run_had_not_acknowledged_is_not_read_again_by_a_run_of_another_state() {
    let (server, mut client) = server();
    publish(&mut client, "plant.t1", 0..500);
    let text = pipeline(&server, "consumer = 'c'");
    let job = Job::new(&text);
    let run = job.start();
    wait_for_messages(&server, "OUT", 500);
    wait_for_acknowledgements(&mut client, "c");
    run.kill();
    let said = Job::new(&text).start().wait().failure();
    assert!(said.contains("has given messages to others"), "{said}");
    let run = job.start();
    publish(&mut client, "plant.t1", 500..600);
    wait_for_messages(&server, "OUT", 600);
    run.stop().success();
    assert!(finished(&job).into_iter().eq(0..600), "each number once, in order");
}
