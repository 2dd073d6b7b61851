//! What stores answer, or do not answer, and what a run makes of it. The library passes some answers on as text alone: here is what shows that an update of it has other texts.

use super::misbehaving::{Store, misbehaving, misbehaving_at, of};
use super::{RUN, pipeline, readings, run};

use std::time::{Duration, Instant};

use tidemill_acceptance::authority::Authority;
use tidemill_acceptance::http::Request;
use tidemill_acceptance::server::s3;
use tidemill_acceptance::{Answer, HttpSink, Job};

/// A job that reads an object, and one that writes it.
fn jobs() -> [Job; 2] {
    [("s3://bkt/in.csv", "out.csv"), ("in.csv", "s3://bkt/out.csv")].map(|(source, sink)| {
        let (source, sink) =
            (format!("type = 'csv'\npath = '{source}'"), format!("type = 'csv'\npath = '{sink}'"));
        let job = Job::new(&pipeline(&source, &sink));
        job.write("in.csv", &readings(1_000, ','));
        job
    })
}

fn xml(code: &str) -> String {
    format!("<Error><Code>{code}</Code><Message>That is why.</Message></Error>")
}

#[test]
fn each_answer_has_its_outcome() {
    for (status, code, expected) in [
        (400, "InvalidRequest", &["400", "InvalidRequest"][..]),
        (400, "ExpiredToken", &["the credentials have expired", "AWS_SESSION_TOKEN"]),
        (403, "RequestExpired", &["the credentials have expired"]),
        (403, "AccessDenied", &["403", "AccessDenied", "AWS_ACCESS_KEY_ID"]),
        (404, "NoSuchBucket", &["the bucket does not exist"]),
        (301, "PermanentRedirect", &["AWS_REGION"]),
    ] {
        let server = HttpSink::start();
        // An answer to HEAD has no code.
        server.answer_by(move |request| match request.method.as_str() {
            "HEAD" => Answer::status(404),
            _ => Answer::status(status).with_body(xml(code)),
        });
        let [_, writes] = jobs();
        let said = run(&writes, s3(server.port()), &RUN).failure();
        assert!(expected.iter().all(|text| said.contains(text)), "{status} {code}: {said}");
    }
    let [reads, _] = jobs();
    let variables: Vec<_> = s3(1).into_iter().filter(|(name, _)| *name != "AWS_ALLOW_HTTP").collect();
    let said = run(&reads, variables, &RUN).failure();
    assert!(said.contains("AWS_ALLOW_HTTP=true"), "{said}");
}

/// S3 answers a request that takes long before it knows whether it succeeds.
#[test]
fn a_success_with_an_error_in_it_is_an_error() {
    let write = |completions: Vec<Answer>| {
        let (server, store) = misbehaving(Store { completions, ..Store::default() });
        let [_, writes] = jobs();
        // More than one part.
        writes.write("in.csv", &readings(300_000, ','));
        (run(&writes, s3(server.port()), &RUN), store)
    };
    let answer = |code: &str| Answer::status(200).with_body(xml(code));
    let (ended, store) = write(vec![answer("InternalError"), answer("SlowDown")]);
    ended.success();
    let lines = store.lock().expect("no panic").objects["/bkt/out.csv"]
        .0
        .iter()
        .filter(|byte| **byte == b'\n')
        .count();
    assert_eq!(lines, 300_001, "it was completed again");
    let (ended, store) = write(vec![answer("RequestTimeout")]);
    let said = ended.failure();
    assert!(said.contains("not one of its protocol") && said.contains("s3://bkt/out.csv"), "{said}");
    assert!(store.lock().expect("no panic").objects.is_empty());
}

#[test]
fn credentials_that_expire_while_an_object_is_read_are_an_error_that_says_so() {
    let (server, store) = misbehaving(Store {
        objects: of("/bkt/in.csv", readings(300_000, ',').as_bytes()),
        has_tags: true,
        ..Store::default()
    });
    let shared = std::sync::Arc::clone(&store);
    let mut count = 0;
    server.answer_by(move |request: &Request| {
        count += 1;
        match count {
            1..=2 => shared.lock().expect("no panic").answer(request),
            _ => Answer::status(400).with_body(xml("ExpiredToken")),
        }
    });
    let [reads, _] = jobs();
    let said = run(&reads, s3(server.port()), &RUN).failure();
    assert!(said.contains("the credentials have expired") && said.contains("s3://bkt/in.csv"), "{said}");
    assert!(!reads.path("out.csv").exists(), "nothing is published");
}

