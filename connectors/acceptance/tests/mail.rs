//! The connector `mail` against a mail server that keeps all mails.

use std::io::Write as _;

use tidemill_acceptance::mail::{Encryption, HANG_UP};
use tidemill_acceptance::{Authority, Job, Mail, MailSink};

const ALERTS: &str = "time,sensor,state,rule,column,value,side,threshold\n\
    2026-01-01T00:00:00Z,m1,raised,hot,temp,91.5,above,80\n\
    2026-01-01T00:01:00Z,mü,cleared,hot,temp,70,above,80\n\
    2026-01-01T00:02:00Z,m3,raised,cold,temp,-5,below,0\n";

fn job(port: u16, options: &str) -> Job {
    let job = Job::new(&format!(
        "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 'time'\nsensor = 'sensor'\nmeasurements = ['value', 'threshold']\n\
         [[sink]]\ntype = 'mail'\nserver = 'localhost'\nport = {port}\nsender = 'Plant 3 <alerts@example.com>'\nto = ['ops@example.com', 'boss@example.com']\n{options}\n"
    ));
    job.write("in.csv", ALERTS);
    job.write("password", "planted-4711");
    job
}

fn header<'m>(mail: &'m Mail, name: &str) -> &'m str {
    let line = mail.text.lines().find(|line| line.starts_with(name));
    line.unwrap_or_else(|| panic!("{name} in {}", mail.text))
}

/// A job that reads its file as it grows.
fn followed(port: u16, options: &str) -> Job {
    let job = job(port, &format!("security = 'none'\n{options}"));
    let pipeline = job.read("pipeline.toml").replace("path = 'in.csv'", "path = 'in.csv'\nfollow = true");
    job.write("pipeline.toml", &pipeline);
    job
}

/// One more alert, of this sensor.
fn append(job: &Job, sensor: &str) {
    let mut file = std::fs::File::options().append(true).open(job.path("in.csv")).expect("a file");
    writeln!(file, "2026-01-02T00:00:00Z,{sensor},raised,hot,temp,99,above,80").expect("written");
}

#[test]
fn each_alert_is_a_mail_of_its_own() {
    let server = MailSink::start();
    let said =
        job(server.port(), "security = 'none'\nsubject = '{rule} of {sensor}'").start().wait().success();
    assert!(said.contains("at least once"), "{said}");
    let mails = server.wait_for(3);
    assert_eq!(mails.len(), 3);
    assert_eq!(
        (&*mails[0].from, &*mails[0].to),
        ("alerts@example.com", &["ops@example.com".to_owned(), "boss@example.com".to_owned()][..])
    );
    assert_eq!(header(&mails[0], "Subject:"), "Subject: hot of m1");
    assert!(header(&mails[1], "Subject:").contains("=?utf-8?"), "{}", mails[1].text);
    assert!(
        mails[0].text.contains("hot: temp of m1 is 91.5 at 2026-01-01T00:00:00Z, above 80"),
        "{}",
        mails[0].text
    );
    let ids: Vec<&str> = mails.iter().map(|mail| header(mail, "Message-ID:")).collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0].contains("@example.com"), "{ids:?}");
}

#[test]
fn beyond_the_limit_alerts_are_gathered_into_one() {
    let server = MailSink::start();
    let said = job(server.port(), "security = 'none'\nmost = 2\nper = '1h'").start().wait().success();
    let mails = server.wait_for(2);
    assert_eq!(mails.len(), 2);
    assert!(mails[1].text.contains("(and 1 more)") && mails[1].text.contains("m3"), "{}", mails[1].text);
    assert!(said.contains("2 messages were gathered in 1 mails"), "{said}");
}

#[test]
fn connections_are_encrypted_before_anybody_logs_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path());
    let login = "user = 'me'\npassword = { file = 'password' }";
    for (how, security) in [(Encryption::StartTls, "starttls"), (Encryption::Implicit, "tls")] {
        let server = MailSink::start_tls(&authority.server(), how);
        let ca = format!("ca = '{}'", authority.certificate().display());
        let said =
            job(server.port(), &format!("security = '{security}'\n{ca}\n{login}")).start().wait().success();
        assert!(!said.contains("planted-4711"), "{said}");
        let mails = server.wait_for(3);
        assert!(mails.iter().all(|mail| mail.is_encrypted && mail.login.is_some()), "{mails:?}");
        let said = job(server.port(), &format!("security = '{security}'\n{login}")).start().wait().failure();
        assert!(said.contains("its issuer is not trusted"), "{said}");
    }
    let expired = MailSink::start_tls(&authority.expired_server(), Encryption::Implicit);
    let ca = format!("ca = '{}'", authority.certificate().display());
    let said = job(expired.port(), &format!("security = 'tls'\n{ca}")).start().wait().failure();
    assert!(said.contains("it has expired"), "{said}");
    // A server that does not encrypt is not told the password.
    let plain = MailSink::start();
    let said = job(plain.port(), login).start().wait().failure();
    assert!(said.contains("STARTTLS") && plain.mails().is_empty(), "{said}");
}

