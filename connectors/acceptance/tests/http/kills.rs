//! Kills at random moments: no record that was answered with success is lost.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tidemill_acceptance::Job;

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
    let rows = rows(&job, "out.csv");
    let numbers: Vec<u64> =
        rows.iter().map(|row| row.rsplit(',').next().expect("a number").parse().expect("a number")).collect();
    let distinct: BTreeSet<u64> = numbers.iter().copied().collect();
    println!("{sent} records in {again} repeated attempts, {} repeated", numbers.len() - distinct.len());
    assert!(sent > 0 && (0..sent).all(|n| distinct.contains(&n)), "none is lost");
    assert!(distinct.len() as u64 <= sent + 10, "none was made up");
}
