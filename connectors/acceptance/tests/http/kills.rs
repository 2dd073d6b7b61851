//! Kills at random moments: no record that was answered with success is lost, and none that a server still has.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tidemill_acceptance::{Answer, HttpSink, Job};

use crate::common::{chance, free_port, rows, send, to_file, variable};

#[test]
fn what_was_answered_is_there_after_any_kills() {
    let kills = variable("TIDEMILL_KILLS").unwrap_or(5);
    let (port, mut next) = (free_port(), chance());
    let job =
        Job::new(&to_file(port, "payload = 'csv'\nnames = ['s', 'n']\nsensor = 's'\nmeasurements = ['n']"));
    let is_over = AtomicBool::new(false);
    let (sent, again) = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let (mut sent, mut again) = (0_u64, 0_u64);
            while !is_over.load(Ordering::Relaxed) {
                // Ten records at once, until they are accepted.
                let body: String = (sent..sent + 10).map(|n| format!("m{},{n}\n", n % 3)).collect();
                match send(port, "POST", "/ingest", &[], body.as_bytes()) {
                    Ok(answered) if answered.status == 200 => sent += 10,
                    _ => {
                        again += 1;
                        thread::sleep(Duration::from_millis(5));
                    }
                }
            }
            (sent, again)
        });
        for _ in 0..kills {
            let run = job.start();
            thread::sleep(Duration::from_millis(300 + next(700)));
            run.kill();
        }
        let run = job.start();
        thread::sleep(Duration::from_millis(700));
        is_over.store(true, Ordering::Relaxed);
        let counts = sender.join().expect("the sender");
        run.stop().success();
        counts
    });
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    let numbers = numbers(&job);
    let distinct: BTreeSet<u64> = numbers.iter().copied().collect();
    println!("{sent} records in {again} repeated attempts, {} repeated", numbers.len() - distinct.len());
    assert!(sent > 0 && (0..sent).all(|n| distinct.contains(&n)), "none is lost");
    assert!(distinct.len() as u64 <= sent + 10, "none was made up");
}

/// The numbers in the output.
fn numbers(job: &Job) -> Vec<u64> {
    let number = |row: &String| row.rsplit(',').next().expect("a number").parse().expect("a number");
    rows(job, "out.csv").iter().map(number).collect()
}

/// Runs a pipeline from this source to a file, kills it at random moments, lets it finish in order, and returns the numbers in the output.
fn killed(source: &str) -> Vec<u64> {
    let kills = variable("TIDEMILL_KILLS").unwrap_or(5);
    let mut next = chance();
    let job = Job::new(&format!(
        "[source]\n{source}\npayload = 'json'\nsensor = 's'\nmeasurements = ['n']\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n"
    ));
    for _ in 0..kills {
        let run = job.start();
        thread::sleep(Duration::from_millis(300 + next(700)));
        run.kill();
    }
    let run = job.start();
    thread::sleep(Duration::from_millis(700));
    run.stop().success();
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    numbers(&job)
}

#[test]
fn what_a_polled_server_still_has_is_there_after_any_kills() {
    let (server, served) = (HttpSink::start(), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&served);
    server.answer_by(move |_| {
        // One more record each time, and the last hundred.
        let last = count.fetch_add(1, Ordering::SeqCst);
        let record = |n: u64| format!("{{\"s\":\"a\",\"n\":{n}}}");
        let records: Vec<String> = (last.saturating_sub(99)..=last).map(record).collect();
        Answer::status(200)
            .with_header("etag", &format!("\"{last}\""))
            .with_body(format!("[{}]", records.join(",")))
    });
    let numbers = killed(&format!("type = 'poll'\nurls = ['{}/x']\nevery = '10ms'", server.url()));
    let (distinct, served) =
        (numbers.iter().copied().collect::<BTreeSet<u64>>(), served.load(Ordering::SeqCst));
    println!(
        "{served} answers, {} records, {} of them repeated",
        numbers.len(),
        numbers.len() - distinct.len()
    );
    // An answer that is on its way when the run ends is not read.
    assert!(served > 10 && (0..served - 1).all(|n| distinct.contains(&n)), "none is lost");
    assert!(distinct.len() as u64 <= served, "none was made up");
}

#[test]
fn events_go_on_behind_the_last_one_after_any_kills() {
    let server = HttpSink::start();
    server.answer_by(|request| {
        let last = request.header("last-event-id").map_or(0, |id| id.parse::<u64>().expect("an identifier"));
        let event = |n: u64| format!("id: {n}\ndata: {{\"s\":\"a\",\"n\":{n}}}\n\n");
        thread::sleep(Duration::from_millis(2));
        Answer::status(200).with_body((last + 1..=last + 10).map(event).collect::<String>())
    });
    let numbers = killed(&format!("type = 'sse'\nurl = '{}/events'", server.url()));
    println!("{} events", numbers.len());
    assert!(
        numbers.len() > 10 && numbers.iter().copied().eq(1..=numbers.len() as u64),
        "each once, in order"
    );
}
