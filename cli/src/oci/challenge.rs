//! What a registry asks for before it answers: `WWW-Authenticate`.

/// How to show who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    /// Where tokens are given, and for whom.
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

/// The best of what the headers ask for; none if it is nothing known.
pub(super) fn parse<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let mut found = None;
    for header in headers {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            let parameters = parameters(rest);
            let of = |name: &str| parameters.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone());
            if let Some(realm) = of("realm") {
                return Some(Challenge::Bearer { realm, service: of("service") });
            }
        } else if scheme.eq_ignore_ascii_case("basic") {
            found = Some(Challenge::Basic);
        }
    }
    found
}

/// `name="value", name=value`; a value in quotes may have commas.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',', '\t']).to_owned();
        let (value, after) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => {
                let (value, after) = after.split_once(',').unwrap_or((after, ""));
                (value.trim().to_owned(), after)
            }
        };
        found.push((name, value));
        rest = after;
    }
    found
}

/// The value up to the closing quote, and what follows that.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges() {
        let bearer = |realm: &str, service: Option<&str>| Some(Challenge::Bearer { realm: realm.into(), service: service.map(Into::into) });
        for (headers, expected) in [
            (
                vec![r#"Bearer realm="https://auth.test/token",service="r.test",scope="repository:a/b:pull,push""#],
                bearer("https://auth.test/token", Some("r.test")),
            ),
            (vec!["bearer realm=https://auth.test , service=x"], bearer("https://auth.test", Some("x"))),
            (vec!["Basic realm=\"x\"", "Bearer realm=\"y\\\"z\""], bearer("y\"z", None)),
            (vec!["Basic realm=\"Registry\""], Some(Challenge::Basic)),
            (vec!["BASIC"], Some(Challenge::Basic)),
            (vec!["Bearer"], None),
            (vec!["Bearer realm"], None),
            (vec!["Digest realm=\"x\""], None),
            (vec!["Bearer realm=\"y"], bearer("y", None)),
            (vec![], None),
        ] {
            assert_eq!(parse(headers.iter().copied()), expected, "{headers:?}");
        }
    }
}
