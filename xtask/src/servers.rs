//! `cargo xtask servers`: installs the servers that the tests of connectors start (`connectors/acceptance`).

use std::path::PathBuf;
use std::process::Command;

use crate::{Outcome, root, run, tools};

/// A program that shows whether Debian's package is installed. Java 17 or newer.
const PACKAGES: [(&str, &str); 12] = [
    ("mosquitto", "mosquitto"),
    ("mosquitto_pub", "mosquitto-clients"),
    ("nats-server", "nats-server"),
    ("influxd", "influxdb"),
    ("promtool", "prometheus"),
    ("kcat", "kcat"),
    ("java", "default-jre-headless"),
    ("mvn", "maven"),
    ("npm", "npm"),
    ("go", "golang-go"),
    ("curl", "curl"),
    ("setpriv", "util-linux"),
];

/// The version of Telegraf, and the plugins that the tests need: all of them would take ten times as long to build.
const TELEGRAF: &str = "v1.37.2";
const PLUGINS: &str = "custom,inputs.file,inputs.mqtt_consumer,inputs.http_listener_v2,inputs.prometheus,\
    outputs.file,outputs.mqtt,outputs.http,outputs.influxdb,outputs.influxdb_v2,outputs.kafka,\
    parsers.influx,parsers.json_v2,serializers.influx,serializers.json";

/// Installs what is missing; says nothing if nothing is.
pub(crate) fn servers() -> Outcome {
    let mut missing: Vec<&str> =
        PACKAGES.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    if !has_postgres() {
        missing.push("postgresql");
    }
    if !missing.is_empty() {
        tools::install(&missing)?;
    }
    kafka()?;
    delta()?;
    modbus()?;
    objects()?;
    opcua()?;
    telegraf()
}

/// Whether `program` is in a folder of programs: servers do not agree on an option that only shows their version.
fn is_there(program: &str) -> bool {
    let path = crate::variable("PATH").unwrap_or_default();
    let servers = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(servers).any(|folder| folder.join(program).is_file())
}

/// Debian keeps its programs outside the path.
fn has_postgres() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    is_there("postgres") || versions.into_iter().any(|version| version.path().join("bin/initdb").exists())
}

/// The jars of Kafka's broker.
fn kafka() -> Outcome {
    let project = root().join("connectors/acceptance/servers/kafka.xml");
    tools::jars(&tools::kept().join("kafka"), &project, tools::Dependencies::All)
}

/// Readers of Delta Lake tables, and Spark as the tests of the package `tidemill` have it.
fn delta() -> Outcome {
    tools::python_with("delta", &root().join("connectors/acceptance/servers/delta.txt"))?;
    let spark = root().join("python/tests/spark");
    tools::python_with("spark", &spark.join("requirements.txt"))?;
    tools::jars_with("spark-jars", &spark.join("pom.xml")).map(drop)
}

/// Modbus devices, of a package of Python.
fn modbus() -> Outcome {
    tools::python_with("modbus", &root().join("connectors/acceptance/servers/modbus.txt")).map(drop)
}

/// Object stores: packages of Python and of npm.
fn objects() -> Outcome {
    let servers = root().join("connectors/acceptance/servers");
    tools::python_with("objects", &servers.join("objects.txt"))?;
    let (folder, project) = (tools::cache().join("azurite"), servers.join("azurite.json"));
    let (installed, failed) =
        (folder.join("package.json"), |error| format!("{}: {error}", project.display()));
    let wanted = std::fs::read(&project).map_err(failed)?;
    if folder.join("node_modules/.bin/azurite-blob").exists()
        && std::fs::read(&installed).is_ok_and(|found| found == wanted)
    {
        return Ok(());
    }
    std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&installed, &wanted)).map_err(failed)?;
    let options = ["install", "--no-fund", "--no-audit", "--omit=dev", "--prefix"];
    run(Command::new("npm").args(options).arg(&folder))
}

/// The OPC UA server, of a package of Python.
fn opcua() -> Outcome {
    tools::python_with("opcua", &root().join("connectors/acceptance/servers/opcua.txt")).map(drop)
}

/// Telegraf, built from source: Debian has no package.
fn telegraf() -> Outcome {
    let folder = tools::kept().join("bin");
    let mark = folder.join("telegraf-version");
    let wanted = format!("{TELEGRAF} {PLUGINS}");
    if std::fs::read_to_string(&mark).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    let package = format!("github.com/influxdata/telegraf/cmd/telegraf@{TELEGRAF}");
    let mut command = Command::new("go");
    run(command.env("GOBIN", &folder).args(["install", "-tags", PLUGINS, &package]))?;
    // Last, so that an interrupted installation is repeated.
    std::fs::write(&mark, wanted).map_err(|error| format!("{}: {error}", mark.display()))
}
