//! What devices answer, and when they are asked.

use serde_json::json;
use tidemill_acceptance::{Job, Modbus};

use crate::common::{count, first_rows, pipeline, plain, rows, until, value};

#[test]
fn every_type_is_read_in_every_order() {
    let cases = [
        ("u16", json!(65_535), "65535"),
        ("i16", json!(-2), "-2"),
        ("u32", json!(4_294_967_295_u32), "4294967295"),
        ("i32", json!(-123_456_789), "-123456789"),
        ("u64", json!(u64::MAX), "18446744073709551615"),
        ("i64", json!(i64::MIN), "-9223372036854775808"),
        ("f32", json!(-1.5), "-1.5"),
        ("f64", json!(1.0e-7), "1e-7"),
        ("f32", json!("nan"), ""),
        ("f64", json!("nan"), ""),
    ];
    let orders = [("big", "big"), ("little", "big"), ("big", "little"), ("little", "little")];
    let (mut values, mut registers, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    for kind in ["holding", "input"] {
        for (order, (words, bytes)) in orders.into_iter().enumerate() {
            for (case, (ty, number, text)) in cases.iter().enumerate() {
                let (address, name) = (100 * order + 5 * case, format!("{kind}{order}x{case}"));
                let mut value = value(kind, address, ty, number.clone());
                (value["word_order"], value["byte_order"]) = (json!(words), json!(bytes));
                values.push(value);
                registers.push(format!(
                    "name = '{name}'\nkind = '{kind}'\naddress = {address}\ntype = '{ty}'\nword_order = '{words}'\nbyte_order = '{bytes}'"
                ));
                expected.push((name, *text));
            }
        }
    }
    for (at, kind) in ["coil", "discrete"].into_iter().enumerate() {
        for bit in 0..20 {
            values.push(value(kind, bit, "bool", json!((bit + at) % 3 == 0)));
            registers.push(format!("name = '{kind}{bit}'\nkind = '{kind}'\naddress = {bit}"));
            expected.push((format!("{kind}{bit}"), if (bit + at) % 3 == 0 { "true" } else { "false" }));
        }
    }
    values.push(value("holding", 900, "u16", json!(0b100)));
    for (bit, text) in [(1, "false"), (2, "true")] {
        registers.push(format!("name = 'bit{bit}'\naddress = 900\nbit = {bit}"));
        expected.push((format!("bit{bit}"), text));
    }
    registers.push("name = 'scaled'\naddress = 900\nscale = 0.1\noffset = -40".to_owned());
    expected.push(("scaled".to_owned(), "-39.6"));
    let server = Modbus::start(&json!([{ "unit": 3, "values": values }]));
    let registers: Vec<&str> = registers.iter().map(String::as_str).collect();
    let text = pipeline("every = '50ms'", &[("press", &server.address(), "unit = 3")], &registers);
    let (rows, said) = first_rows(&text, 2);
    for (name, text) in expected {
        assert_eq!(rows[0][&name], text, "{name}");
    }
    assert_eq!(rows[0]["sensor"], "press");
    assert!(!said.contains("refused") && !said.contains("failed"), "{said}");
}

#[test]
fn devices_are_polled_beside_each_other() {
    // None of them answers before all have been asked.
    let server = Modbus::start_together(&plain(), 100);
    let names: Vec<String> = (0..100).map(|at| format!("d{at}")).collect();
    let addresses: Vec<String> = server.addresses().collect();
    let devices: Vec<_> =
        names.iter().zip(&addresses).map(|(name, at)| (name.as_str(), at.as_str(), "")).collect();
    let text = pipeline("every = '100ms'\ntimeout = '100s'", &devices, &["name = 'v'\naddress = 0"]);
    let job = Job::new(&text);
    let run = job.start();
    until("each device has three rows", &run, || names.iter().all(|name| count(&job, name) >= 3));
    run.wait_for("at most once");
    run.stop().success();
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    assert!(rows(&job).iter().all(|row| row["v"] == "7"));
}

#[test]
fn a_register_that_does_not_exist_ends_the_run_at_the_first_poll_or_is_null() {
    let server = Modbus::start(&plain());
    let registers = [
        "name = 'a'\naddress = 0",
        "name = 'b'\naddress = 1",
        "name = 'gone'\naddress = 2",
        "name = 'c'\naddress = 3",
    ];
    let with = |options: &str| {
        pipeline(&format!("every = '20ms'\n{options}"), &[("press", &server.address(), "")], &registers)
    };
    let job = Job::new(&with(""));
    let said = job.start_with(&[]).wait().failure();
    assert!(said.contains("press: refuses `gone`, holding register 2: illegal data address"), "{said}");
    let doctor = job.tidemill().args(["doctor", "pipeline.toml"]).output().expect("it runs");
    let doctor = String::from_utf8_lossy(&[doctor.stdout, doctor.stderr].concat()).into_owned();
    assert!(doctor.contains("refuses `gone`"), "{doctor}");
    let (rows, said) = first_rows(&with("refused = 'null'"), 2);
    let values = ["a", "b", "gone", "c"].map(|name| rows[0][name].as_str());
    assert_eq!(values, ["7", "8", "", "9"]);
    assert!(
        said.contains("press: ")
            && said.contains("requests were refused, the last one: press: refuses `gone`"),
        "{said}"
    );
}

#[test]
fn a_gap_that_the_device_does_not_have_costs_nothing_but_a_request() {
    let server = Modbus::start(&plain());
    let registers = ["name = 'a'\naddress = 0", "name = 'c'\naddress = 3"];
    let (rows, said) =
        first_rows(&pipeline("every = '20ms'\ngap = 10", &[("press", &server.address(), "")], &registers), 2);
    assert_eq!((rows[0]["a"].as_str(), rows[0]["c"].as_str()), ("7", "9"));
    assert!(!said.contains("refused"), "{said}");
}

#[test]
fn the_time_may_be_the_one_at_which_the_poll_was_due() {
    let server = Modbus::start(&plain());
    let address = server.address();
    let devices = [("a", address.as_str(), ""), ("b", address.as_str(), "")];
    let text = pipeline("every = '200ms'\ntime = 'due'", &devices, &["name = 'v'\naddress = 0"]);
    let (rows, _) = first_rows(&text, 4);
    for row in rows {
        let fraction = row["time"].trim_end_matches('Z').split_once('.').map_or("0", |(_, digits)| digits);
        let millis: u64 = format!("{fraction:0<3}").parse().expect("whole milliseconds");
        assert_eq!(millis % 200, 0, "{row:?}");
    }
}

#[test]
fn doctor_polls_each_device_once() {
    let server = Modbus::start(&plain());
    let address = server.address();
    let devices = [("press", address.as_str(), ""), ("other", address.as_str(), "unit = 9")];
    let job = Job::new(&pipeline("", &devices, &["name = 'v'\naddress = 0\nunit = 'degC'"]));
    let doctor = job.tidemill().args(["doctor", "pipeline.toml"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&[doctor.stdout, doctor.stderr].concat()).into_owned();
    assert!(said.contains("device press: unit 1 answers 1 requests"), "{said}");
    assert!(said.contains("device other: ") && said.contains("device failure (exception 4)"), "{said}");
}

#[test]
fn silence_is_noticed_by_the_clock() {
    let mut server = Modbus::start(&plain());
    let text = pipeline("every = '50ms'", &[("press", &server.address(), "")], &["name = 'v'\naddress = 0"]);
    let silence = "[[stage]]\ntype = 'silence'\nafter = '1s'\nby = 'clock'\n[[sink]]";
    let job = Job::new(&text.replace("[[sink]]", silence));
    let run = job.start();
    until("it is read", &run, || count(&job, "press") > 0);
    server.kill();
    // Nothing else comes that could move the time on.
    until("its silence is a record", &run, || {
        rows(&job).iter().any(|row| row["silent"] == "1" && row["v"].is_empty())
    });
    run.stop().success();
}
