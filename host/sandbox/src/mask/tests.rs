use bytes::Bytes;
use sandmill_model::{LogLevel, OutcomeKind, Timestamp};
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "tr0ub4dor&3 \"q\" ünd/x";

fn masks(secrets: &[&str]) -> Masks {
    let mut masks = Masks::default();
    for secret in secrets {
        masks.add(secret);
    }
    masks
}

fn masked(secret: &str, text: &str) -> String {
    let mut text = text.to_owned();
    masks(&[secret]).text(&mut text);
    text
}

fn json_of(secrets: &[&str], value: &Value) -> Value {
    let json = masks(secrets).json(&JsonText::of(value).unwrap());
    serde_json::from_str(json.as_str()).unwrap_or_else(|error| panic!("{error}: {}", json.as_str()))
}

#[test]
fn the_secret_itself_and_its_halves() {
    assert_eq!(masked("tr0ub4dor", "a tr0ub4dor b"), "a ********* b");
    assert_eq!(masked("correct-horse-battery", "first correct-hor and then se-battery."), "first *********** and then **********.");
    assert_eq!(masked("correct-horse-battery", "nothing here is correct"), "nothing here is correct");
    assert_eq!(masked("abcd", "xabcdx abc"), "x****x abc");
    assert_eq!(masked("abc", "abc"), "abc", "too short to be looked for");
    let whole = masked(SECRET, &format!("<{SECRET}>"));
    assert_eq!(whole.trim_matches('*'), whole, "the brackets stay: {whole}");
    assert!(whole.starts_with('<') && whole.ends_with('>') && whole.bytes().filter(|byte| *byte == b'*').count() == SECRET.len());
}

#[test]
fn its_other_forms() {
    use base64::{Engine, engine::general_purpose as engines};
    let encode = percent_encode(SECRET.as_bytes());
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    for form in [encode.clone(), encode.to_lowercase(), encode.replace("%20", "+"), hex.clone(), hex.to_uppercase()] {
        let text = masked(SECRET, &format!("[{form}]"));
        assert!(text[1..text.len() - 1].bytes().all(|byte| byte == b'*'), "{form}: {text}");
    }
    for before in ["", "u", "u:", "user:"] {
        for engine in [engines::STANDARD, engines::URL_SAFE] {
            let text = masked(SECRET, &engine.encode(format!("{before}{SECRET}")));
            let left = text.bytes().filter(|byte| *byte != b'*' && *byte != b'=').count();
            // The digits that stand for what is before it, and at most three on each side that stand for both.
            assert!(left <= before.len() * 4 / 3 + 6, "{before}: {text}");
        }
    }
}

/// All marks of ASCII, and letters beyond it.
const MARKS: &str = "p!s\"w#d$x%y&z'q(a)b*c+d,e-f.g/h:i;j<k=l>m?n@o[p\\q]r^s_t`u{v|w}x~y üé";

#[test]
fn whatever_encoder_wrote_it() {
    let percent = |plain: &str, space: &str| {
        MARKS.bytes().fold(String::new(), |text, byte| match byte {
            b' ' => text + space,
            _ if byte.is_ascii_alphanumeric() || plain.as_bytes().contains(&byte) => text + &char::from(byte).to_string(),
            _ => text + &format!("%{byte:02X}"),
        })
    };
    let json = serde_json::to_string(MARKS).unwrap();
    let ascii = MARKS.chars().fold(String::new(), |text, letter| match letter {
        '"' | '\\' => format!("{text}\\{letter}"),
        _ if letter.is_ascii() => format!("{text}{letter}"),
        _ => text + &format!("\\u{:04x}", u32::from(letter)),
    });
    for (who, text) in [
        ("encodeURIComponent", percent("-_.!~*'()", "%20")),
        ("RFC 3986", percent("-_.~", "%20")),
        ("a form", percent("-_.*", "+")),
        ("a path", percent("-_.~/", "%20")),
        ("every byte", MARKS.bytes().map(|byte| format!("%{byte:02x}")).collect()),
        ("JSON", json.clone()),
        ("JSON with escaped slashes", json.replace('/', "\\/")),
        ("JSON in ASCII", ascii),
        ("JSON in JSON", serde_json::to_string(&json).unwrap()),
    ] {
        for mut masks in [masks(&[MARKS]), Masks::default()] {
            masks.add_whole(MARKS);
            let mut found = format!("[{text}]");
            masks.text(&mut found);
            let left: String = found.chars().filter(|letter| letter.is_ascii_alphanumeric()).collect();
            assert_eq!(left, "", "{who}: {found}");
            let value = serde_json::from_str::<Value>(masks.json(&JsonText::of(&json!({ "x": text })).unwrap()).as_str()).unwrap();
            assert!(!value["x"].as_str().unwrap().contains(|letter: char| letter.is_ascii_alphanumeric()), "{who}: {value}");
        }
    }
}

