//! Certificates and logins.

use tidemill_acceptance::proxy::Proxy;
use tidemill_acceptance::server::OpcUaOptions;
use tidemill_acceptance::{Job, OpcUa};

use crate::common::{BEGIN, doctor, good, pipeline, records, start, through, until};

#[test]
fn certificates_are_checked_and_each_check_is_named() {
    let protected = OpcUaOptions { is_protected: true, history: 10, ..OpcUaOptions::default() };
    let server = OpcUa::start_with(&protected);
    let elsewhere = OpcUa::start_with(&OpcUaOptions { host: "elsewhere.test".into(), ..protected });
    let with = |server: &OpcUa, trusted: &OpcUa, security: &str, more: &str| {
        let options = format!(
            "nodes = ['ns=2;s=Line1.Temperature']\nhistory = {{ from = '2026-01-01', to = '2026-01-02' }}\n\
             security = '{security}'\ncertificate = 'own/client.der'\nkey = 'own/client.pem'\n\
             server_certificate = '{}'\n{more}",
            trusted.certificate().display()
        );
        Job::new(&pipeline(&server.url(), &options))
    };
    for (security, server, more) in [
        ("sign_and_encrypt", &server, ""),
        ("sign", &server, "policy = 'Basic256Sha256'"),
        ("sign", &elsewhere, "verify_host = false"),
    ] {
        let job = with(server, server, security, more);
        start(&job).wait().success();
        assert_eq!(records(&job).len(), 10, "{security}");
        assert!(job.path("own/client.pem").exists());
        let said = doctor(&job);
        assert!(said.contains("Basic256Sha256") && said.contains("1 variables"), "{said}");
    }
    for (job, check) in [
        (with(&server, &elsewhere, "sign", ""), "it is not the one in `server_certificate`"),
        (with(&elsewhere, &elsewhere, "sign", ""), "it is not made for the host localhost"),
    ] {
        for said in [start(&job).wait().failure(), doctor(&job)] {
            assert!(said.contains("the server's certificate was refused") && said.contains(check), "{said}");
        }
    }
    let said = start(&with(&server, &server, "sign", "policy = 'Aes256_Sha256_RsaPss'")).wait().failure();
    assert!(said.contains("Basic256Sha256 (sign)"), "{said}");
    let plain = Job::new(&pipeline(&server.url(), "nodes = ['Objects/**']"));
    let said = start(&plain).wait().failure();
    assert!(said.contains("no endpoint") && said.contains("sign_and_encrypt"), "{said}");
}

#[test]
fn a_login_that_is_refused_says_so_and_keeps_the_password() {
    let user = Some(("plant".to_owned(), "right".to_owned()));
    let server = OpcUa::start_with(&OpcUaOptions { user, history: 10, ..OpcUaOptions::default() });
    let with = |login: &str| {
        let history = "history = { from = '2026-01-01', to = '2026-01-02' }";
        Job::new(&pipeline(
            &server.url(),
            &format!("nodes = ['ns=2;s=Line1.Temperature']\n{history}\n{login}"),
        ))
    };
    let job = with("user = 'plant'\npassword = 'right'");
    start(&job).wait().success();
    assert_eq!(records(&job).len(), 10);
    let job = with("user = 'plant'\npassword = 'planted-secret'");
    for said in [start(&job).wait().failure(), doctor(&job)] {
        assert!(said.contains("BadUserAccessDenied") && said.contains("`password`"), "{said}");
        assert!(!said.contains("planted-secret"), "{said}");
    }
    let said = start(&with("")).wait().failure();
    assert!(said.contains("does not accept anonymous users"), "{said}");
}

#[test]
fn users_log_in_by_a_certificate() {
    let protected =
        OpcUaOptions { is_protected: true, user_certificate: true, history: 10, ..OpcUaOptions::default() };
    let server = OpcUa::start_with(&protected);
    let with = |user: &str| {
        let identity = server.user(user);
        Job::new(&pipeline(
            &server.url(),
            &format!(
                "nodes = ['ns=2;s=Line1.Temperature']\nhistory = {{ from = '2026-01-01', to = '2026-01-02' }}\n\
                 security = 'sign_and_encrypt'\ncertificate = 'own/client.der'\nkey = 'own/client.pem'\n\
                 server_certificate = '{}'\nuser_certificate = '{}'\nuser_key = '{}'",
                server.certificate().display(),
                identity.certificate.display(),
                identity.key.display()
            ),
        ))
    };
    let job = with("user");
    start(&job).wait().success();
    assert_eq!(records(&job).len(), 10);
    let said = doctor(&job);
    assert!(said.contains("the server accepts the user's certificate"), "{said}");
    let job = with("stranger");
    for said in [start(&job).wait().failure(), doctor(&job)] {
        assert!(said.contains("BadUserAccessDenied") && said.contains("`user_certificate`"), "{said}");
    }
}

#[test]
fn a_password_that_was_replaced_ends_the_run_at_the_next_connection() {
    let user = Some(("plant".to_owned(), "planted-secret".to_owned()));
    let server = OpcUa::start_with(&OpcUaOptions { user, ..OpcUaOptions::default() });
    let proxy = Proxy::start(server.port());
    let job = Job::new(&pipeline(
        &through(&proxy),
        "nodes = ['ns=2;s=Line1.Temperature']\nuser = 'plant'\npassword = 'planted-secret'",
    ));
    let mut run = start(&job);
    until(&job, &mut run, |records| records.len() == 1);
    server.set_password("another");
    // Nobody is logged out.
    server.write([good("Line1.Temperature", 7.5, BEGIN)]);
    until(&job, &mut run, |records| records.len() == 2);
    proxy.disconnect();
    let said = run.wait().failure();
    assert!(said.contains("BadUserAccessDenied") && said.contains("`password`"), "{said}");
    assert!(!said.contains("planted-secret"), "{said}");
}

#[test]
fn nothing_is_left_behind_in_the_temporary_folder() {
    let server = OpcUa::start_with(&OpcUaOptions { is_protected: true, ..OpcUaOptions::default() });
    let options = format!(
        "nodes = ['ns=2;s=Line1.Temperature']\nsecurity = 'sign'\ncertificate = 'own/client.der'\n\
         key = 'own/client.pem'\nserver_certificate = '{}'",
        server.certificate().display()
    );
    let job = Job::new(&pipeline(&server.url(), &options));
    let folder = job.path("temporary");
    std::fs::create_dir(&folder).expect("a folder");
    let mut run = job.spawn(
        &[("TMPDIR", &folder.display().to_string())],
        &["run", "pipeline.toml", "--progress", "never"],
    );
    until(&job, &mut run, |records| records.len() == 1);
    run.kill();
    let left: Vec<_> =
        std::fs::read_dir(&folder).expect("a folder").flatten().map(|file| file.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}
