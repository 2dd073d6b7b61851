//! What is read, and how.

use std::time::Instant;

use tidemill_acceptance::{Job, Nats};

use crate::server::{LIMIT, finished, messages, pipeline, publish, server, wait_for_messages};

#[test]
fn a_stream_is_read_once_whatever_consumer_is_used() {
    for source in ["", "consumer = 'tidemill'", "max_ack_pending = 20"] {
        let (server, mut client) = server();
        publish(&mut client, "plant.t1", 0..500);
        let job = Job::new(&pipeline(&server, source));
        let run = job.start();
        wait_for_messages(&server, "OUT", 500);
        let said = run.stop().success();
        assert!(said.contains("exactly once"), "{said}");
        // A second run goes on where the first one ended.
        publish(&mut client, "plant.t2", 500..700);
        let run = job.start();
        wait_for_messages(&server, "OUT", 700);
        run.stop().success();
        assert!(finished(&job).into_iter().eq(0..700), "{source}: each number once, in order");
        assert_eq!(messages(&server, "OUT"), 700);
    }
}

#[test]
fn starts_are_where_the_options_say() {
    let (server, mut client) = server();
    publish(&mut client, "plant.t1", 0..10);
    for (start, expected) in [("8", 7..10), ("last", 9..10), ("2020-01-01T00:00:00Z", 0..10)] {
        let text = pipeline(&server, &format!("start = '{start}'"));
        let before = messages(&server, "OUT");
        let job = Job::new(&text);
        let run = job.start();
        wait_for_messages(&server, "OUT", before + expected.len());
        run.stop().success();
        assert!(finished(&job).into_iter().eq(expected), "{start}");
    }
    let job = Job::new(&pipeline(&server, "start = 'soon'"));
    assert!(job.start().wait().failure().contains("`start`"));
}

#[test]
fn fields_of_messages_are_columns() {
    let (server, mut client) = server();
    publish(&mut client, "plant.t1", 0..1);
    let job = Job::new(&pipeline(&server, ""));
    let run = job.start();
    wait_for_messages(&server, "OUT", 1);
    run.stop().success();
    // The messages of the sink have an id in a header.
    let source = format!(
        "[source]\ntype = 'nats'\nurl = '{}'\nstream = 'OUT'\nsubject = 'out.{{sensor}}'\npayload = 'number'\ntime = '@stored'\nfields = ['@subject', '@sequence', '@header:Nats-Msg-Id']\n",
        server.url()
    );
    client.create_stream("LAST", "last.>").expect("a stream");
    let job = Job::new(&format!(
        "{source}[[sink]]\ntype = 'nats'\nurl = '{}'\nsubject = 'last.{{sensor}}'\n",
        server.url()
    ));
    let run = job.start();
    wait_for_messages(&server, "LAST", 1);
    run.stop().success();
    let got = client.request("$JS.API.STREAM.MSG.GET.LAST", "{\"seq\":1}").expect("a message");
    assert!(got.contains("last.t1"), "{got}");
}

#[test]
fn messages_without_a_stream_are_received_as_they_are_published() {
    let server = Nats::start();
    let mut client = server.client();
    client.create_stream("OUT", "out.>").expect("a stream");
    let url = server.url();
    let pipeline = format!(
        "[source]\ntype = 'nats'\nurl = '{url}'\nsubject = ['plant.{{line}}.{{sensor}}', 'lab.{{sensor}}']\nqueue = 'g'\npayload = 'json'\nmeasurements = ['v']\n\
         [[sink]]\ntype = 'nats'\nurl = '{url}'\nsubject = 'out.{{sensor}}'\n"
    );
    let job = Job::new(&pipeline);
    let run = job.start_with(&[]);
    let begun = Instant::now();
    // The run may not have subscribed yet; nobody answers.
    while messages(&server, "OUT") == 0 {
        assert!(begun.elapsed() < LIMIT);
        let mut client = server.client();
        // There is no stream: the message is published, and no answer comes.
        let _no_responder = client.request("plant.north.t1", "{\"v\":1.5}");
    }
    run.stop().success();
}

#[test]
fn doctor_looks_at_streams() {
    let (server, _client) = server();
    let job = Job::new(&pipeline(&server, "").replace("'out.{sensor}'", "'out.all'"));
    let output = job.tidemill().args(["doctor", "pipeline.toml"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("0 messages of plant.>") && said.contains("the stream \"OUT\" takes out.all"),
        "{said}"
    );
}

#[test]
fn what_is_no_number_is_rejected_with_its_subject() {
    let (server, mut client) = server();
    client.publish_all([("plant.t1", "warm"), ("plant.t2", "1.5"), ("plant.t3", "")]).expect("stored");
    let text = pipeline(&server, "");
    let job = Job::new(&format!("{text}[[sink]]\ntype = 'dead_letter'\npath = 'rejects.jsonl'\n"));
    let run = job.start();
    wait_for_messages(&server, "OUT", 1);
    let said = run.stop().success();
    assert!(said.contains("1 messages without a payload"), "{said}");
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    let rejects = job.read("rejects.jsonl");
    assert!(rejects.contains("warm") && rejects.contains("t1"), "{rejects}");
    assert_eq!(rejects.lines().count(), 1, "{rejects}");
    assert_eq!(messages(&server, "OUT"), 1);
}

#[test]
fn messages_for_a_stream_that_is_full_wait_until_it_has_room() {
    let server = Nats::start();
    let mut client = server.client();
    client.create_stream("IN", "plant.>").expect("a stream");
    let options = |most: usize| {
        format!(r#"{{"name":"OUT","subjects":["out.>"],"storage":"file","discard":"new","max_msgs":{most}}}"#)
    };
    client.request("$JS.API.STREAM.CREATE.OUT", &options(100)).expect("an answer");
    publish(&mut client, "plant.t1", 0..150);
    let job = Job::new(&pipeline(&server, ""));
    let run = job.start();
    wait_for_messages(&server, "OUT", 100);
    run.wait_for("maximum messages exceeded");
    client.request("$JS.API.STREAM.UPDATE.OUT", &options(1000)).expect("an answer");
    wait_for_messages(&server, "OUT", 150);
    run.stop().success();
    assert_eq!(messages(&server, "OUT"), 150, "what was stored before is not stored again");
}
