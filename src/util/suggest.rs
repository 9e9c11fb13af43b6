//! Suggestions for mistyped names.

/// The most similar of some names, if it is similar enough to be a typo.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |name: &str| strsim::jaro_winkler(&name.to_lowercase(), &wanted.to_lowercase());
    let near = names.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(near) > 0.8).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_similar_names_are_suggested() {
        let names = ["heroku", "planetscale", "neon"];
        assert_eq!(nearest("Herokuu", names), Some("heroku"));
        assert_eq!(nearest("planet", names), Some("planetscale"));
        assert_eq!(nearest("oracle", names), None);
    }
}
