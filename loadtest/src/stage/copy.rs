//! Lines of `copy`: <https://www.postgresql.org/docs/current/sql-copy.html>, text format.

/// Adds a column's value, escaped; none is null.
pub fn push(lines: &mut String, column: Option<&str>) {
    let Some(text) = column else { return lines.push_str("\\N") };
    for c in text.chars() {
        match c {
            '\\' => lines.push_str("\\\\"),
            '\t' => lines.push_str("\\t"),
            '\n' => lines.push_str("\\n"),
            '\r' => lines.push_str("\\r"),
            c => lines.push(c),
        }
    }
}
