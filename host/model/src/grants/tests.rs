use super::*;

fn asked(json: &str) -> Result<Grants, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn texts_and_what_they_cover() {
    let check = |grant: &str, need: &str, expected: bool| {
        let (parsed, other): (Grant, Grant) = (grant.parse().unwrap(), need.parse().unwrap());
        assert_eq!(parsed.to_string(), grant);
        assert_eq!(parsed.covers(&other), expected, "{grant} {need}");
    };
    check("runs:f/demo/*", "runs:f/demo/a", true);
    check("runs:f/demo/*", "runs:f/demo/a/b", true);
    check("runs:f/demo/*", "runs:f/demo/*/x", true);
    check("runs:f/demo/*", "runs:f/demos/a", false);
    check("runs:f/demo/a", "runs:f/demo/*", false);
    check("runs:f/demo/a", "runs:f/demo/ab", false);
    check("runs:*", "runs:u/ann/x", true);
    check("runs:*", "resources:u/ann/x", false);
    check("variables:f/a/*", "secrets:f/a/b", false);
    check("secrets:f/a/*", "secrets:f/a/b", true);
    check("sql:read f/db/*", "sql:read f/db/main", true);
    check("sql:read f/db/*", "sql:write f/db/main", false);
    check("sql:write f/db/main", "sql:read f/db/main", true);
    check("sql:write f/db/main", "sql:read f/db/other", false);
    check("blob:read reports/", "blob:read reports/a/b", true);
    check("blob:read reports/", "blob:read reports", false);
    check("blob:read reports/", "blob:read reportsx/a", false);
    check("blob:read reports/a", "blob:read reports/ab", false);
    check("blob:write *", "blob:read x/", true);
    check("blob:write a/b/", "blob:write a/", false);
    check("http:https://*", "http:GET https://api.example.com/x", true);
    check("http:GET https://api.example.com/x", "http:https://api.example.com/x", false);
    check("http:https://api.example.com with f/a/b", "http:https://api.example.com", true);
    check("http:https://api.example.com", "http:https://api.example.com with f/a/b", false);
}

#[test]
fn what_is_no_grant_is_told() {
    for (text, fault) in [
        ("", "kind"),
        ("f/demo/*", "kind"),
        ("moon:f/a/b", "the kinds are"),
        ("runs:", "begins neither"),
        ("runs:demo/*", "begins neither"),
        ("runs:f/../x", "like no path"),
        ("runs:f//x", "like no path"),
        ("runs:f/a b", "like no path"),
        ("runs:f/a/", "like no path"),
        ("runs:F/a/b", "begins neither"),
        ("runs:f/\u{e4}/*", "like no path"),
        (&format!("runs:f/{}", "x".repeat(600)), "more than 512"),
        ("sql:f/db/main", "`read ` or `write `"),
        ("sql:delete f/db/main", "`read ` or `write `"),
        ("sql:read", "begins neither"),
        ("blob:read ", "empty"),
        ("blob:read /", "empty"),
        ("blob:read /a", "empty"),
        ("blob:read a/../b", "`..`"),
        ("blob:read a\\b", "no key has"),
        ("blob:read a*/", "no key has"),
        ("blob:read **", "no key has"),
        ("blob:read a\nb", "no key has"),
    ] {
        let error = text.parse::<Grant>().unwrap_err().to_string();
        assert!(error.contains(fault), "{text}: {error}");
    }
}

#[test]
fn a_manifest_asks_and_only_what_is_given_works() {
    let grants = asked(r#"{"runs":["f/demo/*"],"sql":["read f/db/main","write f/db/own"],"blob":["write reports/"]}"#).unwrap();
    assert_eq!(grants.check(), Ok(()));
    assert_eq!(grants.iter().collect::<Grants>(), grants);
    let given: Vec<Grant> = ["sql:write f/db/*", "blob:read *", "runs:f/demo/one"].iter().map(|text| text.parse().unwrap()).collect();
    let texts: Vec<String> = grants.given(&given).iter().map(|grant| grant.to_string()).collect();
    assert_eq!(texts, ["sql:read f/db/main", "sql:write f/db/own"]);
    assert!(grants.given(&[]).is_empty());
    assert_eq!(grants.scopes(), ["runs:start:f/demo/*".parse().unwrap()]);
}

#[test]
fn what_a_manifest_may_not_ask_is_told() {
    assert!(asked(r#"{"runs":["demo/*"]}"#).unwrap_err().contains("`demo/*` begins neither"));
    assert!(asked(r#"{"planets":["f/x/*"]}"#).unwrap_err().contains("unknown field"));
    let many = |count: usize| asked(&format!("{{\"runs\":{:?}}}", vec!["f/a/b"; count])).unwrap().check();
    assert!(many(GRANTS_MAX).is_ok());
    assert!(many(GRANTS_MAX + 1).is_err());
}

#[test]
fn a_denial_says_how_to_give_what_is_missing() {
    let script = "f/demo/job".parse().unwrap();
    let need: Grant = "sql:write f/db/main".parse().unwrap();
    let text = denial(&script, &need, &Grants::default());
    assert!(text.contains("[grants]") && text.contains("sql = [\"write f/db/main\"]") && text.contains("--grant"), "{text}");
    let text = denial(&script, &need, &asked(r#"{"sql":["write f/db/*"]}"#).unwrap());
    assert!(text.contains("sandmill grants give f/demo/job \"sql:write f/db/*\""), "{text}");
}
