//! InfluxDB 1.x.

use super::{Server, is_server};
use crate::http::ask;
use crate::{environment, process};

/// An InfluxDB server of version 1 with the database `plant`, which takes line protocol at `/write`.
pub struct Influx {
    server: Server,
    port: u16,
    user: Option<(String, String)>,
}

is_server!(Influx);

impl Influx {
    /// Starts one for anonymous clients.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// Starts one that `user`, a name and a password, must log in to; everybody if there is none.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start_with(user: Option<(&str, &str)>) -> Self {
        let mut server = Server::new("influx");
        let (port, internal) = (server.port(), server.port());
        let at = server.folder().display();
        let configuration = format!(
            "reporting-disabled = true\nbind-address = \"127.0.0.1:{internal}\"\n[meta]\ndir = \"{at}/meta\"\n\
             [data]\ndir = \"{at}/data\"\nwal-dir = \"{at}/wal\"\n[http]\nbind-address = \"127.0.0.1:{port}\"\n\
             auth-enabled = {}\nlog-enabled = false\n",
            user.is_some()
        );
        let file = server.file("influx.conf");
        std::fs::write(&file, configuration).expect("written");
        let mut command = process::dependent(&environment::program("influxd"), "KILL", None);
        command.env("HOME", server.folder()).arg("-config").arg(file);
        server.launch(command, move |_| ask(port, "GET", "/ping", &[], b"").is_ok());
        let user = user.map(|(user, password)| (user.to_owned(), password.to_owned()));
        let influx = Self { server, port, user };
        if let Some((user, password)) = &influx.user {
            influx.query(&format!("CREATE USER {user} WITH PASSWORD '{password}' WITH ALL PRIVILEGES"));
        }
        influx.query("CREATE DATABASE plant");
        influx
    }

    /// Its port, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it answers to a query over the database `plant`: JSON.
    ///
    /// # Panics
    /// If it refuses the query.
    pub fn query(&self, query: &str) -> String {
        let mut path = "/query?db=plant".to_owned();
        if let Some((user, password)) = &self.user {
            path += &format!("&u={user}&p={password}");
        }
        let body = format!("q={}", encoded(query));
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let (status, answer) = ask(self.port, "POST", &path, &form, body.as_bytes()).expect("an answer");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(status == 200 && !answer.contains("\"error\""), "{query}: {status} {answer}");
        answer
    }

    /// How many values of `field` the measurement has.
    ///
    /// # Panics
    /// If it does not answer with a number.
    pub fn count(&self, measurement: &str, field: &str) -> u64 {
        let answer = self.query(&format!("SELECT count(\"{field}\") FROM \"{measurement}\""));
        let json: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        // No series: no values.
        json["results"][0]["series"][0]["values"][0][1].as_u64().unwrap_or(0)
    }
}

/// Everything but letters and digits as `%XX`.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