#[test]
fn what_may_pass_is_tried_again_and_what_will_not_ends_the_run() {
    let mut server = MailSink::start();
    server.answer("RCPT", "450 4.2.1 later");
    let port = server.port();
    let job_of = |options: &str| job(port, &format!("security = 'none'\n{options}"));
    let retried = job_of("");
    let run = retried.start();
    run.wait_for("later");
    server.answer("RCPT", "");
    run.wait().success();
    assert_eq!(server.wait_for(3).len(), 3);
    server.answer("RCPT", "550 5.1.1 no such user");
    let said = job_of("").start().wait().failure();
    assert!(said.contains("no such user") && said.contains("check `sender` and `to`"), "{said}");
    server.answer("RCPT", "");
    server.answer("AUTH", "535 5.7.8 wrong");
    let said = job_of("user = 'me'\npassword = { file = 'password' }").start().wait().failure();
    assert!(said.contains("check `user` and `password`") && !said.contains("planted-4711"), "{said}");
    server.answer("AUTH", "");
    server.kill();
    let retried = job_of("");
    let run = retried.start();
    run.wait_for("retrying");
    server.restart();
    run.wait().success();
    assert_eq!(server.wait_for(6).len(), 6);
}

#[test]
fn a_mail_that_is_refused_holds_up_no_other() {
    let server = MailSink::start();
    server.refuse("cold");
    let said = job(server.port(), "security = 'none'").start().wait().failure();
    assert!(said.contains("not that") && server.mails().len() == 2, "{said}");
    let dropping = followed(server.port(), "on_failure = 'drop'");
    let run = dropping.start();
    assert_eq!(server.wait_for(4).len(), 4);
    append(&dropping, "m4");
    let mails = server.wait_for(5);
    assert!(mails[4].text.contains("hot: temp of m4"), "{}", mails[4].text);
    let said = run.stop().success();
    assert!(said.contains("3 records in 1 epochs were dropped, since they had been refused"), "{said}");
}

#[test]
fn with_wait_a_mail_that_is_refused_is_sent_once_it_is_not() {
    let server = MailSink::start();
    server.answer("RCPT", "550 5.1.1 no such user");
    let job = job(server.port(), "security = 'none'\non_failure = 'wait'\nbreaker = { open = '100ms' }");
    let run = job.start();
    run.wait_for("no such user");
    server.answer("RCPT", "");
    run.wait().success();
    assert_eq!(server.wait_for(3).len(), 3);
}

#[test]
fn a_server_that_goes_away_in_the_middle_of_a_mail_gets_it_again() {
    let server = MailSink::start();
    // Before the text, and after it: then nobody knows whether it was taken.
    for (at, count) in [("DATA", 3), (".", 6)] {
        server.answer(at, HANG_UP);
        let job = job(server.port(), "security = 'none'");
        let run = job.start();
        run.wait_for("retrying");
        server.answer(at, "");
        run.wait().success();
        assert_eq!(server.wait_for(count).len(), count);
    }
}

#[test]
fn what_waits_survives_a_kill_and_a_run_that_is_killed_sends_no_more_for_it() {
    let server = MailSink::start();
    let job = followed(server.port(), "most = 2\nper = '1h'");
    let run = job.start();
    // The second one has all that is left.
    assert_eq!(server.wait_for(2).len(), 2);
    append(&job, "m4");
    let file = || {
        let files = std::fs::read_dir(job.path("state")).expect("a folder").flatten();
        let texts = files.filter(|file| file.file_name().to_string_lossy().starts_with("mail-"));
        texts.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect::<String>()
    };
    let begun = std::time::Instant::now();
    while !file().contains("m4") {
        assert!(begun.elapsed().as_secs() < 60, "{}", file());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    run.kill();
    let run = job.start();
    append(&job, "m5");
    while !file().contains("m5") {
        assert!(begun.elapsed().as_secs() < 60, "{}", file());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    run.stop().success();
    // A run that resumes sends it.
    assert!(file().contains("m4") && file().contains("m5"), "{}", file());
    assert_eq!(server.mails().len(), 2);
}

#[test]
fn messages_that_wait_and_cannot_be_sent_are_told_of() {
    let server = MailSink::start();
    let login = "user = 'me'\npassword = { file = 'password' }";
    let job = followed(server.port(), &format!("most = 1\nper = '8s'\n{login}"));
    let run = job.start();
    assert_eq!(server.wait_for(1).len(), 1);
    server.answer("AUTH", "535 5.7.8 wrong");
    append(&job, "m4");
    run.wait_for("messages that wait cannot be sent");
    server.answer("AUTH", "");
    run.wait_for("messages that had waited are sent again");
    let said = run.stop().success();
    assert!(said.contains("check `user` and `password`") && !said.contains("planted-4711"), "{said}");
    assert_eq!(server.mails().len(), 2);
}

#[test]
fn mistakes_are_found_before_the_run() {
    for (options, why) in [
        ("subject = '{rul}'", "there is no column `rul`"),
        ("user = 'me'", "belong together"),
        ("most = 0", "`most` is 0"),
        ("per = 'soon'", "`per`"),
        ("ca = 'none.pem'", "none.pem"),
        ("security = 'none'\nca = 'none.pem'", "`ca` has no meaning"),
    ] {
        let said = job(1, options).command(&["validate", "pipeline.toml"]).failure();
        assert!(said.contains(why), "{options}: {said}");
    }
    let exposed = job(1, "security = 'none'\nuser = 'me'\npassword = 'x'");
    let pipeline = exposed
        .read("pipeline.toml")
        .replace("'localhost'", "'mail.example.com'")
        .replace("ops@example.com", "ops");
    exposed.write("pipeline.toml", &pipeline);
    let said = exposed.command(&["validate", "pipeline.toml"]).failure();
    assert!(said.contains("must not be sent over a connection that is not encrypted"), "{said}");
}
