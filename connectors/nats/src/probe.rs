//! A look at the server before a run, for `tidemill doctor`.

use std::sync::Arc;

use async_nats::{Client, jetstream};
use tidemill_connect::blocking::Blocking;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::probe::Probe;

use crate::connection::Connection;
use crate::failure;

/// The server, and the stream if one is read.
pub(crate) fn source(connection: &Connection, stream: Option<&str>, probe: &mut Probe) {
    let Some((blocking, client)) = connected(connection, probe) else { return };
    if let Some(name) = stream {
        probe.step("stream", || {
            let found = blocking.wait(async {
                let context = jetstream::new(client.clone());
                let found = context.get_stream(name).await;
                found.map_err(|error| failure::stream(&connection.url, name, &error))
            })?;
            let info = found.cached_info();
            let what = format!("{} messages of {}", info.state.messages, info.config.subjects.join(", "));
            Ok(((), what))
        });
    }
}

/// The server, and the stream that takes messages of `subject`, if there must be one.
pub(crate) fn sink(connection: &Connection, subject: Option<&str>, probe: &mut Probe) {
    let Some((blocking, client)) = connected(connection, probe) else { return };
    if let Some(subject) = subject {
        probe.step("stream", || {
            let name = blocking.wait(async {
                let context = jetstream::new(client.clone());
                let found = context.stream_by_subject(subject).await;
                found.map_err(|error| {
                    Error::unavailable(format!("no stream takes {subject:?}: {error}"))
                        .with_help("make a stream for it, or set jetstream = false")
                })
            })?;
            Ok(((), format!("the stream {name:?} takes {subject}")))
        });
    }
}

fn connected(connection: &Connection, probe: &mut Probe) -> Option<(Blocking, Client)> {
    probe.step("login", || {
        let blocking = Blocking::new(Arc::default())?;
        let client = blocking.wait(connect(connection))?;
        let info = client.server_info();
        let found = format!("{} of version {}, at {}", info.server_name, info.version, connection.url);
        Ok(((blocking, client), found))
    })
}

async fn connect(connection: &Connection) -> Result<Client> {
    let options = connection.options()?;
    let connected = options.connect(connection.servers()?).await;
    connected.map_err(|error| failure::connecting(&connection.url, &error))
}
