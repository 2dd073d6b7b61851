//! A look at the server before a run, for `tidemill doctor`.

use std::sync::Arc;

use opcua::types::DateTime;
use tidemill_connect::blocking::Blocking;
use tidemill_connect::endpoint::reach;
use tidemill_engine::error::Result;
use tidemill_engine::probe::Probe;

use crate::nodes::{Nodes, Target, find, remark};
use crate::options::{Connection, Security};
use crate::security;
use crate::session::{Connected, offered};

/// Connects, logs in, and looks for the nodes.
pub(crate) fn probe(connection: &Connection, targets: &[Target], probe: &mut Probe) {
    let (Ok(()), Ok((host, port))) = (connection.check(), connection.endpoint()) else { return };
    let Ok(blocking) = Blocking::new(Arc::default()) else { return };
    let _stopped_at_a_step = steps(connection, targets, (&host, port), &blocking, probe);
}

fn steps(
    connection: &Connection,
    targets: &[Target],
    (host, port): (&str, u16),
    blocking: &Blocking,
    probe: &mut Probe,
) -> Option<()> {
    reach(probe, host, port, None)?;
    let endpoint = probe.step("endpoint", || {
        let endpoint = security::choose(connection, &blocking.wait(offered(connection))?)?;
        let name = security::name(&endpoint);
        Ok((endpoint, name))
    })?;
    if connection.security != Security::None {
        probe.step("certificate", || {
            security::verify(connection, &endpoint, &DateTime::now())?;
            Ok(((), "the server's certificate is trusted".into()))
        })?;
    }
    let mut connected = probe.step("login", || {
        let connected = blocking.wait(Connected::new(connection))?;
        let who = connection.user.as_ref().map(|user| format!("user {user:?}"));
        let who =
            who.or_else(|| connection.user_certificate.as_ref().map(|_| "the user's certificate".to_owned()));
        Ok((connected, format!("the server accepts {}", who.as_deref().unwrap_or("an anonymous user"))))
    })?;
    probe.step("nodes", || blocking.wait(found(connection, targets, &mut connected)));
    let _closed_or_late = blocking.wait(async {
        connected.close().await;
        Ok(())
    });
    Some(())
}

async fn found(
    connection: &Connection,
    targets: &[Target],
    connected: &mut Connected,
) -> Result<((), String)> {
    let session = Arc::clone(&connected.session);
    let Nodes { all, hidden } = connected.during(find(&session, &connection.url, targets)).await?;
    let hidden = remark(hidden).map(|hidden| format!("; {hidden}")).unwrap_or_default();
    Ok(((), format!("{} variables{hidden}", all.len())))
}
