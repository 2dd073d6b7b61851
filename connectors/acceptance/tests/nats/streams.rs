//! Streams that are not what they were when their messages were read.

use std::process::Command;

use tidemill_acceptance::proxy::{Fault, Proxy};
use tidemill_acceptance::server::NatsClient;
use tidemill_acceptance::{Job, Nats};

use crate::server::{pipeline, publish, server, source_at, wait_for_messages};

#[test]
fn a_stream_that_was_made_anew_ends_the_run() {
    let (server, mut client) = server();
    publish(&mut client, "plant.t1", 0..10);
    let job = Job::new(&pipeline(&server, ""));
    let run = job.start();
    wait_for_messages(&server, "OUT", 10);
    run.stop().success();
    client.request("$JS.API.STREAM.DELETE.IN", "").expect("deleted");
    client.create_stream("IN", "plant.>").expect("a stream");
    let said = job.start().wait().failure();
    assert!(said.contains("made anew"), "{said}");
}

#[test]
fn a_stream_that_is_deleted_during_the_run_ends_it() {
    for is_made_anew in [false, true] {
        let (server, mut client) = server();
        let proxy = Proxy::start(server.port());
        publish(&mut client, "plant.t1", 0..10);
        let job = Job::new(&source_at(&pipeline(&server, ""), &server, &proxy.address()));
        let run = job.start();
        wait_for_messages(&server, "OUT", 10);
        // The run learns of it when it is connected again.
        proxy.set(Fault::Reset);
        client.request("$JS.API.STREAM.DELETE.IN", "").expect("deleted");
        if is_made_anew {
            client.create_stream("IN", "plant.>").expect("a stream");
            publish(&mut client, "plant.t1", 0..20);
        }
        proxy.set(Fault::None);
        let expected = if is_made_anew { "made anew" } else { "the stream \"IN\" does not exist" };
        let said = run.wait().failure();
        assert!(said.contains(expected), "{expected}: {said}");
        assert_eq!(crate::server::messages(&server, "OUT"), 10);
    }
}

/// Copies everything in the folder of the server's streams.
fn copy(server: &Nats, from: &str, to: &str) {
    let (from, to) = (server.folder().join(from), server.folder().join(to));
    // An error: there is none yet.
    drop(std::fs::remove_dir_all(&to));
    assert!(Command::new("cp").arg("-r").args([from, to]).status().expect("it runs").success());
}

/// A server whose stream IN has 10 messages, of which it will forget the last 5 when [`forget`] is called.
fn forgetful() -> (Nats, NatsClient) {
    let (mut server, mut client) = server();
    publish(&mut client, "plant.t1", 0..5);
    server.kill();
    copy(&server, "data", "before");
    server.start();
    client = server.client();
    publish(&mut client, "plant.t1", 5..10);
    (server, client)
}

/// As after a crash of a server that had not synchronized its files.
fn forget(server: &mut Nats) {
    server.kill();
    copy(server, "before", "data");
    server.start();
}

#[test]
fn a_stream_that_loses_its_end_during_the_run_ends_it() {
    let (mut server, _) = forgetful();
    let job = Job::new(&pipeline(&server, ""));
    let run = job.start();
    wait_for_messages(&server, "OUT", 10);
    forget(&mut server);
    let said = run.wait().failure();
    assert!(said.contains("ends at message 5 now, and message 10 was read before"), "{said}");
}

#[test]
fn other_messages_in_the_place_of_those_that_were_read_are_not_taken_for_them() {
    for source in ["", "consumer = 'c'"] {
        let (mut server, _) = forgetful();
        let job = Job::new(&pipeline(&server, source));
        let run = job.start();
        wait_for_messages(&server, "OUT", 10);
        run.stop().success();
        forget(&mut server);
        publish(&mut server.client(), "plant.t1", 10..20);
        let said = job.start().wait().failure();
        assert!(said.contains("another message 10 since that was read"), "{source}: {said}");
    }
}