/// Bodies that end early, connections that are closed, and requests that nobody answers.
#[test]
fn what_is_lost_on_the_way_is_sent_again() {
    let text = readings(1_000, ',');
    for has_tags in [true, false] {
        let (server, store) =
            misbehaving(Store { objects: of("/bkt/in.csv", text.as_bytes()), has_tags, ..Store::default() });
        let shared = std::sync::Arc::clone(&store);
        let mut count = 0;
        server.answer_by(move |request: &Request| {
            count += 1;
            let answer = || shared.lock().expect("no panic").answer(request);
            match (count, request.method.as_str()) {
                (1, _) => Answer::close(),
                (3, "GET") => answer().cut_after(1_000),
                (4, "GET") | (6, "PUT") => Answer::hang(),
                (7, "PUT") => Answer::close(),
                _ => answer(),
            }
        });
        let sink = "type = 'csv'\npath = 's3://bkt/out.csv'";
        let job = Job::new(&pipeline("type = 'csv'\npath = 's3://bkt/in.csv'", sink));
        let mut variables = s3(server.port()).to_vec();
        variables.push(("AWS_TIMEOUT", "1s".into()));
        run(&job, variables, &RUN).success();
        let written = store.lock().expect("no panic").objects["/bkt/out.csv"].0.clone();
        assert_eq!(written.iter().filter(|byte| **byte == b'\n').count(), 1_001);
    }
}

#[test]
fn a_run_that_waits_for_a_store_ends_soon_after_a_stop() {
    for path in ["in.csv", "*.csv"] {
        let (server, store) = misbehaving(Store {
            objects: of("/bkt/in.csv", readings(1_000_000, ',').as_bytes()),
            has_tags: true,
            ..Store::default()
        });
        let shared = std::sync::Arc::clone(&store);
        let mut count = 0;
        server.answer_by(move |request: &Request| {
            count += 1;
            // It goes away while the object is read ahead; a list it never answers.
            let is_gone = count > 3 || request.path.contains("list-type");
            if is_gone { Answer::hang() } else { shared.lock().expect("no panic").answer(request) }
        });
        let source = format!("type = 'csv'\npath = 's3://bkt/{path}'");
        let job = Job::new(&pipeline(&source, "type = 'csv'\npath = 'out.csv'"));
        let variables = s3(server.port());
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let run = job.spawn(&variables, &RUN);
        server.wait_for(if path == "in.csv" { 4 } else { 1 });
        let begun = Instant::now();
        run.interrupt();
        let said = run.wait().failure();
        // A request takes 30 seconds, and is sent again for three minutes.
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}: {said}", begun.elapsed());
        assert!(!job.path("out.csv").exists());
    }
}

#[test]
fn a_certificate_that_is_not_accepted_is_an_error_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path());
    let store = || Store { objects: of("/bkt/in.csv", readings(1_000, ',').as_bytes()), ..Store::default() };
    let trusted = authority.certificate().display().to_string();
    for (identity, is_trusted, is_accepted) in [
        (authority.server(), true, true),
        (authority.server(), false, false),
        (authority.other_server(), true, false),
        (authority.expired_server(), true, false),
    ] {
        let (server, _store) = misbehaving_at(HttpSink::start_tls(&identity), store());
        let mut variables = s3(server.port()).to_vec();
        variables.retain(|(name, _)| *name != "AWS_ALLOW_HTTP");
        variables.push(("AWS_ENDPOINT_URL", server.url()));
        if is_trusted {
            variables.push(("SSL_CERT_FILE", trusted.clone()));
        }
        let [reads, _] = jobs();
        let begun = Instant::now();
        let ended = run(&reads, variables, &RUN);
        if is_accepted {
            ended.success();
            continue;
        }
        let said = ended.failure();
        assert!(said.contains("certificate") && said.contains("SSL_CERT_FILE"), "{said}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}