#[test]
fn letters_with_something_between_them() {
    let secret = "correct-horse-battery";
    let letters: Vec<String> = secret.chars().map(String::from).collect();
    for between in [" ", "-", ", ", "\n", "</b><b>"] {
        let text = masked(secret, &letters.join(between));
        let left = text.chars().filter(char::is_ascii_alphanumeric).count();
        assert!(left == 0 || between == "</b><b>", "{between}: {text}");
    }
    assert_eq!(masked("hunter2-hunter2", "h u n t e r 2"), "h u n t e r 2", "too short: its letters are in many texts");
}

#[test]
fn long_texts_are_read_in_parts() {
    let secret = "correct-horse-battery, and <staple>";
    let percent: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let masks = masks(&[secret]);
    // Wherever the border of a part lies.
    for before in [VIEWED_BYTES - 60, VIEWED_BYTES - 1, VIEWED_BYTES, 2 * VIEWED_BYTES - VIEWED_AGAIN_BYTES - 30] {
        let filler = ".".repeat(before);
        let mut text = format!("{filler}{percent}{filler}");
        let json = masks.json(&JsonText::of(&text).unwrap());
        masks.text(&mut text);
        for found in [text.as_str(), json.as_str()] {
            assert_eq!((found.matches('%').count(), found.matches('*').count()), (0, percent.len()), "{before}");
        }
    }
}

#[test]
fn digits_of_a_secret_one_by_one() {
    let digits: Vec<u32> = "4711471147114711".chars().map(|digit| digit.to_digit(10).unwrap()).collect();
    assert_eq!(json_of(&["4711471147114711"], &json!(digits)), json!(vec![0; 16]));
    assert_eq!(json_of(&["4711471147114711"], &json!([47_114, 71_147, 114_711, 7])), json!(["***", "***", "****", 7]));
    assert_eq!(json_of(&["47114711"], &json!(digits)), json!(digits), "too short: it is in many lists");
}

fn percent_encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => text + &char::from(*byte).to_string(),
        _ => text + &format!("%{byte:02X}"),
    })
}

#[test]
fn json_stays_json_and_keeps_what_is_not_secret() {
    let value = json!({"plain": [1, true, "tr0"], "text": format!("é {SECRET}\u{1f600}\n"), SECRET: null});
    let found = json_of(&[SECRET], &value);
    assert_eq!(found["plain"], value["plain"]);
    let text = found["text"].as_str().unwrap();
    assert!(text.starts_with("é *") && text.ends_with("*\u{1f600}\n") && !text.contains("ub4"), "{text}");
    assert!(!found.to_string().contains("dor"), "{found}");
}

#[test]
fn parts_in_several_strings_are_found() {
    let secret = "correct-horse-battery";
    let letters: Vec<String> = secret.chars().map(String::from).collect();
    assert_eq!(json_of(&[secret], &json!(letters)), json!(vec!["*"; secret.len()]));
    assert_eq!(json_of(&[secret], &json!(["correct-", "horse-", "battery"])), json!(["********", "******", "*******"]));
}

#[test]
fn numbers_that_are_secrets_become_strings() {
    assert_eq!(
        json_of(&["93518264"], &json!({"pin": 93_518_264, "n": 9_351, "x": [1.5e10]})),
        json!({"pin": "******", "n": 9_351, "x": [1.5e10]})
    );
}

