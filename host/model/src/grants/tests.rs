use std::sync::Arc;

use super::*;
use crate::auth;

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
    check("publish:f/brokers/*", "publish:f/brokers/main", true);
    check("publish:f/brokers/main", "publish:f/brokers/*", false);
    check("publish:f/brokers/main", "resources:f/brokers/main", false);
    check("resources:f/brokers/main", "publish:f/brokers/main", false);
    check("blob:read reports/", "blob:read reports/a/b", true);
    check("blob:read reports/", "blob:read reports", false);
    check("blob:read reports/", "blob:read reportsx/a", false);
    check("blob:read reports/a", "blob:read reports/ab", false);
    check("blob:write *", "blob:read x/", true);
    check("blob:write a/b/", "blob:write a/", false);
    check("api:runs:start:f/demo/*", "api:runs:start:f/demo/a", true);
    check("api:runs:start:f/demo/*", "api:runs:read:f/demo/a", false);
    check("api:runs:start:f/demo/a", "runs:f/demo/a", false);
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
        ("api:tokens:write:*", "names none of scripts"),
        ("api:runs:start", "of which paths"),
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
fn what_a_manifest_asks() {
    let grants = asked(r#"{"runs":["f/demo/*"],"sql":["read f/db/main","write f/db/own"],"blob":["write reports/"]}"#).unwrap();
    assert_eq!(grants.check(), Ok(()));
    assert_eq!(grants.iter().collect::<Grants>(), grants);
    assert_eq!(grants.scopes(), ["runs:start:f/demo/*".parse().unwrap()]);
}

fn grant(text: &str) -> Grant {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn granted(asked: &[&str], given: &[&str]) -> Granted {
    let grants = |texts: &[&str]| texts.iter().map(|text| grant(text)).collect::<Vec<Grant>>();
    Granted::of(Arc::new(grants(asked).into_iter().collect()), grants(given).into())
}

#[test]
fn what_is_both_asked_and_given_works() {
    for (asked, given, works, denied) in [
        // Less is given than is asked for.
        ("variables:f/demo/*", "variables:f/demo/a", "variables:f/demo/a", "variables:f/demo/b"),
        ("secrets:f/demo/*", "secrets:f/demo/a", "secrets:f/demo/a", "variables:f/demo/a"),
        ("resources:*", "resources:u/ann/*", "resources:u/ann/a", "resources:u/anna/a"),
        ("runs:f/demo/*", "runs:f/demo/one", "runs:f/demo/one", "runs:f/demo/two"),
        ("sql:write f/demo/db", "sql:read f/demo/db", "sql:read f/demo/db", "sql:write f/demo/db"),
        ("blob:write reports/", "blob:read *", "blob:read reports/a", "blob:write reports/a"),
        ("blob:write *", "blob:write reports/", "blob:read reports/a", "blob:read other"),
        // More is given than is asked for.
        ("variables:f/demo/a", "variables:f/demo/*", "variables:f/demo/a", "variables:f/demo/b"),
        ("sql:read f/demo/db", "sql:write f/demo/*", "sql:read f/demo/db", "sql:write f/demo/db"),
        // Neither covers the other.
        ("runs:f/demo/a*", "runs:f/*/ab", "runs:f/demo/ab", "runs:f/demo/ac"),
        ("sql:write f/demo/db", "sql:read f/demo/*", "sql:read f/demo/db", "sql:read f/demo/other"),
        ("http:GET https://a.example", "http:https://a.example/x", "http:GET https://a.example/x", "http:POST https://a.example/x"),
        ("http:GET https://a.example", "http:https://a.example/x", "http:GET https://a.example/x", "http:GET https://a.example"),
    ] {
        let granted = granted(&[asked], &[given]);
        assert!(granted.covers(&grant(works)), "{asked} and {given}: {works}");
        assert!(!granted.covers(&grant(denied)), "{asked} and {given}: {denied}");
        assert!(grant(asked).overlaps(&grant(given)), "{asked} and {given}");
    }
    for (asked, given) in
        [("secrets:f/demo/a", "variables:f/demo/a"), ("sql:read f/demo/a", "resources:f/demo/a"), ("runs:*", "resources:*")]
    {
        let granted = granted(&[asked], &[given]);
        assert!(!granted.covers(&grant(asked)) && !granted.covers(&grant(given)), "{asked} is not {given}");
    }
    assert!(!granted(&["runs:*"], &[]).covers(&grant("runs:f/demo/a")) && !granted(&[], &["runs:*"]).covers(&grant("runs:f/demo/a")));
    assert!(!Granted::default().covers(&grant("runs:f/demo/a")));
}

#[test]
fn what_two_grants_have_in_common() {
    for (asked, given, shared) in [
        ("runs:f/demo/*", "runs:f/demo/a", &["runs:f/demo/a"][..]),
        ("runs:f/demo/a", "runs:f/demo/*", &["runs:f/demo/a"]),
        ("runs:f/demo/a", "runs:f/demo/a", &["runs:f/demo/a"]),
        ("runs:f/demo/a", "runs:f/demo/b", &[]),
        ("runs:f/demo/*", "runs:f/demos/*", &[]),
        ("runs:f/demo/*", "runs:f/*", &["runs:f/demo/*"]),
        ("runs:f/a*", "runs:f/*/b", &["runs:f/a*", "runs:f/*/b"]),
        ("runs:f/a*c", "runs:f/*b", &[]),
        ("runs:f/a*", "runs:u/*", &[]),
        ("runs:*", "variables:*", &[]),
        ("secrets:*", "variables:*", &[]),
        ("sql:write f/db/*", "sql:read f/db/main", &["sql:read f/db/main"]),
        ("sql:read f/db/main", "sql:write f/db/*", &["sql:read f/db/main"]),
        ("sql:write f/db/main", "sql:write f/db/other", &[]),
        ("blob:write *", "blob:read a/", &["blob:read a/"]),
        ("blob:read a/b", "blob:write a/", &["blob:read a/b"]),
        ("blob:read a", "blob:read a/", &[]),
        ("blob:read a/", "blob:read b/", &[]),
        ("http:https://a.example with f/x/y", "http:GET https://*", &[]),
        ("http:https://a.example with f/x/y", "http:GET https://* with f/x/y", &["http:https://a.example with f/x/y"]),
        ("http:https://a.example", "http:GET https://* with f/x/y", &["http:https://a.example"]),
        ("api:runs:start:f/a/*", "api:runs:start:*", &["api:runs:start:f/a/*"]),
        ("api:runs:start:f/a*", "api:runs:start:f/*b", &[]),
    ] {
        let texts: Vec<String> = grant(asked).shared(&grant(given)).iter().map(Grant::to_string).collect();
        assert_eq!(texts, shared, "{asked} and {given}");
    }
}

/// Whatever two patterns both cover they overlap in: else what was given could be used unseen.
#[test]
fn patterns_overlap_where_a_path_is_like_both() {
    let patterns =
        ["*", "f/*", "f/a*", "f/*a", "f/a*b", "f/*a*", "f/**", "f/a/*", "f/*/a", "f/a/b", "f/b/a", "f/a*a", "f/*b*a", "u/*", "*a", "*b"];
    let mut paths = vec![String::new()];
    for _ in 0..4 {
        let longer = paths.iter().flat_map(|path| ["a", "b", "/"].map(|letter| format!("{path}{letter}")));
        paths = longer.chain([String::new()]).collect();
    }
    for one in patterns {
        for two in patterns {
            let (own, other): (PathPattern, PathPattern) = (one.parse().unwrap(), two.parse().unwrap());
            let is_like_both = |path: &String| {
                ["f/", "u/"].iter().any(|start| [one, two].iter().all(|glob| auth::matches(glob, &format!("{start}{path}"))))
            };
            assert_eq!(own.overlaps(&other), paths.iter().any(is_like_both), "{one} and {two}");
            assert_eq!(own.overlaps(&other), other.overlaps(&own), "{one} and {two}");
        }
    }
}

#[test]
fn credentials_go_along_where_they_are_given() {
    let works = |asked: &[&str], given: &[&str], path: &str| {
        let origin = "https://a.example".parse().unwrap();
        let granted = granted(asked, given);
        let covering = granted.http(|grant| grant.covers("GET", &origin, path));
        covering.into_iter().map(|grant| grant.to_string()).collect::<Vec<_>>()
    };
    let (plain, with, all) = ("http:https://a.example", "http:https://a.example with f/x/y", "http:https://* with f/x/y");
    let (plain_text, with_text) = (&plain[5..], &with[5..]);
    assert_eq!(works(&[with], &[with], "/"), [with_text]);
    assert_eq!(works(&[with], &[all], "/"), [with_text]);
    assert_eq!(works(&[plain], &[all], "/"), [plain_text]);
    assert!(works(&[with], &[plain], "/").is_empty(), "what was to have credentials does not go without");
    assert!(works(&[with], &["http:https://a.example with f/x/z"], "/").is_empty());
    assert_eq!(works(&[plain, with], &[plain], "/"), [plain_text]);
    let below = "http:https://a.example/below with f/x/y";
    assert_eq!(works(&[with], &[plain, below], "/below/it"), [with_text]);
    assert!(works(&[with], &[plain, below], "/beside").is_empty());
}

#[test]
fn scopes_for_the_api_are_asked_for_and_given() {
    let scopes = |asked: &[&str], given: &[&str]| granted(asked, given).api().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(scopes(&["api:runs:start:f/*", "api:runs:read:f/*"], &["api:runs:start:f/a/*", "runs:f/*"]), ["runs:start:f/a/*"]);
    assert_eq!(scopes(&["api:runs:start:f/a/b"], &["api:runs:start:f/*", "api:runs:start:*"]), ["runs:start:f/a/b"]);
    assert!(scopes(&["api:runs:start:f/a/b"], &[]).is_empty() && scopes(&[], &["api:runs:start:f/a/b"]).is_empty());
}

#[test]
fn patterns_of_all_variables_that_may_be_read() {
    let patterns =
        |asked: &[&str], given: &[&str]| granted(asked, given).variables().iter().map(PathPattern::to_string).collect::<Vec<String>>();
    assert_eq!(patterns(&["variables:f/a/*", "variables:f/b/x"], &["variables:*"]), ["f/a/*", "f/b/x"]);
    assert_eq!(patterns(&["variables:f/*"], &["variables:f/a/x", "variables:f/b/*", "variables:f/b/y"]), ["f/a/x", "f/b/*"]);
    assert_eq!(patterns(&["variables:f/*"], &["variables:f/**"]).len(), 1);
    assert_eq!(patterns(&["variables:f/a*"], &["variables:f/*/b"]).len(), 1);
    assert!(patterns(&["variables:f/a/*"], &["variables:f/b/*", "secrets:f/a/*"]).is_empty());
}

#[test]
fn what_to_ask_for_of_a_key() {
    for (key, for_key, for_all) in [
        ("data.csv", "data.csv", "*"),
        ("a/b/c", "a/b/", "a/b/"),
        ("a/", "a/", "a/"),
        // No grant can name them.
        ("a*", "*", "*"),
        ("a/b*/c", "a/", "a/"),
    ] {
        assert_eq!(
            (KeyPrefix::for_key(key).to_string().as_str(), KeyPrefix::for_all(key).to_string().as_str()),
            (for_key, for_all),
            "{key}"
        );
        assert!(KeyPrefix::for_key(key).covers_key(key));
    }
    assert_eq!(KeyPrefix::for_all("").to_string(), "*");
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
    let need = [grant("sql:write f/db/main")];
    let text = denial(&script, &need, &Grants::default());
    assert!(text.contains("[grants]") && text.contains("sql = [\"write f/db/main\"]") && text.contains("--grant"), "{text}");
    let text = denial(&script, &need, &asked(r#"{"sql":["write f/db/*"]}"#).unwrap());
    assert!(text.contains("sandmill grants give f/demo/job \"sql:write f/db/*\""), "{text}");
}

#[test]
fn a_denial_names_all_that_would_do_or_what_of_it_is_asked_for() {
    let script = "f/demo/job".parse().unwrap();
    let needs = ["resources:f/db/main", "sql:read f/db/main"].map(grant);
    let told = |json: &str| denial(&script, &needs, &asked(json).unwrap());
    assert_eq!(
        told(r#"{"sql":["write f/db/other"]}"#),
        "f/demo/job was not granted `resources:f/db/main` or `sql:read f/db/main`, nor does its manifest ask for either: add one to `[grants]` \
         (resources = [\"f/db/main\"] or sql = [\"read f/db/main\"]) and deploy the script again with --grant \"resources:f/db/main\" or \
         --grant \"sql:read f/db/main\""
    );
    for (asked, grant) in [(r#"{"sql":["write f/db/*"]}"#, "sql:write f/db/*"), (r#"{"resources":["*"]}"#, "resources:*")] {
        let text = told(asked);
        assert!(text.starts_with(&format!("f/demo/job asks for `{grant}`,")) && text.ends_with("themselves"), "{text}");
    }
}

#[test]
fn who_runs_a_file_gives_with_an_option() {
    let need = [grant("variables:f/demo/a")];
    for (json, told) in [("{}", "--grant \"variables:f/demo/a\""), (r#"{"variables":["f/demo/*"]}"#, "--grant \"variables:f/demo/*\"")] {
        let text = denial(&ScriptPath::LOCAL.parse().unwrap(), &need, &asked(json).unwrap());
        assert!(text.ends_with(&format!("run the file again with {told}")), "{text}");
    }
}
