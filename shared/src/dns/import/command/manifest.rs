//! Kubernetes manifests, as far as containers and secrets stand in them.
//!
//! Of YAML this reads what manifests are written in: maps and lists by indentation, lists in brackets, texts with and without quotes, and texts
//! of several lines (`|`, `>`). Anchors, tags and maps in braces are not read: what stands in them is not found.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::shell::Variables;

/// A container: what it runs, and with which variables.
#[derive(Debug, Default)]
pub(super) struct Container {
    pub(super) image: String,
    /// Whether it has a command, so that the image's own does not count.
    pub(super) has_command: bool,
    /// Command and arguments, each with its line.
    pub(super) words: Vec<(usize, String)>,
    pub(super) variables: Variables,
}

/// Whether a text is a manifest.
pub(super) fn is(text: &str) -> bool {
    let has = |key: &str| text.lines().any(|line| line.trim_start().starts_with(key));
    has("apiVersion:") && has("kind:")
}

/// All containers of all documents. Secrets of the same file are known to them.
pub(super) fn containers(text: &str) -> Vec<Container> {
    let documents = documents(text);
    let mut found = Vec::new();
    for document in &documents {
        walk(document, &documents, &mut found);
    }
    found
}

#[derive(Debug)]
enum Node {
    Text(usize, String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Node {
    fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(found, _)| found == key).map(|(_, node)| node),
            Self::Text(..) | Self::List(_) => None,
        }
    }

    fn at(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    fn text(&self) -> Option<&str> {
        if let Self::Text(_, text) = self { Some(text) } else { None }
    }

    fn items(&self) -> &[Self] {
        if let Self::List(items) = self { items } else { &[] }
    }
}

fn walk(node: &Node, documents: &[Node], found: &mut Vec<Container>) {
    match node {
        Node::Text(..) => {}
        Node::List(items) => {
            for item in items {
                walk(item, documents, found);
            }
        }
        Node::Map(entries) => {
            if node.get("image").is_some() {
                found.push(container(node, documents));
            }
            for (_, inner) in entries {
                walk(inner, documents, found);
            }
        }
    }
}

fn container(node: &Node, documents: &[Node]) -> Container {
    let words = |key| {
        let items = node.get(key).map(Node::items).unwrap_or_default();
        items.iter().filter_map(|item| {
            if let Node::Text(line, text) = item { Some((*line, text.clone())) } else { None }
        })
    };
    let mut variables = Variables::default();
    for variable in node.get("env").map(Node::items).unwrap_or_default() {
        let Some(name) = variable.get("name").and_then(Node::text) else { continue };
        let value = match (variable.get("value"), variable.at(&["valueFrom", "secretKeyRef"])) {
            (Some(value), _) => Ok(value.text().unwrap_or_default().to_owned()),
            (None, Some(secret)) => {
                let part = |key| secret.get(key).and_then(Node::text).unwrap_or_default();
                of_secret(documents, part("name"), part("key"))
            }
            _ => Err("it does not stand in this file".to_owned()),
        };
        variables.set(name, value);
    }
    Container {
        image: node.get("image").and_then(Node::text).unwrap_or_default().to_owned(),
        has_command: node.get("command").is_some(),
        words: words("command").chain(words("args")).collect(),
        variables,
    }
}

/// A value of a secret that stands in the same file.
fn of_secret(documents: &[Node], name: &str, key: &str) -> Result<String, String> {
    let is = |document: &&Node| {
        document.get("kind").and_then(Node::text) == Some("Secret")
            && document.at(&["metadata", "name"]).and_then(Node::text) == Some(name)
    };
    let value = documents.iter().filter(is).find_map(|document| {
        let plain = document.at(&["stringData", key]).and_then(Node::text).map(str::to_owned);
        plain.or_else(|| {
            let bytes = STANDARD.decode(document.at(&["data", key])?.text()?).ok()?;
            String::from_utf8(bytes).ok()
        })
    });
    value.map(|value| value.trim_end_matches(['\r', '\n']).to_owned()).ok_or_else(|| {
        format!(
            "it is the key {key} of the secret {name}, which does not stand in this file; add the name by hand: \
             `kubectl get secret {name} -o jsonpath='{{.data.{key}}}' | base64 -d | syncfleet dns add …`"
        )
    })
}

struct Line<'a> {
    number: usize,
    indent: usize,
    text: &'a str,
}

/// The documents of a file, those that can be read.
fn documents(text: &str) -> Vec<Node> {
    let mut documents = Vec::new();
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim_end() == "---" {
            documents.push(std::mem::take(&mut lines));
        } else {
            let text = line.trim_start_matches(' ');
            lines.push(Line { number: at + 1, indent: line.len() - text.len(), text });
        }
    }
    documents.push(lines);
    documents.iter().map(|lines| block(lines, &mut 0, 0)).collect()
}

/// Whether nothing stands in a line.
fn is_empty(line: &Line<'_>) -> bool {
    let text = line.text.trim();
    text.is_empty() || text.starts_with('#')
}

