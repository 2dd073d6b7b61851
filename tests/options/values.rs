//! Values of options from variables and from `--set`.

use tidemill::pipeline::Spec;

use super::cases::CASES;
use super::observe::pipeline;

/// Options with other values: what `change` makes of each, of text without its quotes; whether it is text is said.
fn with_values(options: &str, mut change: impl FnMut(&str, bool) -> String) -> String {
    let (mut changed, mut rest) = (String::new(), options);
    while let Some(first) = rest.chars().next() {
        let is_of_word = |letter: char| letter.is_alphanumeric() || "_.+-".contains(letter);
        let (piece, is_text) = match first {
            '\'' | '"' => (rest[1..].split(first).next().expect("closed"), true),
            _ => (&rest[..rest.find(|letter| !is_of_word(letter)).unwrap_or(rest.len())], false),
        };
        let is_value = is_text
            || !piece.starts_with(char::is_alphabetic) && piece.parse::<f64>().is_ok()
            || piece.parse::<bool>().is_ok();
        let length = if is_text { piece.len() + 2 } else { piece.len().max(first.len_utf8()) };
        changed += &if is_value { change(piece, is_text) } else { rest[..length].to_owned() };
        rest = &rest[length..];
    }
    changed
}

/// The options that all parts of a pipeline come to, with these variables and `--set`; or that it is refused.
fn options_of(pipeline: &str, variables: &[String], sets: &[String]) -> Option<String> {
    let variables = variables.to_owned();
    let value = move |name: &str| variables.get(name.strip_prefix('V')?.parse::<usize>().ok()?).cloned();
    let spec = Spec::new("p.toml", pipeline).with_variables(value);
    let resolved = sets.iter().fold(spec, Spec::with_set).resolve().ok()?.pipeline;
    let stages: Vec<_> =
        resolved.stages.iter().map(|entry| (entry.stage.parameters(), &entry.name, &entry.from)).collect();
    let sinks: Vec<_> =
        resolved.sinks.iter().map(|sink| (sink.spec.parameters(), &sink.sensors, &sink.from)).collect();
    Some(format!(
        "{} {:?} {stages:?} {sinks:?}",
        resolved.sources[0].spec.parameters(),
        resolved.sources[0].input
    ))
}

#[test]
fn every_option_takes_what_a_variable_says_and_what_is_set_without_quotes_as_it_is_meant() {
    let is_other = |text: &str| {
        text.parse::<f64>().is_ok()
            || text.parse::<bool>().is_ok()
            || text.starts_with("20") && text.ends_with('Z')
    };
    for case in CASES {
        for component in case.components {
            let written = pipeline(case, component, case.with);
            let expected = options_of(&written, &[], &[]);
            let mut variables = Vec::new();
            let given = with_values(case.with, |value, _| {
                variables.push(value.to_owned());
                format!("'${{V{}}}'", variables.len() - 1)
            });
            let given = pipeline(case, component, &given);
            // A secret is shown as the reference to it.
            if case.option != "environment" {
                assert_eq!(options_of(&given, &variables, &[]), expected, "{given}\n{variables:?}");
            }
            let part = ["source", "stage.0", "sink.0"][case.kind as usize];
            let set = |line: &str| {
                let bare = |value: &str, is_text: bool| match is_text && !is_other(value) {
                    true if value == "'" => format!("\"{value}\""),
                    true => format!("'{value}'"),
                    false => value.to_owned(),
                };
                let (name, value) = line.split_once(" = ").expect("an option");
                let value = with_values(value, bare);
                let is_list = value.starts_with(['[', '{']);
                format!("{part}.{name}={}", if is_list { &value } else { value.trim_matches('\'') })
            };
            let sets: Vec<_> = case.with.lines().filter(|line| !line.ends_with("= null")).map(set).collect();
            assert_eq!(options_of(&written, &[], &sets), expected, "{written}\n{sets:?}");
        }
    }
}

#[test]
fn what_has_no_type_is_what_its_option_wants() {
    let pipeline = "[source]\ntype = 'csv'\npath = 'in.csv'\nsensor_name = 'WHAT'\nnull_values = ['WHAT']\n\
        [[stage]]\ntype = 'moving_average'\nwindow = 'WHAT'\n[[sink]]\ntype = 'alert'\ncolumn = 'a'\nabove = 1\nname = 'WHAT'\n";
    let sets = |value: &str| {
        ["source.sensor_name", "stage.0.window", "sink.0.name"]
            .map(|option| format!("{option}={value}"))
            .to_vec()
    };
    for value in ["2", " 7 ", "05", "1.5", "true", "2026-01-01", "5m"] {
        let written = pipeline.replace("WHAT", value);
        let number = value.trim().parse::<u32>().ok().filter(|_| value != "05");
        let literal = match number {
            Some(number) => written.replace(&format!("window = '{value}'"), &format!("window = {number}")),
            None => written.clone(),
        };
        let expected = options_of(&literal, &[], &[]);
        assert!(expected.is_some());
        let given = pipeline.replace("WHAT", "${V0}");
        assert_eq!(options_of(&given, &[value.to_owned()], &[]), expected, "{value}");
        assert_eq!(options_of(&written, &[], &sets(value)), expected, "{value}");
        // A variable of `--set`, and one in the middle of a text.
        assert_eq!(options_of(&written, &[value.to_owned()], &sets("${V0}")), expected, "{value}");
        let (first, rest) = value.split_at(1);
        let halves = [first, rest].map(str::to_owned);
        assert_eq!(options_of(&pipeline.replace("WHAT", "${V0}${V1}"), &halves, &[]), expected, "{value}");
        // Quotes mean text.
        assert_eq!(options_of(&literal, &[], &sets(&format!("'{value}'"))), options_of(&written, &[], &[]));
    }
}
