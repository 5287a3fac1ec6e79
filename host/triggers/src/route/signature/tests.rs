//! Signatures as providers publish them, and what forgers and those who copy would try.

use http::HeaderValue;
use sandmill_model::Code;
use serde_json::{Value, json};

use super::*;

/// A genuine request.
struct Vector {
    /// Where it is published, or how it was made.
    source: &'static str,
    auth: Value,
    uri: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    /// Seconds since 1970.
    signed_at: i64,
    is_timed: bool,
    delivery: Option<&'static str>,
}

const STRIPE_EVENT: &str = "{\n  \"id\": \"evt_123\",\n  \"object\": \"event\",\n  \"account\": \"acct_123\",\n  \"api_version\": \"2017-05-25\",\n  \"created\": 1533204620,\n  \"data\": {\n    \"object\": {\n      \"id\": \"cus_123\",\n      \"object\": \"customer\",\n      \"created\": 123456789,\n      \"email\": \"test@stripe.com\",\n      \"livemode\": false,\n      \"metadata\": {}\n    }\n  },\n  \"livemode\": false,\n  \"pending_webhooks\": 1,\n  \"request\": {\n    \"id\": \"req_123\",\n    \"idempotency_key\": \"idempotency-key-123\"\n  },\n  \"type\": \"customer.created\"\n}\n";
const SLACK_COMMAND: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
const SLACK_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const TWILIO_FORM: &str = "CallSid=CA1234567890ABCDE&To=%2B18005551212&From=%2B14158675310&Caller=%2B14158675310&Digits=1234";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn vector(source: &'static str, auth: Value, headers: &'static [(&'static str, &'static str)], body: &'static str) -> Vector {
    Vector { source, auth, uri: "/r/main/x", headers, body, signed_at: 1_700_000_000, is_timed: false, delivery: None }
}

