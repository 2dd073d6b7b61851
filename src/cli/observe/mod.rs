//! A run seen from outside: metrics and health over HTTP (`--listen`), and what the service manager is told.
//!
//! | module | what it has |
//! |---|---|
//! | `view` | what is answered to a request; the metrics of the process |
//! | `access` | who may ask: the address, the host names, the token |
//! | `server` | the HTTP server (feature `observe`) |
//! | `supervised` | what the service manager is told of the run |
//! | `health` | the command `health`, which asks such a server |

mod access;
mod health;
#[cfg(feature = "observe")]
mod server;
mod supervised;
mod view;

use std::sync::Arc;

use super::args::{ListenArgs, RunArgs};
use super::failure::Outcome;
use super::service;
use tidemill_core::error::Masks;
use tidemill_engine::notes::{Event, event};
use tidemill_engine::pipeline::Pipeline;
use tidemill_engine::runtime::{Meters, RunOptions};

use access::Access;
use supervised::{Supervised, supervise};
use view::View;

pub(super) use health::health;
pub(super) use view::Reloaded;

/// Lets others see the run with these options, if that is asked for: by the arguments, or by a service manager. To be kept until the run has ended.
pub(super) fn begin(
    args: &RunArgs,
    pipeline: &Pipeline,
    options: &mut RunOptions,
) -> Outcome<Option<Supervised>> {
    if args.listen.listen.is_none() && !service::is_there() {
        return Ok(None);
    }
    let meters = Meters::default();
    options.meters = Some(meters.clone());
    event::span(pipeline.name.as_deref()).in_scope(|| listen(&args.listen, &meters))?;
    Ok(Some(supervise(meters)))
}

fn listen(args: &ListenArgs, meters: &Meters) -> Outcome {
    let Some(access) = Access::of(args)? else { return Ok(()) };
    let address = serve(Arc::new(View::new(meters.clone(), access)))?;
    let said = format!("metrics at http://{address}/metrics");
    Event::info("listening").say(&Masks::default(), &said);
    Ok(())
}

#[cfg(feature = "observe")]
fn serve(view: Arc<View>) -> Outcome<std::net::SocketAddr> {
    server::start(view)
}

#[cfg(not(feature = "observe"))]
fn serve(view: Arc<View>) -> Outcome<std::net::SocketAddr> {
    let _nobody_asks = view;
    let error =
        tidemill_core::error::Error::usage("--listen: this binary was built without the feature `observe`");
    Err(error.with_help("build it with default features").into())
}
