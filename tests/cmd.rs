//! What the commands print, word for word. `TRYCMD=overwrite cargo test --test cmd` writes what they print now.

#[test]
fn the_commands_print_what_their_transcripts_say() {
    trycmd::TestCases::new().case("tests/cmd/*.md");
}
