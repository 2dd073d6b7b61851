//! A look at the broker before a run, for `tidemill doctor`: as a client of another name, so that a run that has the own one stays connected.

use std::sync::Arc;

use tidemill_connect::blocking::Blocking;
use tidemill_connect::endpoint::reach;
use tidemill_engine::error::Result;
use tidemill_engine::probe::Probe;

use crate::client::{Client, Event, Sender, Setup, V4, V5};
use crate::options::{Connection, Version};

/// The largest packet that is accepted: retained messages may come.
const MAX_PACKET: u32 = 1 << 20;

/// Connects, and subscribes to `filters` if there are any.
pub(crate) fn probe(connection: &Connection, filters: &[String], qos: u8, probe: &mut Probe) {
    let Ok((host, port, tls)) = connection.endpoint() else { return };
    if reach(probe, &host, port, tls.as_ref()).is_none() {
        return;
    }
    match connection.version {
        Version::V4 => steps::<V4>(connection, filters, qos, probe),
        Version::V5 => steps::<V5>(connection, filters, qos, probe),
    }
}

fn steps<C: Client>(connection: &Connection, filters: &[String], qos: u8, probe: &mut Probe) {
    let connected = probe.step("login", || {
        let other = Connection { client_id: None, ..connection.clone() };
        let connected = connected::<C>(&other.setup(MAX_PACKET, None)?)?;
        let who = connection
            .user
            .as_ref()
            .map_or_else(|| "an anonymous client".to_owned(), |user| format!("user {user:?}"));
        Ok((connected, format!("the broker accepts {who}")))
    });
    if let (Some((blocking, mut client)), false) = (connected, filters.is_empty()) {
        probe.step("topic", || {
            blocking.wait(subscribed(&mut client, &connection.url, filters, qos))?;
            Ok(((), format!("the broker accepts a subscription to {}", filters.join(", "))))
        });
    }
}

fn connected<C: Client>(setup: &Setup) -> Result<(Blocking, C)> {
    let blocking = Blocking::new(Arc::default())?;
    let mut client = C::new(setup)?;
    blocking.wait(async {
        while !matches!(client.next().await?, Event::Connected { .. }) {}
        Ok(())
    })?;
    Ok((blocking, client))
}

async fn subscribed<C: Client>(client: &mut C, url: &str, filters: &[String], qos: u8) -> Result<()> {
    let _gone = client.sender().subscribe(filters, qos).await;
    let answers = loop {
        if let Event::Subscribed(answers) = client.next().await? {
            break answers;
        }
    };
    match filters.iter().zip(answers).find_map(|(filter, answer)| Some((filter, answer.err()?))) {
        None => Ok(()),
        Some((filter, reason)) => Err(reason.error(&format!("{url}: cannot subscribe to {filter:?}"))),
    }
}
