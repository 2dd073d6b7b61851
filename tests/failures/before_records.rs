//! A run that fails before its first record gives a stream nothing.

use std::io::Write;
use std::process::{Command, Stdio};

use super::command::{run, text, tidemill};
use super::rig::{CSV, bench};

#[test]
fn a_run_that_fails_before_its_first_record_gives_standard_output_nothing() {
    let folder = bench("type = 'csv'\npath = 'in.csv'\nsensor = 's'", "");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("bad.csv", "t,s,v,note\nx,y\nx,y\n");
    write("none.csv", "t,s,v,note\n");
    for (sets, code, given) in [
        // The other sink cannot be opened.
        (&["sink.0.path=in.csv/out.csv"][..], 74, ""),
        // All records are refused: by the reader, by a stage.
        (&["sink.0.path=out.csv", "source.path=bad.csv"], 65, ""),
        (&["sink.0.path=out.csv", "source.path=none.csv"], 0, "t,s,v,note\n"),
        (&["sink.0.path=out.csv"], 0, "t,s,v,note\n1,a,1.5,x\n2,a,2.5,y\n"),
    ] {
        for live in [false, true] {
            let path = "[[sink]]\ntype = 'csv'\npath = '-'\n";
            let pipeline = "[source]\ntype = 'csv'\npath = 'in.csv'\nsensor = 's'\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n";
            write("p.toml", &format!("{pipeline}{path}"));
            let mut command = tidemill(folder.path());
            command.args(["run", "p.toml", "-q"]);
            command.args(sets.iter().flat_map(|set| ["--set", set]));
            let mut child = command
                .args(live.then_some(["--set", "source.path=-"]).into_iter().flatten())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("it runs");
            let mut stdin = child.stdin.take().expect("piped");
            if live {
                let input = sets.iter().find_map(|set| set.strip_prefix("source.path=")).unwrap_or("in.csv");
                // A run that is refused reads nothing.
                let _gone = stdin.write_all(&std::fs::read(folder.path().join(input)).expect("an input"));
            }
            drop(stdin);
            let output = child.wait_with_output().expect("it ends");
            // Whoever waits for live records has the header when the run has begun.
            let given = if live && code == 65 { "t,s,v,note\n" } else { given };
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{sets:?}: {said}");
            assert_eq!(text(&output.stdout), given, "{sets:?}, live: {live}: {said}");
        }
    }
}

#[test]
fn a_run_that_fails_before_its_first_record_gives_a_pipe_nothing() {
    for kind in ["csv", "parquet"] {
        let folder = bench(CSV, "");
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().expect("`mkfifo` runs").success());
        let pipeline = format!(
            "[source]\ntype = 'csv'\npath = 'in.csv'\n[[sink]]\ntype = '{kind}'\npath = 'pipe'\n[[sink]]\ntype = 'csv'\npath = 'in.csv/out.csv'\n"
        );
        std::fs::write(folder.path().join("p.toml"), pipeline).expect("written");
        let reading = std::thread::Builder::new().spawn(move || std::fs::read(pipe).expect("readable"));
        let output = run(folder.path(), &["run", "p.toml"]);
        assert_eq!(output.status.code(), Some(74), "{}", text(&output.stderr));
        assert_eq!(text(&reading.expect("a thread").join().expect("no panic")), "");
    }
}
