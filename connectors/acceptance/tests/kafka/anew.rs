//! Topics and partitions that come, go, and are made anew.

use tidemill_acceptance::{Job, Kafka, Run};

use crate::broker::{Seen, field, numbered, send, shared, topic, wait_for, wait_until};

/// librdkafka looks for changes of topics each second.
const LOOKS: &str = "properties = { 'topic.metadata.refresh.interval.ms' = '1000', 'topic.metadata.propagation.max.ms' = '1000' }";

/// A pipeline that copies the messages of [`numbered`] from these topics.
fn copy(broker: &Kafka, from: &str, to: &str, source: &str) -> String {
    let address = broker.address();
    format!(
        "[source]\ntype = 'kafka'\nbrokers = '{address}'\ntopic = '{from}'\ngroup = 'g-{to}'\npayload = 'json'\n\
         time = 't'\nmeasurements = ['n']\n{LOOKS}\n{source}\n\
         [[sink]]\ntype = 'kafka'\nbrokers = '{address}'\ntopic = '{to}'\n{LOOKS}\n"
    )
}

/// The numbers in messages, sorted.
fn numbers(messages: &[Seen]) -> Vec<u64> {
    let mut numbers: Vec<u64> =
        messages.iter().map(|message| field(message, "n").as_f64().expect("a number") as u64).collect();
    numbers.sort_unstable();
    numbers
}