#[test]
fn what_only_looks_like_structure_does_not_break_json() {
    let secret = r#"a","b\n{]:"c"#;
    let value = json!({"x": [secret, "a", "b"], "y": r#"\","#});
    let text = json_of(&[secret], &value).to_string();
    assert!(!text.contains(r#"a\",\"b"#), "{text}");
}

#[test]
fn letters_of_several_bytes_are_masked_whole() {
    let secret = "пароль-секрет";
    for cut in (0..secret.len()).filter(|cut| secret.is_char_boundary(*cut)) {
        let text = masked(secret, &format!("ж{}ж{}ж", &secret[..cut], &secret[cut..]));
        assert!(!text.contains('\u{fffd}'), "{text}");
    }
    let whole = masked(secret, &format!("ж{secret}ж"));
    assert_eq!(whole.trim_matches('ж').trim_matches('*'), "", "{whole}");
}

#[test]
fn an_outcome_shows_nothing() {
    let secret = "correct-horse-battery";
    let mut error = RunError::new(secret, format!("no {secret}"));
    error.stack = Some(format!("at {secret}"));
    error.details = Some(JsonText::of(&json!({"at": secret})).unwrap());
    let output = Output::Bytes { content_type: format!("text/{secret}"), data: Bytes::from(format!("\u{ff}{secret}")) };
    let mut outcome =
        Outcome { output: Some(output), arguments: Some(JsonText::of(&[secret]).unwrap()), ..Outcome::failed(OutcomeKind::Error, error) };
    masks(&[secret]).outcome(&mut outcome);
    let text = format!("{outcome:?}");
    assert!(!text.contains("correct") && !text.contains("battery"), "{text}");
}

#[test]
fn many_secrets_are_bounded() {
    let mut masks = Masks::default();
    for n in 0..200 {
        masks.add(&format!("{n}").repeat(SECRET_BYTES_MAX));
    }
    assert!(masks.parts.count <= PARTS_MAX && masks.letters.count <= LETTERS_MAX);
}

#[test]
fn one_that_is_only_used_is_found_whole_and_its_parts_tell_nothing() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    const TOKEN: &str = "ghp_0123456789abcdefÄ";
    let mut masks = Masks::default();
    masks.add_whole(TOKEN);
    let text = |text: &str| {
        let mut text = text.to_owned();
        masks.text(&mut text);
        text
    };
    let stars = "*".repeat(TOKEN.len());
    assert_eq!(text(&format!("a {TOKEN}{TOKEN} b")), format!("a {stars}{stars} b"));
    assert!(!text(&STANDARD.encode(format!("u:{TOKEN}"))).contains(&STANDARD.encode(&TOKEN[4..16])[..8]));
    // Whoever guesses it letter by letter sees no difference.
    for end in 4..TOKEN.len() - 2 {
        let part = &TOKEN[..end];
        let hex: String = part.bytes().map(|byte| format!("{byte:02x}")).collect();
        for guess in [part, &TOKEN[end..], &hex] {
            assert_eq!(text(guess), guess);
        }
    }
    let json = |value: &Value| serde_json::from_str::<Value>(masks.json(&JsonText::of(value).unwrap()).as_str()).unwrap();
    let escaped: String = TOKEN.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    assert_eq!(masks.json(&JsonText::parse(format!("[\"{escaped}\"]")).unwrap()).as_str().matches('\\').count(), 0);
    let halves = json!([&TOKEN[..10], &TOKEN[10..]]);
    assert_eq!((json(&halves), json(&json!({ "a": TOKEN }))), (halves, json!({ "a": stars })));
    let mut line = |line: &str| {
        let mut entry = LogEntry {
            at: Timestamp::from_micros(1),
            level: LogLevel::Info,
            stream: LogStream::Log,
            message: line.to_owned(),
            fields: None,
        };
        assert!(masks.in_entry(0, &mut entry).is_empty());
        entry.message.matches('*').count()
    };
    let lines = [&TOKEN[..10], &TOKEN[10..], TOKEN].map(&mut line);
    assert_eq!(lines, [0, 0, TOKEN.len()]);
}
