//! The `tidemill` command with every connector.

// Linked for their registrations.
#[cfg(feature = "delta")]
use tidemill_delta as _;
#[cfg(feature = "http")]
use tidemill_http as _;
#[cfg(feature = "kafka")]
use tidemill_kafka as _;
#[cfg(feature = "mail")]
use tidemill_mail as _;
#[cfg(feature = "modbus")]
use tidemill_modbus as _;
#[cfg(feature = "mqtt")]
use tidemill_mqtt as _;
#[cfg(feature = "nats")]
use tidemill_nats as _;
#[cfg(feature = "objects")]
use tidemill_objects as _;
#[cfg(feature = "opcua")]
use tidemill_opcua as _;
#[cfg(feature = "postgres")]
use tidemill_postgres as _;
#[cfg(feature = "sqlite")]
use tidemill_sqlite as _;

fn main() -> std::process::ExitCode {
    tidemill::cli::run(std::env::args_os()).into()
}
