//! What Google's own documents are exported as: <https://developers.google.com/workspace/drive/api/guides/ref-export-formats>.

use serde_json::{Value, json};

/// What all of their types begin with.
const NATIVE: &str = "application/vnd.google-apps.";

/// Kinds of documents that can be exported, by the last word of their type, with the usual format.
const USUAL: [(&str, &str); 5] = [
    ("document", "docx"),
    ("spreadsheet", "xlsx"),
    ("presentation", "pptx"),
    ("drawing", "png"),
    ("script", "json"),
];

/// Formats, by the ending of a file's name.
const FORMATS: [(&str, &str); 18] = [
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("pdf", "application/pdf"),
    ("rtf", "application/rtf"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("html.zip", "application/zip"),
    ("epub", "application/epub+zip"),
    ("csv", "text/csv"),
    ("tsv", "text/tab-separated-values"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("svg", "image/svg+xml"),
    ("json", "application/vnd.google-apps.script+json"),
];

/// The usual formats, from type to type, as JSON.
#[must_use]
pub fn usual() -> Value {
    let pairs = USUAL
        .iter()
        .filter_map(|(kind, ending)| Some((format!("{NATIVE}{kind}"), json!(mime_type(ending)?))));
    Value::Object(pairs.collect())
}

/// The type of an ending.
#[must_use]
pub fn mime_type(ending: &str) -> Option<&'static str> {
    FORMATS.iter().find(|(known, _)| *known == ending).map(|(_, kind)| *kind)
}

/// The ending of a type.
#[must_use]
pub fn ending(mime_type: &str) -> Option<&'static str> {
    FORMATS.iter().find(|(_, kind)| *kind == mime_type).map(|(ending, _)| *ending)
}

/// Reads `document=pdf`: the type, and what it is exported as.
pub fn read(text: &str) -> Result<(String, String), String> {
    let (kind, ending) = text.trim().split_once('=').unwrap_or((text, ""));
    if !USUAL.iter().any(|(known, _)| *known == kind) {
        let known: Vec<_> = USUAL.iter().map(|(kind, _)| *kind).collect();
        return Err(format!("{text:?}: give KIND=FORMAT, where KIND is one of {}", known.join(", ")));
    }
    let format = mime_type(ending).ok_or_else(|| {
        let known: Vec<_> = FORMATS.iter().map(|(ending, _)| *ending).collect();
        format!("{text:?}: give KIND=FORMAT, where FORMAT is one of {}", known.join(", "))
    })?;
    Ok((format!("{NATIVE}{kind}"), format.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_formats_are_known_ones_and_choices_are_read() {
        let usual = usual();
        assert_eq!(usual.as_object().unwrap().len(), USUAL.len());
        let docx = &usual["application/vnd.google-apps.document"];
        assert_eq!(ending(docx.as_str().unwrap()), Some("docx"));
        let pdf = ("application/vnd.google-apps.drawing".to_owned(), "application/pdf".to_owned());
        assert_eq!(read("drawing=pdf"), Ok(pdf));
        for bad in ["", "form=pdf", "document", "document=", "document=exe"] {
            assert!(read(bad).unwrap_err().contains("KIND=FORMAT"), "{bad}");
        }
    }
}
