//! PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use super::{Server, is_server};
use crate::{Authority, Identity, environment, process};

/// The user as whom it runs, if root's tests start it.
const USER: &str = "postgres";

/// How a [`Postgres`] differs from the default: no password, no TLS.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// The password that the user `postgres` must have.
    pub password: Option<String>,
    /// Whether it offers TLS, with a certificate of [`Postgres::authority`].
    pub tls: bool,
    /// Whether that certificate has expired.
    pub is_expired: bool,
    /// More settings, such as `max_connections=5`.
    pub settings: Vec<String>,
}

/// A PostgreSQL server with the superuser `postgres` and the database `postgres`. What it has committed survives [`Server::kill`].
pub struct Postgres {
    server: Server,
    port: u16,
    authority: Option<Authority>,
    password: Option<String>,
}

is_server!(Postgres);

impl Postgres {
    /// Starts one.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&PostgresOptions::default())
    }

    /// Starts one with `options`.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start_with(options: &PostgresOptions) -> Self {
        let mut server = Server::new("postgres");
        server.stop = Signal::QUIT;
        let port = server.port();
        let data = server.file("data");
        process::succeed(Command::new("cp").args(["-a", "--reflink=auto"]).arg(template()).arg(&data));
        let login = if options.password.is_some() { "scram-sha-256" } else { "trust" };
        std::fs::write(data.join("pg_hba.conf"), format!("host all all 127.0.0.1/32 {login}\n"))
            .expect("written");
        let mut settings = vec!["listen_addresses=127.0.0.1".into(), "unix_socket_directories=".into()];
        // The processes are killed, never the machine.
        settings.push("fsync=off".to_owned());
        let authority = options.tls.then(|| Authority::new(server.folder()));
        if let Some(authority) = &authority {
            let identity = if options.is_expired { authority.expired_server() } else { authority.server() };
            settings.extend(tls(&identity, &data));
        }
        settings.extend(options.settings.iter().cloned());
        if let Some(password) = &options.password {
            set_password(&data, password);
        }
        server.give_to(USER);
        let mut command = process::dependent(&binary("postgres"), "QUIT", Some(USER));
        command.arg("-D").arg(&data).arg("-p").arg(port.to_string());
        command.args(settings.iter().flat_map(|setting| ["-c", setting]));
        server.launch(command, move |_| is_ready(port));
        Self { server, port, authority, password: options.password.clone() }
    }

    /// Its port, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its database as a URL without password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Who has signed its certificate.
    ///
    /// # Panics
    /// If it offers no TLS.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        self.authority.as_ref().expect("a server with TLS")
    }

    /// Runs statements by `psql`, and returns what they select: a line per row, columns separated by `|`.
    ///
    /// # Panics
    /// If they fail.
    pub fn sql(&self, statements: &str) -> String {
        self.try_sql(statements).unwrap_or_else(|said| panic!("{statements}: {said}"))
    }

    /// The same for statements that may fail, for example because a table is not there yet.
    ///
    /// # Errors
    /// What `psql` says.
    ///
    /// # Panics
    /// If it cannot be run.
    pub fn try_sql(&self, statements: &str) -> Result<String, String> {
        let output = self.psql().args(["-c", statements]).output().expect("psql runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// `psql` with the database, for more arguments.
    #[must_use]
    pub fn psql(&self) -> Command {
        let mut command = Command::new(binary("psql"));
        command.args(["-qXtA", "-v", "ON_ERROR_STOP=1"]).arg(self.url());
        command.env("PGPASSWORD", self.password.as_deref().unwrap_or_default());
        command
    }
}

/// The settings for TLS. The key must belong to the user of the server, and nobody else may read it.
fn tls(identity: &Identity, data: &Path) -> Vec<String> {
    process::succeed(
        Command::new("install").args(["-m", "600"]).arg(&identity.key).arg(data.join("server.key")),
    );
    let certificate = identity.certificate.display();
    vec!["ssl=on".into(), format!("ssl_cert_file={certificate}"), "ssl_key_file=server.key".into()]
}

/// A server without clients, for one statement.
fn set_password(data: &Path, password: &str) {
    let statement = data.with_file_name("password.sql");
    let quoted = password.replace('\'', "''");
    std::fs::write(&statement, format!("ALTER USER postgres PASSWORD '{quoted}';\n")).expect("written");
    let mut command = as_user(&binary("postgres"));
    command.arg("--single").arg("-D").arg(data).arg("postgres");
    command.stdin(std::fs::File::open(statement).expect("opened"));
    process::succeed(&mut command);
}

/// A newly initialised database, made once for all tests of this version: that takes a second, copying it a tenth.
fn template() -> PathBuf {
    let version = process::succeed(Command::new(binary("postgres")).arg("--version"));
    // "postgres (PostgreSQL) 15.20 (Debian …)".
    let version = String::from_utf8_lossy(&version).into_owned();
    let version = version.split(' ').nth(2).expect("a version").trim();
    let place = environment::cache().join(format!("postgres-{version}"));
    if place.join("PG_VERSION").exists() {
        return place;
    }
    let server = Server::new("initdb");
    server.give_to(USER);
    let made = server.file("data");
    let mut command = as_user(&binary("initdb"));
    command.arg("-D").arg(&made).args([
        "-A",
        "trust",
        "-U",
        USER,
        "--no-sync",
        "--encoding=UTF8",
        "--locale=C",
    ]);
    process::succeed(&mut command);
    // Under another name first, so that nobody copies a part of it.
    std::fs::create_dir_all(environment::cache()).expect("a folder");
    let aside = place.with_extension(format!("{}.part", std::process::id()));
    process::succeed(Command::new("cp").arg("-a").arg(&made).arg(&aside));
    if std::fs::rename(&aside, &place).is_err() {
        // Another process was faster.
        std::fs::remove_dir_all(&aside).expect("removed");
    }
    place
}

fn is_ready(port: u16) -> bool {
    let mut command = Command::new(binary("pg_isready"));
    let output = command.args(["-q", "-h", "127.0.0.1", "-p"]).arg(port.to_string()).output();
    output.expect("pg_isready runs").status.success()
}

/// `program` as the user of the server.
fn as_user(program: &Path) -> Command {
    let mut command = process::dependent(program, "KILL", Some(USER));
    // The folder of root's tests is closed to others.
    command.current_dir("/");
    command
}

/// A program of the newest version that is installed; Debian keeps them outside the path.
fn binary(program: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = versions.map(|version| version.path().join("bin"));
    let newest =
        folders.filter(|folder| folder.join("initdb").exists()).max_by_key(|folder| version_of(folder));
    newest.map_or_else(|| environment::program(program), |folder| folder.join(program))
}

fn version_of(folder: &Path) -> Option<u32> {
    folder.parent()?.file_name()?.to_str()?.parse().ok()
}
