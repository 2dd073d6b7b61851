//! Looks at a cluster, for `tidemill doctor`.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use tidemill_connect::endpoint::reach;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::probe::Probe;

use crate::connection::{Connection, wrong};
use crate::failure::{Words, failed, listen};
use crate::patience::Patience;
use crate::topic::find;

/// The port of brokers that name none.
const PORT: u16 = 9092;

/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at the first broker, the login, and these topics.
pub(crate) fn probe(connection: &Connection, topics: &[&str], probe: &mut Probe) {
    let address = probe.step("options", || {
        connection.check()?;
        let (host, port) = first(&connection.brokers)?;
        let shown = format!("{host}:{port}");
        Ok(((host, port), shown))
    });
    let Some((host, port)) = address else { return };
    if reach(probe, &host, port, connection.tls.as_ref()).is_none() {
        return;
    }
    let Some(client) = probe.step("login", || login(connection)) else { return };
    for topic in topics {
        probe.step(format!("topic `{topic}`"), || {
            let patience = Patience { stop: Arc::default(), limit: PATIENCE };
            let names = (&*connection.brokers, *topic);
            let said = || listen(|| drop(client.poll(Duration::ZERO)));
            let found = find(client.client(), client.context(), names, &patience, said);
            found.map(|count| ((), format!("{count} partitions")))
        });
    }
}

/// Host and port of the first broker.
fn first(brokers: &str) -> Result<(String, u16)> {
    let first = brokers.split(',').next().unwrap_or_default().trim();
    let first = first.split_once("://").map_or(first, |(_, address)| address);
    let Some((host, port)) = first.rsplit_once(':').filter(|(host, _)| !host.ends_with(':')) else {
        return Ok((first.to_owned(), PORT));
    };
    let port = port.parse().map_err(|_| {
        Error::config(format!("`brokers`: {first:?} has no port")).with_help("write \"host:9092\"")
    })?;
    Ok((host.trim_start_matches('[').trim_end_matches(']').to_owned(), port))
}

fn login(connection: &Connection) -> Result<(BaseConsumer<Words>, String)> {
    let created = connection.config()?.create_with_context(Words::default());
    let client: BaseConsumer<Words> = created.map_err(|error| wrong(&error))?;
    let read = client.fetch_metadata(None, PATIENCE);
    listen(|| drop(client.poll(Duration::ZERO)));
    let metadata =
        read.map_err(|error| failed(&connection.brokers, "the login", &error, client.context()))?;
    let found = format!("{} brokers, {} topics", metadata.brokers().len(), metadata.topics().len());
    Ok((client, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_broker_has_a_host_and_a_port() {
        for (brokers, host, port) in [
            ("a:1,b:2", "a", 1),
            ("a", "a", 9092),
            ("SASL_SSL://a.example:9093", "a.example", 9093),
            ("[::1]:9094", "::1", 9094),
        ] {
            assert_eq!(first(brokers).expect(brokers), (host.to_owned(), port));
        }
        assert!(first("a:b").is_err());
    }
}