fn published() -> Vec<Vector> {
    vec![
        Vector {
            delivery: Some("72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            ..vector(
                "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation",
                json!({"preset": "github", "secret": "It's a Secret to Everybody"}),
                &[
                    ("x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
                    ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
                ],
                "Hello, World!",
            )
        },
        Vector {
            signed_at: 1_533_204_620,
            is_timed: true,
            delivery: Some("evt_123"),
            ..vector(
                "https://github.com/stripe/stripe-dotnet/blob/master/src/StripeTests/Services/Events/EventUtilityTest.cs, event_test_signature.json",
                json!({"preset": "stripe", "secret": "webhook_secret"}),
                &[(
                    "stripe-signature",
                    "t=1533204620,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7,v0=63f3a72374a733066c4be69ed7f8e5ac85c22c9f0a6a612ab9a025a9e4ee7eef",
                )],
                STRIPE_EVENT,
            )
        },
        Vector {
            signed_at: 1_531_420_618,
            is_timed: true,
            ..vector(
                "https://docs.slack.dev/authentication/verifying-requests-from-slack",
                json!({"preset": "slack", "secret": SLACK_SECRET}),
                &[
                    ("x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
                    ("x-slack-request-timestamp", "1531420618"),
                    FORM,
                ],
                SLACK_COMMAND,
            )
        },
        Vector {
            signed_at: 1_614_265_330,
            is_timed: true,
            delivery: Some("msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ..vector(
                "https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/javascript/src/webhook.test.ts, \"sign function works\"",
                json!({"preset": "standard_webhooks", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}),
                &[
                    ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                    ("webhook-timestamp", "1614265330"),
                    ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
                ],
                "{\"test\": 2432232314}",
            )
        },
        Vector {
            uri: "/myapp.php?foo=1&bar=2",
            delivery: Some("token-1"),
            ..vector(
                "https://www.twilio.com/docs/usage/security#validating-requests",
                json!({"preset": "twilio", "secret": "12345", "public_url": "https://example.com"}),
                &[("x-twilio-signature", "L/OH5YylLD5NRKLltdqwSvS0BnU="), ("i-twilio-idempotency-token", "token-1"), FORM],
                TWILIO_FORM,
            )
        },
    ]
}

/// Of providers who publish how they sign, and no example that can be computed: these were made by another implementation (Python's `hmac`).
fn computed() -> Vec<Vector> {
    vec![
        Vector {
            delivery: Some("b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"),
            ..vector(
                "as https://shopify.dev/docs/apps/build/webhooks/verify-deliveries",
                json!({"preset": "shopify", "secret": "hush"}),
                &[
                    ("x-shopify-hmac-sha256", "qBvrsZF7RfB1iS6BX6IHqJTp5L911P7intnPeTPsH0I="),
                    ("x-shopify-webhook-id", "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"),
                ],
                "{\"id\":820982911946154508}",
            )
        },
        Vector {
            signed_at: 1_573_899_072,
            is_timed: true,
            delivery: Some("e76c6bd4-55c9-4987-8304-da1588d8988b"),
            ..vector(
                "as https://dev.twitch.tv/docs/eventsub/handling-webhook-events",
                json!({"preset": "twitch", "secret": "s3cre77890ab"}),
                &[
                    ("twitch-eventsub-message-signature", "sha256=c72d30a9c5976a454876e8d914da25e22a3003a93be3dd608eeb67a869169370"),
                    ("twitch-eventsub-message-id", "e76c6bd4-55c9-4987-8304-da1588d8988b"),
                    ("twitch-eventsub-message-timestamp", "2019-11-16T10:11:12.634234626Z"),
                    ("twitch-eventsub-message-type", "webhook_callback_verification"),
                ],
                TWITCH_CHALLENGE,
            )
        },
        Vector {
            signed_at: 1_654_503_849,
            is_timed: true,
            ..vector(
                "as https://developers.zoom.us/docs/api/webhooks",
                json!({"preset": "zoom", "secret": "zoom secret"}),
                &[
                    ("x-zm-signature", "v0=74fbca7951720e90370132d3ddb16fdfa2965de1be13deb0be610a7779925857"),
                    ("x-zm-request-timestamp", "1654503849"),
                ],
                ZOOM_CHALLENGE,
            )
        },
        Vector {
            signed_at: 1_633_174_587,
            is_timed: true,
            ..vector(
                "as https://developers.tiktok.com/doc/webhooks-verification",
                json!({"preset": "tiktok", "secret": "client secret"}),
                &[("tiktok-signature", "t=1633174587,s=7d47012d3cdfb371d2b20bea7df8c14fdc7c6e0ab68acca2f1a6c9d2a98e5930")],
                "{\"event\":\"video.upload.failed\"}",
            )
        },
    ]
}

/// What is signed with the URL of the request, computed likewise.
fn computed_of_urls() -> Vec<Vector> {
    vec![
        Vector {
            uri: "/inside/mail",
            ..vector(
                "as https://mailchimp.com/developer/transactional/guides/track-respond-activity-webhooks",
                json!({"preset": "mandrill", "secret": "webhook key", "public_url": "https://hooks.example.com/r/main/mail"}),
                &[("x-mandrill-signature", "tbtWF2NnFaxVSvFL8WazgYzEgH8="), FORM],
                "mandrill_events=%5B%7B%22event%22%3A%22send%22%7D%5D",
            )
        },
        Vector {
            uri: "/r/main/sms?bodySHA256=015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862",
            ..vector(
                "as https://www.twilio.com/docs/usage/webhooks/webhooks-security",
                json!({"preset": "twilio", "secret": "12345", "public_url": "https://hooks.example.com"}),
                &[("x-twilio-signature", "7NhBoIkJHSbFL6ZQ3yHPU0Gx/pE="), ("content-type", "application/json")],
                "{\"a\":1}",
            )
        },
        Vector {
            uri: "/r/w/x?a=1",
            is_timed: true,
            delivery: Some("d-7"),
            ..vector(
                "a form of somebody's own",
                json!({"secret": "00ff10", "custom": {
                    "header": "x-sum", "algorithm": "sha512", "encoding": "base64", "secret_form": "hex", "signed": "{method} {url}\n{timestamp}\n{id}\n{body}",
                    "timestamp_header": "x-at", "timestamp": "milliseconds", "id_header": "x-id",
                }}),
                &[
                    ("x-sum", "ZhPvtJAyJoDECsdUQEkpC/drN7y8S4Sro1i4cD6ZfYfO010+FRJ/lAc2eGN3XVitld5C8MRWyPlQVLlShtecKA=="),
                    ("x-at", "1700000000123"),
                    ("x-id", "d-7"),
                ],
                "hi",
            )
        },
    ]
}

fn all() -> impl Iterator<Item = Vector> {
    published().into_iter().chain(computed()).chain(computed_of_urls())
}

const TWITCH_CHALLENGE: &str =
    "{\"challenge\":\"pogchamp-kappa-360noscope-vohiyo\",\"subscription\":{\"status\":\"webhook_callback_verification_pending\"}}";
const ZOOM_CHALLENGE: &str =
    "{\"payload\":{\"plainToken\":\"qgg8vlvZRS6UYooatFL8Aw\"},\"event_ts\":1654503849680,\"event\":\"endpoint.url_validation\"}";

fn signature(auth: Value) -> Result<Signature, ConfigError> {
    Signature::of(serde_json::from_value::<Hmac>(auth).unwrap())
}

impl Vector {
    fn request(&self) -> Request<Bytes> {
        let mut request = Request::post(self.uri).body(Bytes::from_static(self.body.as_bytes())).unwrap();
        for &(name, value) in self.headers {
            request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        request
    }

    fn check_at(&self, request: &Request<Bytes>, seconds: i64) -> Result<Checked, Code> {
        let signature = signature(self.auth.clone()).unwrap_or_else(|error| panic!("{}: {error}", self.source));
        signature.check(request, Timestamp::from_micros(seconds * 1_000_000)).map_err(|refusal| {
            assert!(!refusal.detail.is_empty());
            refusal.code
        })
    }

    fn is_genuine(&self, request: &Request<Bytes>) -> bool {
        match self.check_at(request, self.signed_at) {
            Ok(_) => true,
            Err(code) => {
                assert_eq!(code, Code::Unauthorized, "{}", self.source);
                false
            }
        }
    }
}

#[test]
fn what_providers_sign_is_genuine() {
    for vector in all() {
        let checked = vector.check_at(&vector.request(), vector.signed_at).unwrap_or_else(|code| panic!("{}: {code:?}", vector.source));
        assert_eq!(checked.dedup_key.as_deref(), vector.delivery, "{}", vector.source);
        let at = checked.occurred_at.map(|at| at.micros() / 1_000_000);
        assert_eq!(at, vector.is_timed.then_some(vector.signed_at), "{}", vector.source);
    }
}

#[test]
fn forgeries_are_refused() {
    for vector in all() {
        let (source, genuine) = (vector.source, vector.request());
        // Of the body, at each place.
        for at in [0, vector.body.len() / 2, vector.body.len() - 1] {
            let mut body = vector.body.as_bytes().to_vec();
            body[at] ^= 1;
            let mut request = vector.request();
            *request.body_mut() = body.into();
            assert!(vector.check_at(&request, vector.signed_at).is_err(), "{source}: body at {at}");
        }
        let mut longer = vector.request();
        *longer.body_mut() = format!("{}&x=1", vector.body).into();
        assert!(!vector.is_genuine(&longer), "{source}");
        // Of what is signed beside it: none may be missing, or other, but what names the delivery where only the body is signed.
        let signature = signature(vector.auth.clone()).unwrap();
        let header = signature.header().clone();
        for other in
            ["", "x", "sha256=", "v0=", "v1,", "t=,v1=", "t,v1", ",,", "v1, v1,", "sha256=00", "AAAA", "t=1533204620", "=", "\u{ff}"]
        {
            let mut request = vector.request();
            request.headers_mut().insert(header.clone(), HeaderValue::from_bytes(other.as_bytes()).unwrap());
            assert!(!vector.is_genuine(&request), "{source}: {other}");
        }
        let mut bare = vector.request();
        bare.headers_mut().remove(&header);
        assert!(!vector.is_genuine(&bare), "{source}");
        // Half of it, or with more behind it.
        let shown = genuine.headers()[&header].to_str().unwrap();
        for cut in [shown[..shown.len() - 4].to_owned(), format!("{shown}00")] {
            let mut request = vector.request();
            request.headers_mut().insert(header.clone(), cut.parse().unwrap());
            // Of lists only the last one was changed.
            if !matches!(signature.scheme.layout, Layout::Pairs("v1")) {
                assert!(!vector.is_genuine(&request), "{source}: {cut}");
            }
        }
        let mut auth = vector.auth.clone();
        auth["secret"] = json!("00aa");
        if auth["preset"] == "standard_webhooks" {
            auth["secret"] = json!("whsec_AAAA");
        }
        let other = Vector { auth, ..vector };
        assert!(!other.is_genuine(&genuine), "{source}: another secret");
    }
}

/// A copy is good for some minutes, and no longer by another time than that which was signed.
#[test]
fn copies_are_refused() {
    let mut timed = 0;
    for vector in all().filter(|vector| vector.is_timed) {
        timed += 1;
        let request = vector.request();
        let window = if vector.auth["preset"] == "twitch" { 600 } else { 300 };
        for (away, genuine) in [(window - 1, true), (1 - window, true), (window + 2, false), (-window - 2, false), (1 << 40, false)] {
            assert_eq!(vector.check_at(&request, vector.signed_at + away).is_ok(), genuine, "{}: {away} s away", vector.source);
        }
        let Some(Time { header, .. }) = signature(vector.auth.clone()).unwrap().scheme.time else { panic!("{}", vector.source) };
        let field = header.clone().unwrap_or_else(|| signature(vector.auth.clone()).unwrap().header().clone());
        let shown = request.headers()[&field].to_str().unwrap().to_owned();
        for time in ["", "x", "-1", "9223372036854775807", "99999999999999999999999", "1700000001", "2019-11-16T10:11:13Z"] {
            let text = if header.is_some() { time.to_owned() } else { shown.replace(&vector.signed_at.to_string(), time) };
            let mut request = vector.request();
            request.headers_mut().insert(field.clone(), text.parse().unwrap());
            assert!(!vector.is_genuine(&request), "{}: {time}", vector.source);
        }
        let narrow = Vector {
            auth: {
                let mut auth = vector.auth.clone();
                auth["replay_window_s"] = json!(10);
                auth
            },
            ..vector
        };
        assert!(narrow.check_at(&request, narrow.signed_at + 9).is_ok() && narrow.check_at(&request, narrow.signed_at + 12).is_err());
    }
    assert_eq!(timed, 7);
}

/// Only what was signed for says which delivery it is: with a wrong signature there is no key, and so nothing that could be swallowed.
#[test]
fn a_delivery_is_known_only_of_the_genuine() {
    for vector in published().into_iter().filter(|vector| vector.delivery.is_some()) {
        let mut request = vector.request();
        *request.body_mut() = Bytes::from_static(b"{\"id\":\"evt_123\"}");
        assert!(vector.check_at(&request, vector.signed_at).is_err(), "{}", vector.source);
    }
    // One that is no key is none.
    let github = published().remove(0);
    for id in ["", &"x".repeat(KEY_CHARACTERS_MAX + 1)] {
        let mut request = github.request();
        request.headers_mut().insert("x-github-delivery", id.parse().unwrap());
        assert_eq!(github.check_at(&request, 0).unwrap().dedup_key, None);
    }
}

#[test]
fn secrets_are_changed_without_a_gap() {
    let github = published().remove(0);
    let secret = &github.auth["secret"];
    for (auth, genuine) in [
        (json!({"preset": "github", "secret": "new", "other_secrets": [secret]}), true),
        (json!({"preset": "github", "secret": "new", "other_secrets": ["a", "b", secret]}), true),
        (json!({"preset": "github", "secret": "new"}), false),
    ] {
        let checked = signature(auth).unwrap().check(&github.request(), Timestamp::from_micros(0));
        assert_eq!(checked.is_ok(), genuine);
    }
    // Several signatures while the sender changes theirs: one fits.
    let standard = &published()[3];
    let mut request = standard.request();
    let right = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let wrong = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";
    for (shown, genuine) in [
        (format!("{wrong} v2,x {right} {wrong}"), true),
        (format!("{} {right}", [wrong; SIGNATURES_MAX - 1].join(" ")), true),
        (format!("{} {right}", [wrong; SIGNATURES_MAX].join(" ")), false),
        (right.replace("v1,", "v2,"), false),
        (right.replace("v1,", "v1a,"), false),
    ] {
        request.headers_mut().insert("webhook-signature", shown.parse().unwrap());
        assert_eq!(standard.is_genuine(&request), genuine, "{shown}");
    }
}

fn answered(vector: &Vector, request: &Request<Bytes>) -> Option<(String, String)> {
    let answer = vector.check_at(request, vector.signed_at).unwrap().answer?;
    assert_eq!(answer.status(), 200);
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    Some((kind, String::from_utf8(answer.into_body().to_vec()).unwrap()))
}

#[test]
fn challenges_are_answered() {
    let computed = computed();
    let text = |text: &str| Some(("text/plain".to_owned(), text.to_owned()));
    assert_eq!(answered(&computed[1], &computed[1].request()), text("pogchamp-kappa-360noscope-vohiyo"));
    let mut notification = computed[1].request();
    notification.headers_mut().insert("twitch-eventsub-message-type", HeaderValue::from_static("notification"));
    assert_eq!(answered(&computed[1], &notification), None);
    let (kind, body) = answered(&computed[2], &computed[2].request()).unwrap();
    assert_eq!(kind, "application/json");
    let expected = json!({
        "plainToken": "qgg8vlvZRS6UYooatFL8Aw",
        "encryptedToken": "33c87763eeee7760422d82e566d46fe8b5eaca6c3da5abf7923e6e8765c76a26",
    });
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
    // Of https://docs.slack.dev/reference/events/url_verification.
    let slack = |headers, body, delivery| Vector {
        signed_at: 1_531_420_618,
        is_timed: true,
        delivery,
        ..vector("Slack", json!({"preset": "slack", "secret": SLACK_SECRET}), headers, body)
    };
    let asked = slack(
        &[
            ("x-slack-signature", "v0=f9bd80929259f3f6d5fe3a3186c453c89cd1ad4862815a15837584f31c993652"),
            ("x-slack-request-timestamp", "1531420618"),
        ],
        "{\"token\":\"Jhj5dZrVaK7ZwHHjRyZWjbDl\",\"challenge\":\"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P\",\"type\":\"url_verification\"}",
        None,
    );
    assert_eq!(answered(&asked, &asked.request()), text("3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"));
    let event = slack(
        &[
            ("x-slack-signature", "v0=5c14e7518d1e3201fbd5331d91305d40e49b5d4a9da4494298b6242395ea229a"),
            ("x-slack-request-timestamp", "1531420618"),
        ],
        "{\"type\":\"event_callback\",\"event_id\":\"Ev0PV52K21\"}",
        Some("Ev0PV52K21"),
    );
    let checked = event.check_at(&event.request(), event.signed_at).unwrap();
    assert!(checked.answer.is_none());
    assert_eq!(checked.dedup_key.as_deref(), event.delivery);
}

/// Zoom's is made with the secret of its signatures: whoever has it made of what they like has a signature of what they like.
#[test]
fn nobody_has_a_challenge_signed_who_is_not_genuine() {
    let zoom = &computed()[2];
    let forged = "{\"event\":\"endpoint.url_validation\",\"payload\":{\"plainToken\":\"v0:1654503849:{}\"}}";
    for shown in ["v0=00", "v0=74fbca7951720e90370132d3ddb16fdfa2965de1be13deb0be610a7779925857"] {
        let mut request = zoom.request();
        *request.body_mut() = Bytes::from_static(forged.as_bytes());
        request.headers_mut().insert("x-zm-signature", HeaderValue::from_static(shown));
        assert!(zoom.check_at(&request, zoom.signed_at).is_err());
    }
}

/// What a signature of Twilio is not of: bodies that are no forms, and other addresses.
#[test]
fn signed_urls_are_those_that_were_called() {
    let (form, other) = (&published()[4], &computed_of_urls()[1]);
    let mut as_text = form.request();
    as_text.headers_mut().insert("content-type", HeaderValue::from_static("text/plain"));
    assert!(!form.is_genuine(&as_text));
    let mut moved = form.request();
    *moved.uri_mut() = "/myapp.php?foo=1&bar=3".parse().unwrap();
    assert!(!form.is_genuine(&moved));
    let mut elsewhere = form.request();
    *elsewhere.uri_mut() = "/other.php?foo=1&bar=2".parse().unwrap();
    assert!(!form.is_genuine(&elsewhere));
    // The order of fields does not count, nor how they were encoded.
    let mut reordered = form.request();
    *reordered.body_mut() = "Digits=1234&CallSid=CA%31234567890ABCDE&From=%2B14158675310&Caller=%2B14158675310&To=%2B18005551212".into();
    assert!(form.is_genuine(&reordered));
    let mut undigested = other.request();
    *undigested.uri_mut() = "/r/main/sms".parse().unwrap();
    assert!(!other.is_genuine(&undigested));
    let mut many = form.request();
    *many.body_mut() = "a=1&".repeat(1001).into();
    assert!(matches!(form.check_at(&many, 0), Err(Code::BadRequest)));
}

#[test]
fn wrong_settings_are_told() {
    let custom = |custom: Value| json!({"secret": "s", "custom": custom});
    for (auth, pointer) in [
        (json!({"secret": "s"}), "/auth"),
        (json!({"secret": "s", "preset": "github", "custom": {"header": "x"}}), "/auth"),
        (json!({"secret": "", "preset": "github"}), "/auth/secret"),
        (json!({"secret": "s", "other_secrets": ["t", ""], "preset": "github"}), "/auth/other_secrets/1"),
        (json!({"secret": "s", "other_secrets": ["t", "u", "v", "w"], "preset": "github"}), "/auth/other_secrets"),
        (json!({"secret": "whsec_***", "preset": "standard_webhooks"}), "/auth/secret"),
        (json!({"secret": "whsec_", "preset": "standard_webhooks"}), "/auth/secret"),
        (json!({"secret": "s", "preset": "twilio"}), "/auth/public_url"),
        (json!({"secret": "s", "preset": "mandrill"}), "/auth/public_url"),
        (json!({"secret": "s", "preset": "github", "public_url": "https://example.com"}), "/auth/public_url"),
        (json!({"secret": "s", "preset": "twilio", "public_url": "example.com"}), "/auth/public_url"),
        (json!({"secret": "s", "preset": "twilio", "public_url": "https://"}), "/auth/public_url"),
        (json!({"secret": "s", "preset": "twilio", "public_url": "https://example.com/x?y"}), "/auth/public_url"),
        (json!({"secret": "s", "preset": "twilio", "public_url": "https://a@example.com"}), "/auth/public_url"),
        (json!({"secret": "s", "preset": "github", "replay_window_s": 10}), "/auth/replay_window_s"),
        (json!({"secret": "s", "preset": "stripe", "replay_window_s": 0}), "/auth/replay_window_s"),
        (json!({"secret": "s", "preset": "stripe", "replay_window_s": 86_401}), "/auth/replay_window_s"),
        (custom(json!({"header": "a b"})), "/auth/custom/header"),
        (custom(json!({"header": "x", "signed": "{timestamp}"})), "/auth/custom/signed"),
        (custom(json!({"header": "x", "signed": "{timestamp}.{body}"})), "/auth/custom/signed"),
        (custom(json!({"header": "x", "timestamp_header": "y"})), "/auth/custom/signed"),
        (custom(json!({"header": "x", "signed": "{id}{body}"})), "/auth/custom/signed"),
        (custom(json!({"header": "x", "signed": "{body}{cookie}"})), "/auth/custom/signed"),
        (custom(json!({"header": "x", "signed": "{body"})), "/auth/custom/signed"),
        (custom(json!({"header": "x", "secret_form": "hex"})), "/auth/secret"),
    ] {
        let Err(error) = signature(auth.clone()) else { panic!("{auth}") };
        assert_eq!(error.pointer, pointer, "{auth}: {error}");
        assert!(!error.message.contains("***"), "{error}");
    }
    assert!(serde_json::from_value::<Hmac>(json!({"secret": "s", "preset": "gitlab"})).is_err());
}
