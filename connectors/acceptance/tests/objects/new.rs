//! Rolled objects replace none, whoever writes at the same time.

use super::misbehaving::{Store, misbehaving, of};
use super::{pipeline, readings, run, walk};

use std::io::Write as _;
use std::time::{Duration, Instant};

use tidemill_acceptance::server::s3;
use tidemill_acceptance::{Answer, Job, Moto};

/// A run with a state folder, whose checkpoint is its last one.
const KEPT: [&str; 8] =
    ["run", "pipeline.toml", "--progress", "never", "--state", "state", "--checkpoint-every", "1h"];

/// Files up to 8 MiB are one request, larger ones have parts: so many records of each.
const SIZES: [usize; 2] = [100, 300_000];

/// A job that rolls `records` readings to one object; their values end with `value`.
fn rolling(records: usize, value: &str) -> Job {
    let sink = "type = 'csv'\npath = 's3://bkt/{epoch}.csv'\nroll = { size = '1GiB' }";
    let job = Job::new(&pipeline("type = 'csv'\npath = 'in.csv'", sink));
    job.write("in.csv", &readings(records, ',').replace(".5\n", value));
    job
}

#[test]
fn of_two_runs_to_one_address_the_second_is_refused_though_both_have_looked() {
    for records in SIZES {
        let (server, store) = misbehaving(Store { has_tags: true, is_blind: true, ..Store::default() });
        let (first, second) = (rolling(records, ".25\n"), rolling(records, ".75\n"));
        run(&first, s3(server.port()), &KEPT).success();
        let written = store.lock().expect("no panic").objects.clone();
        assert_eq!(written.len(), 1);
        let said = run(&second, s3(server.port()), &KEPT).failure();
        assert!(said.contains("another file has that name"), "{said}");
        assert!(store.lock().expect("no panic").objects == written, "nothing is replaced");
        // Once it is moved away, the run goes on.
        store.lock().expect("no panic").objects.clear();
        run(&second, s3(server.port()), &KEPT).success();
        let (name, _) = written.first_key_value().expect("an object");
        let bytes = store.lock().expect("no panic").objects[name].0.clone();
        assert_eq!(String::from_utf8(bytes).expect("UTF-8").matches(".75\n").count(), records);
    }
}

#[test]
fn an_object_whose_upload_had_no_answer_is_found_to_be_there() {
    for records in SIZES {
        let (server, store) = misbehaving(Store { has_tags: true, ..Store::default() });
        let job = rolling(records, ".25\n");
        run(&job, s3(server.port()), &KEPT).success();
        let written = store.lock().expect("no panic").objects.clone();
        // As if the run had been killed before it noted that, or the answer had been lost.
        let again = rolling(records, ".25\n");
        store.lock().expect("no panic").is_blind = true;
        run(&again, s3(server.port()), &KEPT).success();
        assert!(store.lock().expect("no panic").objects == written);
    }
}

#[test]
fn a_store_that_does_not_tell_is_not_taken_for_empty() {
    let (server, store) = misbehaving(Store {
        objects: of("/bkt/0000000001.csv", b"another's"),
        has_tags: true,
        ..Store::default()
    });
    let job = rolling(SIZES[1], ".25\n");
    let shared = std::sync::Arc::clone(&store);
    server.answer_by(move |request| match request.method.as_str() {
        "HEAD" => Answer::status(403),
        "GET" => Answer::status(200).with_body("<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>"),
        _ => {
            shared.lock().expect("no panic").objects.clear();
            Answer::status(200)
        }
    });
    let said = run(&job, s3(server.port()), &KEPT).failure();
    assert!(said.contains("403"), "{said}");
    assert_eq!(store.lock().expect("no panic").objects.len(), 1, "nothing is written");
}

/// An object that appears after the run has looked, and before it uploads.
#[test]
fn a_real_store_refuses_what_would_replace_an_object() {
    for (records, size) in [(10_000, "100KiB"), (300_000, "9MiB")] {
        let moto = Moto::start();
        let sink = format!("type = 'csv'\npath = 's3://bkt/{{epoch}}.csv'\nroll = {{ size = '{size}' }}");
        let job = Job::new(&pipeline("type = 'csv'\npath = 'in.csv'\nfollow = true", &sink));
        let all = readings(records, ',');
        let (begin, rest) = all.split_at(all.match_indices('\n').nth(10).expect("lines").0 + 1);
        job.write("in.csv", begin);
        let variables = moto.variables();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let run = job.spawn(&variables, &KEPT);
        let begun = Instant::now();
        while walk(&job.path("state/staged")).is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", run.said());
            std::thread::sleep(Duration::from_millis(20));
        }
        let names: Vec<_> = (1..6).map(|epoch| format!("{epoch:010}.csv")).collect();
        names.iter().for_each(|name| moto.put(name, b"another's"));
        let mut file = std::fs::File::options().append(true).open(job.path("in.csv")).expect("a file");
        file.write_all(rest.as_bytes()).expect("written");
        let said = run.wait().failure();
        assert!(said.contains("another file has that name"), "{said}");
        names.iter().for_each(|name| assert!(moto.get(name) == b"another's", "{name}"));
        assert_eq!(moto.unfinished_uploads(), 0);
    }
}
