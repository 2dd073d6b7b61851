//! Child processes that do not survive the tests.

use std::io;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

use rustix::process::{Pid, Signal, kill_process};

use crate::environment;

/// A command to start, and where the child goes, together with the command.
type Order = (Command, Sender<(Command, io::Result<Child>)>);

/// Starts `command`, and gives it back for the next time.
///
/// The system signals the death of a child's parent when the *thread* ends that started it, so that all are started by one thread that
/// lives as long as the process.
pub(crate) fn spawn(command: Command) -> (Command, io::Result<Child>) {
    static ORDERS: OnceLock<Sender<Order>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (orders, received) = channel::<Order>();
        let work = move || {
            for (mut command, reply) in received {
                let child = command.spawn();
                drop(reply.send((command, child)));
            }
        };
        // Ends with the process.
        std::thread::Builder::new().name("spawn".into()).spawn(work).expect("a thread");
        orders
    });
    let (reply, answer) = channel();
    orders.send((command, reply)).expect("the thread that starts processes");
    answer.recv().expect("the thread that starts processes")
}

/// A command that starts `program` so that it receives `signal` (such as `KILL`) when this process ends, as `user` if these are root's
/// tests.
pub(crate) fn dependent(program: &std::path::Path, signal: &str, user: Option<&str>) -> Command {
    let mut command = Command::new(environment::program("setpriv"));
    if let Some(user) = user.filter(|_| is_root()) {
        command.arg(format!("--reuid={user}")).arg(format!("--regid={user}")).arg("--clear-groups");
    }
    command.args(["--pdeathsig", signal, "--"]).arg(program);
    command
}

/// Whether the tests run as root, as which some servers refuse to run.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Sends `signal` to `child`, which may have ended.
pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("the id of a process");
    let _it_may_have_ended = kill_process(pid, signal);
}

/// Runs `command` to its end.
///
/// # Panics
/// If it cannot be run or fails.
pub(crate) fn succeed(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    output.stdout
}
