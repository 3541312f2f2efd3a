use std::collections::BTreeMap;

/// A line's words as the shell has them, and whether an `&` that is not quoted ends a URL too early.
pub(super) fn words(line: &str) -> (Vec<String>, bool) {
    let (mut words, mut word, mut quote, mut cut) = (Vec::new(), String::new(), None, false);
    // Whether the word was quoted to its end.
    let mut closed = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => (quote, closed) = (None, true),
            (None, '"' | '\'') => quote = Some(letter),
            (None, '\\') => word.extend(letters.next()),
            (None, '&' | ';' | '|' | '>' | '<') => {
                // Only within a word, and before more of it, it is a mistake.
                cut = letter == '&'
                    && word.contains("://")
                    && letters.peek().is_some_and(|next| next.is_alphanumeric());
                if cut {
                    // Read on, as it was meant.
                    word.push(letter);
                    word.extend(letters.by_ref().take_while(|next| !next.is_whitespace()));
                }
                // What stands before the call is another command.
                if !cut && !word.contains("://") && !words.iter().any(|word: &String| word.contains("://")) {
                    words.push(std::mem::take(&mut word));
                    continue;
                }
                break;
            }
            // YAML's lists in one line: ["wget", "…"].
            (None, ',' | '[' | ']') if line.contains('[') && (closed || !word.contains("://")) => {
                words.push(std::mem::take(&mut word));
            }
            (None, _) if letter.is_whitespace() => words.push(std::mem::take(&mut word)),
            _ => {
                closed = false;
                word.push(letter);
            }
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    (words, cut)
}

/// `echo url="…" | curl -K -` with the URL as an argument.
pub(super) fn piped(line: &str) -> Option<String> {
    let (before, after) = line.rsplit_once('|')?;
    let (_, url) = before.split_once("url=")?;
    let (tool, options) = after.trim().split_once(' ')?;
    let reads = ["-K -", "-K-", "--config -", "--config=-"].iter().any(|option| options.contains(option));
    let url = url.trim().trim_matches(['"', '\'']);
    (reads && tool.ends_with("curl")).then(|| format!("{tool} \"{url}\" {options}"))
}

/// What a line of a crontab runs.
fn scheduled(line: &str) -> Option<&str> {
    let mut rest = line.trim();
    let fields = if rest.starts_with('@') { 1 } else { 5 };
    for _ in 0..fields {
        let (field, after) = rest.split_once(char::is_whitespace)?;
        let time = |c: char| c.is_ascii_alphanumeric() || "*/,-".contains(c);
        let first = field.starts_with(|c: char| c.is_ascii_digit() || "*@".contains(c));
        // Months and weekdays may be words.
        if !(field.starts_with('@') || field.chars().all(time) && (first || field.len() <= 7)) {
            return None;
        }
        rest = after.trim_start();
    }
    (fields == 1 || line.trim().starts_with(|c: char| c.is_ascii_digit() || c == '*')).then_some(rest)
}

/// The script that a line of a crontab runs, if it calls nothing itself.
pub(super) fn script(line: &str) -> Option<&str> {
    let command = scheduled(line)?;
    if ["curl", "wget", "://"].iter().any(|word| command.contains(word)) {
        return None;
    }
    command
        .split([' ', '\t', ';', '&', '|', '"', '\''])
        .find(|word| word.rsplit_once('.').is_some_and(|(_, kind)| kind == "sh"))
}

/// Variables that a call may name, each with its value or why that is not known.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables(BTreeMap<String, Result<String, String>>);

/// A text with its variables filled in.
pub(super) struct Filled {
    pub(super) text: String,
    pub(super) faults: Vec<String>,
}

impl Variables {
    pub(super) fn set(&mut self, name: &str, value: Result<String, String>) {
        self.0.insert(name.to_owned(), value);
    }

    /// Whether a line is `NAME=value`, which is noted then.
    pub(super) fn assign(&mut self, line: &str) -> bool {
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else { return false };
        let value = value.trim();
        let quoted = value.len() > 1 && value.starts_with(['"', '\'']) && value.ends_with(['"', '\'']);
        let plain = quoted || !value.contains([' ', '\t', '(', '`']);
        if !is_name(name) || !plain {
            return false;
        }
        self.set(name, Ok(value.trim_matches(['"', '\'']).to_owned()));
        true
    }

    /// Fills in `$NAME`, `${NAME}` and Kubernetes' `$(NAME)`; what is not known stays.
    pub(super) fn fill(&self, text: &str) -> String {
        self.filled(text, false).text
    }

    /// The same in a URL, where values are percent-encoded: so it was meant.
    pub(super) fn fill_url(&self, text: &str) -> Filled {
        self.filled(text, true)
    }

    fn filled(&self, text: &str, url: bool) -> Filled {
        let mut filled = Filled { text: String::new(), faults: Vec::new() };
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            filled.text.push_str(&rest[..at]);
            let Some((name, after)) = variable(&rest[at + 1..]) else {
                filled.text.push('$');
                rest = &rest[at + 1..];
                continue;
            };
            rest = after;
            match self.0.get(name) {
                Some(Ok(value)) if url => {
                    if value.contains(['&', '+', '#', '%', ' ']) {
                        filled.faults.push(format!(
                            "the value of {name} holds characters that cut or change a URL in which they are not percent-encoded; they are, from now on"
                        ));
                    }
                    filled.text.extend(url::form_urlencoded::byte_serialize(value.as_bytes()));
                }
                Some(Ok(value)) => filled.text.push_str(value),
                Some(Err(why)) => filled.faults.push(format!("{name} is not known: {why}")),
                None => filled.faults.push(format!("{name} is not known: it is set nowhere in this file")),
            }
        }
        filled.text.push_str(rest);
        filled
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The name after a `$`, and what comes behind it.
fn variable(text: &str) -> Option<(&str, &str)> {
    for (open, close) in [('{', '}'), ('(', ')')] {
        if let Some(inner) = text.strip_prefix(open) {
            return inner.split_once(close).filter(|(name, _)| is_name(name));
        }
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    Some(text.split_at(end)).filter(|(name, _)| is_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in() {
        let mut variables = Variables::default();
        for line in ["PASSWORD='a&b c'", "export HOST=home.example.org", "TOKEN=\"t\""] {
            assert!(variables.assign(line), "{line}");
        }
        for line in ["curl https://a.example/?x=1", "X=$(curl a)", "1X=2", "x = 1"] {
            assert!(!variables.assign(line), "{line}");
        }
        variables.set("HIDDEN", Err("it comes from the secret s".to_owned()));
        let filled = variables.fill_url("https://a.example/?h=$HOST&p=${PASSWORD}&t=$(TOKEN)&x=$HIDDEN&y=$5");
        assert_eq!(filled.text, "https://a.example/?h=home.example.org&p=a%26b+c&t=t&x=&y=$5");
        assert_eq!(filled.faults.len(), 2, "{:?}", filled.faults);
        assert!(filled.faults.iter().all(|fault| !fault.contains("a&b")), "{:?}", filled.faults);
        assert_eq!(variables.fill("me:$PASSWORD"), "me:a&b c");
    }
}
