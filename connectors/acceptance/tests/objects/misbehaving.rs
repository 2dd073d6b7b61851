//! Stores and web servers that are busy, refuse, change an object meanwhile, or do not answer in ranges; and the store of the other tests.

use super::{RUN, local, pipeline, readings, run};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tidemill_acceptance::http::Request;
use tidemill_acceptance::server::s3;
use tidemill_acceptance::{Answer, HttpSink, Job};

/// A store of these tests: what it has, and how it misbehaves.
#[derive(Default)]
pub(super) struct Store {
    pub(super) objects: BTreeMap<String, (Vec<u8>, u64)>,
    /// Requests to fail before the next that succeeds.
    pub(super) failures: u32,
    pub(super) ignores_ranges: bool,
    pub(super) has_tags: bool,
    /// Replaces each object after so many requests for its content.
    pub(super) replaced_after: Option<u32>,
    /// Answers to what asks for objects, until a write was refused because of one: somebody who has looked just before it was there.
    pub(super) is_blind: bool,
    /// The parts of the upload that goes on.
    pub(super) parts: BTreeMap<u32, Vec<u8>>,
    /// Answers to the next requests that complete uploads.
    pub(super) completions: Vec<Answer>,
}

impl Store {
    /// Puts an object, unless there is one and that is a condition.
    fn put(&mut self, path: String, bytes: Vec<u8>, request: &Request) -> Answer {
        if request.header("if-none-match") == Some("*") && self.objects.contains_key(&path) {
            self.is_blind = false;
            return Answer::status(412).with_body("<Error><Code>PreconditionFailed</Code></Error>");
        }
        self.objects.insert(path, (bytes, 1));
        Answer::status(200).with_header("etag", "\"new\"")
    }

    /// The answer to a request about an upload in parts; `None` if it is about something else.
    fn upload(&mut self, request: &Request) -> Option<Answer> {
        let (path, query) = request.path.split_once('?')?;
        let number = query.split('&').find_map(|pair| pair.strip_prefix("partNumber="));
        match (request.method.as_str(), number) {
            ("POST", _) if query.starts_with("uploads") => {
                self.parts.clear();
                let body =
                    "<InitiateMultipartUploadResult><UploadId>x</UploadId></InitiateMultipartUploadResult>";
                Some(Answer::status(200).with_body(body))
            }
            ("PUT", Some(number)) => {
                self.parts.insert(number.parse().expect("a number"), request.body.clone());
                Some(Answer::status(200).with_header("etag", "\"part\""))
            }
            ("POST", _) if query.contains("uploadId=") => {
                if let Some(answer) = self.completions.pop() {
                    return Some(answer);
                }
                let bytes = self.parts.values().flatten().copied().collect();
                let body = "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>";
                Some(self.put(path.to_owned(), bytes, request).with_body(body))
            }
            ("DELETE", _) => Some(Answer::status(204)),
            _ => None,
        }
    }

    pub(super) fn answer(&mut self, request: &Request) -> Answer {
        if self.failures > 0 {
            self.failures -= 1;
            return Answer::status(503).with_body(
                "<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>",
            );
        }
        if let Some(answer) = self.upload(request) {
            return answer;
        }
        let path = request.path.split('?').next().unwrap_or_default().to_owned();
        if request.method == "PUT" {
            return self.put(path, request.body.clone(), request);
        }
        if path == "/bkt" {
            return Answer::status(200)
                .with_body("<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>");
        }
        let found = self.objects.get(&path).filter(|_| !self.is_blind).cloned();
        let Some((bytes, version)) = found else {
            return Answer::status(404).with_body("<Error><Code>NoSuchKey</Code></Error>");
        };
        let tag = format!("\"v{version}\"");
        let answered = |answer: Answer| if self.has_tags { answer.with_header("etag", &tag) } else { answer };
        if request.header("if-match").is_some_and(|wanted| wanted != tag) {
            return Answer::status(412);
        }
        let range = request.header("range").filter(|_| !self.ignores_ranges);
        let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let Some((from, to)) = range else { return answered(Answer::status(200)).with_body(bytes) };
        let (from, to): (usize, usize) = (from.parse().expect("a number"), to.parse().expect("a number"));
        let to = to.min(bytes.len() - 1);
        let content = format!("bytes {from}-{to}/{}", bytes.len());
        let answer =
            answered(Answer::status(206)).with_header("content-range", &content).with_body(&bytes[from..=to]);
        if let Some(left) = &mut self.replaced_after {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.objects.insert(path, ([&bytes[..], b"\n"].concat(), version + 1));
            }
        }
        answer
    }
}

/// Starts the store.
pub(super) fn misbehaving(store: Store) -> (HttpSink, Arc<Mutex<Store>>) {
    misbehaving_at(HttpSink::start(), store)
}

/// Answers at `server` as the store does.
pub(super) fn misbehaving_at(server: HttpSink, store: Store) -> (HttpSink, Arc<Mutex<Store>>) {
    let store = Arc::new(Mutex::new(store));
    let shared = Arc::clone(&store);
    server.answer_by(move |request| shared.lock().expect("no panic").answer(request));
    (server, store)
}

pub(super) fn of(path: &str, bytes: &[u8]) -> BTreeMap<String, (Vec<u8>, u64)> {
    BTreeMap::from([(path.to_owned(), (bytes.to_vec(), 1))])
}

