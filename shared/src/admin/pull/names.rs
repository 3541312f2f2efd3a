//! Names from Drive as names of files: any text becomes one that is harmless on this system and on others.

use std::collections::{HashMap, HashSet};

use crate::{
    google::formats,
    objects::{Sums, hex},
    store::contents::Stored,
};

/// No file system here takes longer ones; a suffix and the name while it is written fit, too.
const LONGEST: usize = 200;

/// Names that are devices on Windows, whatever their ending.
const RESERVED: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];

/// A path for each file, with slashes between its names, each name safe. No two are equal, whatever the case of their letters, and
/// none is that of a folder: files that would share one get a mark that hangs on their id alone, and no name that somebody gave
/// looks like one with a mark.
#[must_use]
pub fn paths(files: &[Stored]) -> Vec<String> {
    let plain: Vec<(String, String)> = files
        .iter()
        .map(|file| {
            let (name, above) =
                file.names.split_last().map_or(("", &[][..]), |(name, above)| (name.as_str(), above));
            let folder: String = above.iter().fold(String::new(), |folder, name| folder + &safe(name) + "/");
            (folder, safe(&with_ending(name, file.format.as_deref())))
        })
        .collect();
    let key = |(folder, name): &(String, String)| format!("{folder}{name}").to_lowercase();
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut folders: HashSet<String> = HashSet::new();
    for place in &plain {
        *counts.entry(key(place)).or_default() += 1;
        let folder = place.0.to_lowercase();
        folders.extend(folder.match_indices('/').map(|(end, _)| folder[..end].to_owned()));
    }
    plain
        .iter()
        .zip(files)
        .map(|(place, file)| {
            let key = key(place);
            let is_alone = counts.get(&key) == Some(&1) && !folders.contains(&key);
            let name = if is_alone { place.1.clone() } else { marked(&place.1, &file.file_id) };
            format!("{}{name}", place.0)
        })
        .collect()
}

/// An exported document gets its format's ending.
fn with_ending(name: &str, format: Option<&str>) -> String {
    match format.and_then(formats::ending) {
        Some(ending) if !name.to_lowercase().ends_with(&format!(".{ending}")) => format!("{name}.{ending}"),
        _ => name.to_owned(),
    }
}

/// Letters of a mark.
const MARK: usize = 16;

/// The name with a mark of the file's id before its ending: `~` and digits of hexadecimal.
fn marked(name: &str, id: &str) -> String {
    let mut sums = Sums::default();
    sums.update(id.as_bytes());
    let mark = hex(&sums.finish().0[..MARK / 2]);
    match name.rsplit_once('.').filter(|(stem, ending)| !stem.is_empty() && ending.len() <= 10) {
        Some((stem, ending)) => format!("{stem}~{mark}.{ending}"),
        None => format!("{name}~{mark}"),
    }
}

/// The name without anything that [`marked`] could have made of another.
fn unmarked(name: &str) -> String {
    let is_mark = |at: usize| {
        let rest = &name.as_bytes()[at + 1..];
        rest.len() >= MARK && rest[..MARK].iter().all(u8::is_ascii_hexdigit)
    };
    name.char_indices().map(|(at, c)| if c == '~' && is_mark(at) { '_' } else { c }).collect()
}

/// Whether a character is not shown, or changes the order in which others are: `exe.fdp` would be read as `pdf.exe`.
/// <https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A name without slashes, hidden characters and what other systems do not take; not empty, not too long, none that means
/// something to the system or to this program.
#[must_use]
pub fn safe(name: &str) -> String {
    let replaced: String =
        name.chars().map(|c| if is_hidden(c) || "/\\:*?\"<>|".contains(c) { '_' } else { c }).collect();
    let replaced = unmarked(&replaced);
    let trimmed = replaced.trim_matches(' ').trim_end_matches(['.', ' ']);
    let mut name = shortened(trimmed);
    let stem = name.split('.').next().unwrap_or_default().to_lowercase();
    let device = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_device = stem.len() <= 4 && RESERVED.contains(&device);
    if name.is_empty() || is_device || name.to_lowercase().starts_with(".syncfleet") {
        name.insert(0, '_');
    }
    name
}

/// Whether a part of a path is what [`safe`] makes, as far as the system cares.
#[must_use]
pub fn is_safe(part: &str) -> bool {
    !part.is_empty() && part != "." && part != ".." && !part.contains(['/', '\0'])
}