/// The list or map that begins at `at`, indented by `least` and more.
fn block(lines: &[Line<'_>], at: &mut usize, least: usize) -> Node {
    skip(lines, at);
    let Some(first) = lines.get(*at).filter(|line| line.indent >= least) else {
        return Node::List(Vec::new());
    };
    let indent = first.indent;
    let is_list = item(first.text).is_some();
    let (mut items, mut entries) = (Vec::new(), Vec::new());
    while let Some(line) = lines.get(*at).filter(|line| line.indent == indent) {
        match item(line.text) {
            Some((offset, rest)) if is_list => items.push(inner(lines, at, (indent + offset, rest))),
            None if !is_list => {
                let Some((key, rest)) = key(line.text) else { break };
                entries.push((key.to_owned(), value(lines, at, indent, rest)));
            }
            _ => break,
        }
        skip(lines, at);
    }
    // What is not read is passed over.
    while lines.get(*at).is_some_and(|line| line.indent > indent) {
        *at += 1;
        skip(lines, at);
    }
    if is_list { Node::List(items) } else { Node::Map(entries) }
}

fn skip(lines: &[Line<'_>], at: &mut usize) {
    while lines.get(*at).is_some_and(is_empty) {
        *at += 1;
    }
}

/// What stands after the `-` of a list, and how far in.
fn item(text: &str) -> Option<(usize, &str)> {
    let rest = text.strip_prefix('-').filter(|rest| rest.is_empty() || rest.starts_with(' '))?;
    let inner = rest.trim_start();
    Some((text.len() - inner.len(), inner))
}

/// A list's item: a text, or a map whose first entry stands in the same line.
fn inner(lines: &[Line<'_>], at: &mut usize, (indent, rest): (usize, &str)) -> Node {
    let number = lines[*at].number;
    if key(rest).is_none() || rest.starts_with(['"', '\'']) {
        return value(lines, at, indent.saturating_sub(1), rest);
    }
    // As if the first entry stood in a line of its own.
    let mut own = vec![Line { number, indent, text: rest }];
    let mut end = *at + 1;
    while lines.get(end).is_some_and(|line| line.indent >= indent || is_empty(line)) {
        own.push(Line { number: lines[end].number, indent: lines[end].indent, text: lines[end].text });
        end += 1;
    }
    *at = end;
    block(&own, &mut 0, indent)
}

/// `key: rest`
fn key(text: &str) -> Option<(&str, &str)> {
    let (key, rest) = text.split_once(':')?;
    let plain = !key.is_empty() && !key.contains(char::is_whitespace) && !key.contains(['[', '{']);
    (plain && (rest.is_empty() || rest.starts_with(' ')))
        .then_some((key.trim_matches(['"', '\'']), rest.trim()))
}

/// What belongs to a key or an item: the rest of its line, or what is indented below it.
fn value(lines: &[Line<'_>], at: &mut usize, indent: usize, rest: &str) -> Node {
    let number = lines[*at].number;
    *at += 1;
    let rest = without_comment(rest);
    match rest.chars().next() {
        None => {
            skip(lines, at);
            // A list may stand as far out as its key.
            let below = lines
                .get(*at)
                .map_or(indent + 1, |line| if item(line.text).is_some() { indent } else { indent + 1 });
            block(lines, at, below)
        }
        Some(style @ ('|' | '>')) => several(lines, at, indent, style),
        Some('[') => {
            let mut whole = rest.to_owned();
            while !whole.trim_end().ends_with(']') {
                let Some(line) = lines.get(*at) else { break };
                whole.push_str(without_comment(line.text));
                *at += 1;
            }
            let inner = whole.trim().trim_start_matches('[').trim_end_matches(']');
            Node::List(flow(inner).into_iter().map(|text| Node::Text(number, text)).collect())
        }
        Some(_) => Node::Text(number, unquoted(rest)),
    }
}

/// A text of several lines: kept as they are, or folded into one.
fn several(lines: &[Line<'_>], at: &mut usize, indent: usize, style: char) -> Node {
    let number = lines.get(*at).map_or(1, |line| line.number);
    let mut parts: Vec<&str> = Vec::new();
    while let Some(line) = lines.get(*at).filter(|line| line.text.trim().is_empty() || line.indent > indent) {
        parts.push(line.text.trim_end());
        *at += 1;
    }
    Node::Text(number, parts.join(if style == '|' { "\n" } else { " " }))
}

/// What stands before a comment.
fn without_comment(text: &str) -> &str {
    let mut quote = None;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, '#') if at == 0 || text[..at].ends_with(char::is_whitespace) => return text[..at].trim(),
            _ => {}
        }
    }
    text.trim()
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    if let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        return inner.replace("\\\"", "\"").replace("\\\\", "\\");
    }
    if let Some(inner) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        return inner.replace("''", "'");
    }
    text.to_owned()
}

/// The items of a list in brackets.
fn flow(text: &str) -> Vec<String> {
    let (mut items, mut item, mut quote) = (Vec::new(), String::new(), None);
    for letter in text.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, ',') => {
                items.push(unquoted(&std::mem::take(&mut item)));
                continue;
            }
            _ => {}
        }
        item.push(letter);
    }
    items.push(unquoted(&item));
    items.retain(|item| !item.is_empty());
    items
}
