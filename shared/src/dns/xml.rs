use quick_xml::{XmlVersion, events::Event, reader::Reader};

/// The texts of a document, each with the names of the elements around it, as `Error/Code`; name spaces are left out. None: it is no
/// XML. No entity but the five of XML is known, so that a document can neither grow nor lead anywhere.
pub(super) fn texts(document: &str) -> Option<Vec<(String, String)>> {
    let mut reader = Reader::from_str(document);
    let (mut path, mut found, mut text): (Vec<String>, Vec<(String, String)>, String) = Default::default();
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) => {
                path.push(String::from_utf8_lossy(element.local_name().as_ref()).into_owned());
                text.clear();
            }
            Event::End(_) => {
                if !text.trim().is_empty() {
                    found.push((path.join("/"), text.trim().to_owned()));
                }
                text.clear();
                path.pop()?;
            }
            Event::Text(part) => text.push_str(&part.xml_content(XmlVersion::Implicit1_0).ok()?),
            Event::CData(part) => text.push_str(&part.xml_content(XmlVersion::Implicit1_0).ok()?),
            Event::GeneralRef(entity) => {
                let name = entity.decode().ok()?;
                text.push(match &*name {
                    "amp" => '&',
                    "lt" => '<',
                    "gt" => '>',
                    "quot" => '"',
                    "apos" => '\'',
                    _ => entity.resolve_char_ref().ok()??,
                });
            }
            Event::Eof => return (path.is_empty() && !found.is_empty()).then_some(found),
            _ => {}
        }
    }
}

/// The first text whose path ends with this.
pub(super) fn first<'a>(texts: &'a [(String, String)], path: &str) -> Option<&'a str> {
    let whole = |found: &str| {
        found.strip_suffix(path).is_some_and(|before| before.is_empty() || before.ends_with('/'))
    };
    texts.iter().find(|(found, _)| whole(found)).map(|(_, text)| text.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_their_path() {
        let document = "<?xml version=\"1.0\"?>\n<s:R xmlns:s=\"x\"><E><Code>No&amp;&#65;</Code></E><E><Code>2</Code></E></s:R>";
        let texts = texts(document).unwrap();
        assert_eq!(first(&texts, "E/Code"), Some("No&A"));
        assert_eq!(first(&texts, "ode"), None);
    }

    #[test]
    fn what_is_no_document_is_told_from_one() {
        for bad in ["", "good", "<a>", "<a></b>", "<a>x", "<a>&bomb;</a>", "</a>"] {
            assert!(texts(bad).is_none(), "{bad}");
        }
    }
}