/// Waits until a run that begins at the end reads what comes: sends one message after another until one arrives, and returns the number of the next.
fn wait_for_end(broker: &Kafka, from: &str, to: &str, run: &Run) -> u64 {
    for n in 1000.. {
        send(broker, from, &numbered(1, n, n + 1), &[]);
        if !crate::broker::read(broker, to).is_empty() {
            wait_for(broker, to, 1, &[run]);
            return n + 1;
        }
        assert!(n < 1500, "nothing arrives: {}", run.said());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    unreachable!("numbers do not end")
}

/// Whatever was sent to a partition after the state began is read, though it begins at the end.
#[test]
fn a_partition_that_is_added_while_nobody_runs_is_read_from_its_beginning() {
    let broker = shared();
    let (from, to) = (topic(broker, "grows", 1), topic(broker, "grown", 1));
    let job = Job::new(&copy(broker, &from, &to, "offset = 'latest'"));
    send(broker, &from, &numbered(1, 0, 5), &[]);
    let run = job.start();
    wait_for_end(broker, &from, &to, &run);
    run.stop().success();
    broker.add_partitions(&from, 2);
    send(broker, &from, &numbered(1, 100, 105), &["-p", "1"]);
    let run = job.start();
    wait_until("the new partition is read", || {
        numbers(&crate::broker::read(broker, &to)).iter().filter(|n| (100..105).contains(*n)).count() == 5
    });
    run.stop().success();
    assert!(numbers(&crate::broker::read(broker, &to)).iter().all(|n| *n >= 100), "it began at the end");
}

#[test]
fn a_topic_that_comes_to_match_during_the_run_is_read_from_its_beginning() {
    let broker = shared();
    let (old, to) = (topic(broker, "matches", 1), topic(broker, "matched", 1));
    let job = Job::new(&copy(broker, &format!("^{old}.*"), &to, "offset = 'latest'"));
    send(broker, &old, &numbered(1, 0, 5), &[]);
    let run = job.start();
    wait_for_end(broker, &old, &to, &run);
    let new = format!("{old}-too");
    broker.create_topic(&new, 1);
    send(broker, &new, &numbered(1, 100, 105), &[]);
    wait_until("the new topic is read", || {
        numbers(&crate::broker::read(broker, &to)).iter().filter(|n| (100..105).contains(*n)).count() == 5
    });
    run.stop().success();
    assert!(numbers(&crate::broker::read(broker, &to)).iter().all(|n| *n >= 100), "it began at the end");
}

#[test]
fn all_partitions_are_read_also_those_that_are_added_during_the_run() {
    let broker = shared();
    let (from, to) = (topic(broker, "all", 1), topic(broker, "copied", 1));
    let job = Job::new(&copy(broker, &from, &to, "partitions = 'all'"));
    send(broker, &from, &numbered(1, 0, 5), &[]);
    let run = job.start();
    run.wait_for("exactly once");
    wait_for(broker, &to, 5, &[&run]);
    broker.add_partitions(&from, 3);
    send(broker, &from, &numbered(1, 5, 10), &["-p", "2"]);
    wait_for(broker, &to, 10, &[&run]);
    run.stop().success();
    send(broker, &from, &numbered(1, 10, 15), &["-p", "1"]);
    let run = job.start();
    let messages = wait_for(broker, &to, 15, &[&run]);
    run.stop().success();
    assert_eq!(numbers(&messages), (0..15).collect::<Vec<_>>());
}

/// A topic of the same name whose messages are others: more of them than were read, or fewer.
#[test]
fn a_topic_that_was_made_anew_ends_the_run_unless_that_is_accepted() {
    let broker = shared();
    for (count, partitions) in [(30, "partitions = 'all'"), (2, "partitions = 'all'"), (30, "")] {
        let (from, to) = (topic(broker, "anew", 1), topic(broker, "read", 1));
        let job = Job::new(&copy(broker, &from, &to, partitions));
        send(broker, &from, &numbered(1, 0, 10), &[]);
        let run = job.start();
        wait_for(broker, &to, 10, &[&run]);
        run.stop().success();
        broker.delete_topic(&from);
        wait_until("the topic can be made anew", || broker.try_create_topic(&from, 1));
        send(broker, &from, &numbered(1, 100, 100 + count), &[]);
        let said = job.start().wait().failure();
        assert!(said.contains("made anew") && said.contains("gaps"), "{said}");
        assert_eq!(crate::broker::read(broker, &to).len(), 10, "nothing of it was read");
        job.write("pipeline.toml", &copy(broker, &from, &to, &format!("{partitions}\ngaps = 'accept'")));
        let run = job.start_with(&["--state", "state", "--checkpoint-every", "50ms", "--accept", "changes"]);
        let messages = wait_for(broker, &to, 10 + count as usize, &[&run]);
        let said = run.stop().success();
        assert!(said.contains("1 partitions were made anew") || count == 2, "{said}");
        assert_eq!(numbers(&messages), (0..10).chain(100..100 + count).collect::<Vec<_>>());
    }
}

/// What was not deleted is still known: a run that resumes at the same topic reads nothing twice.
#[test]
fn a_topic_whose_read_messages_were_deleted_is_read_on() {
    let broker = shared();
    let (from, to) = (topic(broker, "trimmed", 1), topic(broker, "read", 1));
    let job = Job::new(&copy(broker, &from, &to, "partitions = 'all'"));
    send(broker, &from, &numbered(1, 0, 10), &[]);
    let run = job.start();
    wait_for(broker, &to, 10, &[&run]);
    run.stop().success();
    let file = tempfile::NamedTempFile::new().expect("a file");
    let text = format!(r#"{{"partitions":[{{"topic":"{from}","partition":0,"offset":10}}],"version":1}}"#);
    std::fs::write(file.path(), text).expect("written");
    let mut command = Kafka::tool("org.apache.kafka.tools.DeleteRecordsCommand");
    command.args(["--bootstrap-server", &broker.address(), "--offset-json-file"]).arg(file.path());
    assert!(command.output().expect("it runs").status.success());
    send(broker, &from, &numbered(1, 10, 20), &[]);
    let run = job.start();
    let messages = wait_for(broker, &to, 20, &[&run]);
    run.stop().success();
    assert_eq!(numbers(&messages), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_topic_that_is_deleted_during_the_run_ends_it_with_an_error_that_names_it() {
    let broker = shared();
    for (partitions, is_source) in [("", true), ("partitions = 'all'", true), ("partitions = 'all'", false)] {
        let (from, to) = (topic(broker, "leaves", 1), topic(broker, "left", 1));
        let job = Job::new(&copy(broker, &from, &to, partitions));
        send(broker, &from, &numbered(1, 0, 5), &[]);
        let run = job.start();
        wait_for(broker, &to, 5, &[&run]);
        let deleted = if is_source { &from } else { &to };
        broker.delete_topic(deleted);
        if !is_source {
            send(broker, &from, &numbered(1, 5, 10), &[]);
        }
        let said = run.wait().failure();
        assert!(said.contains(deleted.as_str()), "{said}");
        assert!(said.contains("deleted") || said.contains("create the topic"), "{said}");
    }
}