#[test]
fn a_store_that_is_busy_is_asked_again() {
    let text = readings(1_000, ',');
    let store = Store {
        objects: of("/bkt/in.csv", text.as_bytes()),
        failures: 4,
        has_tags: true,
        ..Store::default()
    };
    let (server, store) = misbehaving(store);
    let job = Job::new(&pipeline(
        "type = 'csv'\npath = 's3://bkt/in.csv'",
        "type = 'csv'\npath = 's3://bkt/out.csv'",
    ));
    run(&job, s3(server.port()), &RUN).success();
    assert_eq!(
        store.lock().expect("no panic").objects["/bkt/out.csv"]
            .0
            .iter()
            .filter(|byte| **byte == b'\n')
            .count(),
        1_001
    );
    // It stays busy: an error that says what the store says, and no secret.
    store.lock().expect("no panic").failures = u32::MAX;
    let said = run(&job, s3(server.port()), &RUN).failure();
    assert!(said.contains("s3://bkt/in.csv") && said.contains("503"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn an_object_that_is_replaced_while_it_is_read_ends_the_run() {
    for has_tags in [true, false] {
        // Several blocks; without tags, another length is what shows it.
        let objects = of("/bkt/in.csv", readings(300_000, ',').as_bytes());
        let store = Store { objects, has_tags, replaced_after: Some(2), ..Store::default() };
        let (server, _store) = misbehaving(store);
        let job = Job::new(&pipeline(
            &format!(
                "type = 'csv'\npath = '{}bkt/in.csv'",
                if has_tags { "s3://".to_owned() } else { format!("http://127.0.0.1:{}/", server.port()) }
            ),
            "type = 'csv'\npath = 'out.csv'",
        ));
        let said = run(&job, s3(server.port()), &RUN).failure();
        assert!(said.contains("input changed while reading"), "{said}");
        assert!(!job.path("out.csv").exists(), "nothing is published");
    }
}

#[test]
fn a_refused_key_says_which_variables_to_check_and_shows_none() {
    let server = HttpSink::start();
    let body = "<Error><Code>SignatureDoesNotMatch</Code><Message>Check your key.</Message><StringToSign>signed</StringToSign></Error>";
    server.answer_by(move |_| Answer::status(403).with_body(body));
    for (source, sink) in
        [("s3://bkt/in.csv", "out.csv"), ("s3://bkt/*.csv", "out.csv"), ("in.csv", "s3://bkt/out.csv")]
    {
        let job = Job::new(&pipeline(
            &format!("type = 'csv'\npath = '{source}'"),
            &format!("type = 'csv'\npath = '{sink}'"),
        ));
        job.write("in.csv", &readings(10, ','));
        for arguments in [&RUN[..], &["doctor", "pipeline.toml"]] {
            let mut variables = s3(server.port()).to_vec();
            variables.push(("AWS_SESSION_TOKEN", "hunter2too".into()));
            let ended = run(&job, variables, arguments);
            assert!(!ended.said.contains("hunter2") && !ended.said.contains("signed"), "{}", ended.said);
            if arguments == &RUN[..] {
                let said = ended.failure();
                assert!(said.contains("403") && said.contains("AWS_SECRET_ACCESS_KEY"), "{source}: {said}");
            }
        }
    }
}

#[test]
fn a_web_server_is_read_if_it_answers_in_ranges() {
    let text = readings(200_000, ',');
    let (server, store) =
        misbehaving(Store { objects: of("/data/x%20y.csv", text.as_bytes()), ..Store::default() });
    let source = format!("type = 'csv'\npath = '{}/data/x%20y.csv'", server.url());
    let job = Job::new(&pipeline(&source, "type = 'csv'\npath = 'again'"));
    job.write("in.csv", &text);
    let expected = local(&job, "type = 'csv'\npath = 'in.csv'", "type = 'csv'\npath = 'out'");
    let none: [(&str, String); 0] = [];
    run(&job, none.clone(), &RUN).success();
    assert!(job.read("again").into_bytes() == expected);
    store.lock().expect("no panic").ignores_ranges = true;
    let said = run(&job, none.clone(), &RUN).failure();
    assert!(said.contains("ranges") && said.contains("download"), "{said}");
    for (path, what) in [
        (format!("{}/data/*.csv", server.url()), "does not list"),
        (format!("{}/nothing.csv", server.url()), "there is no file"),
        (format!("http://user:hunter2@{}/x.csv", server.address()), "credentials"),
        (format!("{}/x.csv?key=hunter2", server.url()), "query"),
    ] {
        job.write(
            "pipeline.toml",
            &pipeline(&format!("type = 'csv'\npath = '{path}'"), "type = 'csv'\npath = 'again'"),
        );
        let said = run(&job, none.clone(), &RUN).failure();
        assert!(said.contains(what) && !said.contains("hunter2"), "{path}: {said}");
    }
    job.write(
        "pipeline.toml",
        &pipeline("type = 'csv'\npath = 'in.csv'", &format!("type = 'csv'\npath = '{}/x.csv'", server.url())),
    );
    let said = run(&job, none, &["validate", "pipeline.toml"]).failure();
    assert!(said.contains("not written"), "{said}");
}
