//! The connector `mail` against a mail server that keeps all mails.

use tidemill_acceptance::mail::Encryption;
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
