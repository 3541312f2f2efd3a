//! Reads Prometheus's text format.

/// The sum of a metric's values over all label sets that hold these labels.
pub fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    text.lines()
        .filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (set, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.rsplit_once('}')?,
                None => ("", rest.strip_prefix(' ')?),
            };
            let holds = labels.iter().all(|(key, value)| set.contains(&format!("{key}=\"{value}\"")));
            value.trim().parse::<f64>().ok().filter(|_| holds)
        })
        .sum()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these numbers are exact in binary")]
mod tests {
    use super::*;

    #[test]
    fn sums_the_sets_that_hold_the_labels() {
        let text = "# TYPE runs counter\nruns{kind=\"a\",outcome=\"complete\"} 3\nruns{kind=\"a\",outcome=\"retry\"} 5\n\
                    runs{kind=\"b\",outcome=\"complete\"} 7\nruns_total 100\nplain 2.5\n";
        assert_eq!(sum(text, "runs", &[("outcome", "complete")]), 10.0);
        assert_eq!(sum(text, "runs", &[("kind", "a"), ("outcome", "retry")]), 5.0);
        assert_eq!(sum(text, "plain", &[]), 2.5);
        assert_eq!(sum(text, "absent", &[]), 0.0);
    }
}