/// Cut in its middle, so that the ending stays.
fn shortened(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let ending = name.rfind('.').map_or("", |at| &name[at..]);
    let ending = if ending.len() <= 20 { ending } else { "" };
    let mut end = LONGEST - ending.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{ending}", name[..end].trim_end_matches(['.', ' ']))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(id: &str, names: &[&str], format: Option<&str>) -> Stored {
        Stored {
            file_id: id.to_owned(),
            name: String::new(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            mime_type: None,
            state: "stored".to_owned(),
            why: None,
            tries: 0,
            wanted_size: None,
            received: 0,
            format: format.map(str::to_owned),
            size: None,
            sha256: None,
            key: None,
            modified_at: None,
            stored_at: None,
        }
    }

    #[test]
    fn hostile_names_are_harmless() {
        for (name, harmless) in [
            ("plain.txt", "plain.txt"),
            ("../../etc/passwd", ".._.._etc_passwd"),
            ("..", "_"),
            (".", "_"),
            ("", "_"),
            ("a\0b\nc", "a_b_c"),
            ("NUL", "_NUL"),
            ("com1.txt", "_com1.txt"),
            ("communication", "communication"),
            ("ends. . ", "ends"),
            (".syncfleet-manifest.json", "_.syncfleet-manifest.json"),
            ("日本語.txt", "日本語.txt"),
            ("fdp.\u{202e}exe", "fdp._exe"),
            ("a~0123456789abcdef.txt", "a_0123456789abcdef.txt"),
            ("~~0123456789ABCDEF0", "~_0123456789ABCDEF0"),
            ("a~0123.txt", "a~0123.txt"),
        ] {
            assert_eq!(safe(name), harmless, "{name:?}");
        }
    }

    #[test]
    fn equal_names_get_suffixes_that_hang_on_the_file_alone() {
        let files = [
            file("1", &["a.txt"], None),
            file("2", &["A.txt"], None),
            file("3", &["dir"], None),
            file("4", &["dir", "b"], None),
            file("5", &["doc"], Some("application/pdf")),
        ];
        let all = paths(&files);
        assert!(all[0].starts_with("a~") && all[0].ends_with("txt"), "{all:?}");
        assert!(all[1].starts_with("A~") && all[2].starts_with("dir~"), "{all:?}");
        assert_eq!(all[3..], ["dir/b".to_owned(), "doc.pdf".to_owned()]);
        let reversed: Vec<Stored> = files.iter().rev().cloned().collect();
        let mut again = paths(&reversed);
        again.reverse();
        assert_eq!(again, all);
    }

    #[test]
    fn no_name_that_somebody_gives_is_that_of_a_marked_file() {
        let mut files = vec![file("1", &["a.txt"], None), file("2", &["a.txt"], None)];
        let marked = paths(&files);
        // A file, and a folder, with the very name that another one gets.
        files.push(file("3", &[&marked[0]], None));
        files.push(file("4", &[&marked[1], "b"], None));
        files.push(file("5", &[&marked[1].to_uppercase()], None));
        let all = paths(&files);
        assert_eq!(all[..2], marked);
        let folders = all.iter().filter_map(|path| path.split_once('/')).map(|(folder, _)| folder);
        let distinct: HashSet<String> =
            all.iter().map(String::as_str).chain(folders).map(str::to_lowercase).collect();
        assert_eq!(distinct.len(), 6, "{all:?}");
    }

    proptest! {
        #[test]
        fn any_name_is_one_part_of_a_path(name in any::<String>()) {
            let safe = safe(&name);
            prop_assert!(is_safe(&safe) && safe.len() <= LONGEST + 1, "{name:?} -> {safe:?}");
        }

        #[test]
        fn no_two_files_get_one_path(names in prop::collection::vec("(a|A|~|[.]|/|~0{16}){1,4}", 1..8)) {
            let files: Vec<Stored> = names
                .iter()
                .enumerate()
                .map(|(id, name)| file(&id.to_string(), &name.split('/').collect::<Vec<_>>(), None))
                .collect();
            let mut taken: HashSet<String> = HashSet::new();
            let all = paths(&files);
            for path in &all {
                prop_assert!(taken.insert(path.to_lowercase()), "twice: {all:?}");
            }
            for path in &all {
                for (end, _) in path.match_indices('/') {
                    prop_assert!(!taken.contains(&path[..end].to_lowercase()), "a file and a folder: {all:?}");
                }
            }
        }
    }
}
