//! What is written down for people to type is what the program understands: the examples of the documents, of `--help`, and the
//! settings that are named there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use clap::{Command as Clap, CommandFactory as _};

use super::Cli;

/// The workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The documents for people, and the units, each with its path.
fn documents() -> Vec<(String, String)> {
    let named = [
        "README.md",
        "deploy/README.md",
        "deploy/systemd/syncfleet.service",
        "deploy/systemd/user/syncfleet.service",
    ];
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let all = named.into_iter().map(|name| root().join(name)).chain(docs);
    all.map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap())).collect()
}

/// The blocks of shell in a document.
fn shell(text: &str) -> String {
    let blocks = text.split("```sh\n").skip(1).filter_map(|behind| behind.split_once("\n```"));
    blocks.map(|(block, _)| block).collect::<Vec<_>>().join("\n")
}

/// The words of a command as a shell has them, up to a comment or to where another command begins. Variables stay as they are.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t') => words.extend(word.take()),
            (None, '|' | ';' | '&' | '>' | '<') => break,
            (None, '#') if word.is_none() => break,
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// The commands of the program among the lines of a shell, each with the program's name as its first word.
fn commands(lines: &str) -> Vec<Vec<String>> {
    let is_setting = |word: &String| word.contains('=') && !word.starts_with('-');
    let joined = lines.replace("\\\n", " ");
    let split = joined.lines().map(|line| words(line).into_iter().skip_while(is_setting).collect::<Vec<_>>());
    split
        .filter(|words| words.first().is_some_and(|word| word.rsplit('/').next() == Some("syncfleet")))
        .collect()
}

/// Why the program does not understand a command; none: it does.
fn misunderstood(words: &[String]) -> Option<String> {
    let error = Cli::command().try_get_matches_from(words).err()?;
    error.use_stderr().then(|| format!("{}: {error}", words.join(" ")))
}

/// The examples that `--help` has, of a command and of all below it.
fn helped(command: &Clap) -> String {
    let own = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let below: String = command.get_subcommands().map(helped).collect();
    format!("{own}\n{below}")
}

/// The environment variables that a command and all below it know.
fn variables(command: &Clap) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(clap::Arg::get_env);
    let own = own.map(|name| name.to_str().unwrap().to_owned());
    own.chain(command.get_subcommands().flat_map(variables)).collect()
}

#[test]
fn a_shells_words_are_found() {
    for (line, expected) in [
        ("a b  c", &["a", "b", "c"][..]),
        ("a --name '*x y*' \"\" # said", &["a", "--name", "*x y*", ""]),
        ("a b#c &", &["a", "b#c"]),
        ("  a | b", &["a"]),
        ("", &[]),
    ] {
        assert_eq!(words(line), expected, "{line:?}");
    }
    let found = commands("A=b target/release/syncfleet up &\nmake x\nsyncfleet dns \\\n  ls\n");
    assert_eq!(found, [vec!["target/release/syncfleet", "up"], vec!["syncfleet", "dns", "ls"]]);
    assert!(misunderstood(&["syncfleet", "dns", "lst"].map(str::to_owned)).is_some());
}

#[test]
fn every_example_is_understood() {
    let (mut wrong, mut found) = (Vec::new(), 0);
    let in_help = ("--help".to_owned(), helped(&Cli::command()));
    let in_documents = documents().into_iter().map(|(name, text)| (name, shell(&text)));
    for (place, lines) in in_documents.chain([in_help]) {
        for words in commands(&lines) {
            found += 1;
            wrong.extend(misunderstood(&words).map(|why| format!("{place}: {why}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(found > 100, "only {found} examples were found");
}

#[test]
fn every_setting_that_is_named_is_one() {
    // Of the scripts, not of the program.
    let known: BTreeSet<String> =
        variables(&Cli::command()).into_iter().chain(["SYNCFLEET_CACHE".to_owned()]).collect();
    let mut found = 0;
    for (name, text) in documents() {
        for begin in text.match_indices("SYNCFLEET_").map(|(at, _)| at) {
            let letters = text[begin..]
                .chars()
                .take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_');
            let setting: String = letters.collect();
            assert!(known.contains(&setting), "{name} names {setting}, which the program does not know");
            found += 1;
        }
    }
    assert!(found > 30, "only {found} settings were found");
}
