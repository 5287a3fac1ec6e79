use super::*;

fn reader(kept: usize, bytes: &[u8]) -> Reader {
    let mut reader = Reader::new(kept);
    reader.buffer().extend_from_slice(bytes);
    reader
}

fn frames(kept: usize, bytes: &[u8]) -> Vec<Frame> {
    let mut reader = reader(kept, bytes);
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

fn message(frame: &Frame) -> &Message {
    let Frame::Message(message) = frame else { panic!("{frame:?}") };
    message
}

#[test]
fn what_a_server_says() {
    let said =
        b"INFO {\"a\":1} \r\nPING\r\nPONG\r\n+OK\r\n-ERR 'Authorization Violation'\r\nMSG a.b 7 5\r\nhello\r\nMSG a 8 _INBOX.x 0\r\n\r\n";
    let frames = frames(100, said);
    assert!(matches!(&frames[0], Frame::Info(json) if json.as_ref() == b" {\"a\":1} "));
    assert_eq!(frames[1..4], [Frame::Ping, Frame::Pong, Frame::Ok]);
    assert_eq!(frames[4], Frame::Complaint("Authorization Violation".to_owned()));
    let (first, second) = (message(&frames[5]), message(&frames[6]));
    assert_eq!((first.sid, first.subject.as_str(), &first.reply, first.payload.as_ref()), (7, "a.b", &None, &b"hello"[..]));
    assert_eq!((second.reply.as_deref(), second.payload_bytes), (Some("_INBOX.x"), 0));
}

#[test]
fn headers_and_status() {
    let frames = frames(100, b"HMSG a 1 r 31 33\r\nNATS/1.0\r\nX-A: one\r\nx-a:two\r\n\r\nhi\r\n");
    let first = message(&frames[0]);
    assert_eq!(first.headers.fields, [("X-A".to_owned(), "one".to_owned()), ("x-a".to_owned(), "two".to_owned())]);
    assert_eq!((first.headers.get("X-a"), first.payload.as_ref()), (Some("one"), &b"hi"[..]));
}

#[test]
fn a_status_has_no_payload() {
    let block = "NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 3\r\n\r\n";
    let said = format!("HMSG _I 1 {0} {0}\r\n{block}\r\n", block.len());
    let frames = frames(100, said.as_bytes());
    let message = message(&frames[0]);
    assert_eq!((message.headers.status, message.headers.description.as_str()), (Some(408), "Request Timeout"));
    assert_eq!(message.headers.get("nats-pending-messages"), Some("3"));
}

#[test]
fn frames_come_in_pieces() {
    let said = b"MSG a 1 11\r\nhello world\r\nPING\r\n";
    let mut reader = Reader::new(100);
    let mut read = Vec::new();
    for byte in said {
        reader.buffer().extend_from_slice(&[*byte]);
        read.extend(reader.next().unwrap());
    }
    assert_eq!((read.len(), message(&read[0]).payload.as_ref(), &read[1]), (2, &b"hello world"[..], &Frame::Ping));
}

#[test]
fn what_is_too_long_is_thrown_away_as_it_comes() {
    let mut endless = reader(4, b"MSG a 1 1000000\r\n0123");
    let long = endless.next().unwrap().unwrap();
    assert_eq!((message(&long).payload.as_ref(), message(&long).payload_bytes), (&b"0123"[..], 1_000_000));
    for _ in 0..1_000 {
        endless.buffer().extend_from_slice(&[b'x'; 1_000]);
        assert_eq!(endless.next().unwrap(), None);
        assert!(endless.buffer().len() < 10);
    }
    let mut other = reader(4, b"MSG a 1 8\r\n01234567\r\nPING\r\n");
    assert_eq!(message(&other.next().unwrap().unwrap()).payload_bytes, 8);
    assert_eq!(other.next().unwrap(), Some(Frame::Ping));
}

#[test]
fn hostile_servers_get_an_end_and_no_memory() {
    for said in [
        "-ER\r\n",
        "GET / HTTP/1.1\r\n",
        "\r\n",
        "MSG a 1\r\n",
        "MSG a 1 b c d e f\r\n",
        "MSG a x 5\r\n",
        "MSG a 1 -5\r\n",
        "MSG a 1 99999999999999999999999\r\n",
        "MSG a 1 67108865\r\n",
        "HMSG a 1 10 5\r\n",
        "MSG a 1 2\r\nhixx",
    ] {
        let mut reader = reader(100, said.as_bytes());
        assert!(reader.next().is_err(), "{said:?}");
    }
    // A server may complain about nothing.
    assert_eq!(frames(1, b"-ERR\r\n"), [Frame::Complaint(String::new())]);
    let endless = vec![b'a'; LINE_BYTES_MAX];
    assert!(reader(1, &endless).next().is_err());
    let long = format!("-ERR '{}\u{7}'\r\n", "é".repeat(1_000));
    assert!(matches!(&frames(1, long.as_bytes())[0], Frame::Complaint(text) if text.chars().count() == COMPLAINT_CHARS_MAX));
}

/// A server passes these on as whoever may publish there wrote them.
#[test]
fn hostile_publishers_hold_nothing_up() {
    let many = format!("NATS/1.0\r\n{}\r\n", "a:\r\n".repeat(HEADERS_MAX + 1));
    for (block, fault) in [
        ("hello", "they do not begin with their version"),
        ("NATS/1.0 x\r\n\r\n", "their status is no number"),
        ("NATS/1.0\r\nno colon\r\n\r\n", "one of them has no colon"),
        (many.as_str(), "there are too many of them"),
    ] {
        let frames = frames(100, format!("HMSG a 1 {} {}\r\n{block}hi\r\nPING\r\n", block.len(), block.len() + 2).as_bytes());
        let first = message(&frames[0]);
        assert_eq!((first.headers.fault, first.headers.fields.len(), first.payload.as_ref()), (Some(fault), 0, &b"hi"[..]), "{block}");
        assert_eq!(frames[1], Frame::Ping);
    }
    let at_the_limit = format!("NATS/1.0\r\n{}\r\n", "a:\r\n".repeat(HEADERS_MAX));
    let said = format!("HMSG a 1 {0} {0}\r\n{at_the_limit}\r\n", at_the_limit.len());
    assert_eq!(message(&frames(1, said.as_bytes())[0]).headers.fields.len(), HEADERS_MAX);
    // No server wants subjects to be text, nor takes more for the end of a word than a space and a tab.
    for subject in [&b"a.\xff"[..], b"a\x0cb", b"\xc2\xa0a"] {
        let frames = frames(100, &[&b"MSG "[..], subject, b" 1 $JS.ACK.x 2\r\nhi\r\n"].concat());
        assert_eq!(message(&frames[0]).reply.as_deref(), Some("$JS.ACK.x"), "{subject:?}");
        assert_eq!(message(&frames[0]).subject, String::from_utf8_lossy(subject));
    }
}

#[test]
fn headers_without_measure_are_thrown_away_as_they_come() {
    let length = HEADERS_BYTES_MAX + 1;
    let mut reader = reader(100, format!("HMSG a 1 {length} {}\r\n", length + 2).as_bytes());
    for _ in 0..length / 1_000 {
        reader.buffer().extend_from_slice(&[b'x'; 1_000]);
        assert_eq!(reader.next().unwrap(), None);
        assert!(reader.buffer().is_empty());
    }
    reader.buffer().extend_from_slice("x".repeat(length % 1_000).as_bytes());
    reader.buffer().extend_from_slice(b"hi\r\n");
    let frame = reader.next().unwrap().unwrap();
    let message = message(&frame);
    assert_eq!((message.headers.fault, message.payload.as_ref()), (Some("they have too many bytes"), &b"hi"[..]));
}

#[test]
fn a_line_that_comes_in_pieces_is_searched_once() {
    let mut slow = Reader::new(1);
    for at in 1..LINE_BYTES_MAX {
        slow.buffer().extend_from_slice(b"x");
        assert_eq!(slow.next().unwrap(), None);
        assert_eq!(slow.searched, at);
    }
    slow.buffer().extend_from_slice(b"x");
    assert!(slow.next().is_err());
    let mut line = reader(1, b"PI");
    assert_eq!(line.next().unwrap(), None);
    line.buffer().extend_from_slice(b"NG\r\nPONG\r\n");
    assert_eq!([line.next().unwrap(), line.next().unwrap()], [Some(Frame::Ping), Some(Frame::Pong)]);
}

#[test]
fn what_is_sent() {
    let mut writer = Writer::default();
    writer.line("PING");
    writer.publish("a.b", None, &[], b"hi");
    writer.publish("a.b", Some("r"), &[(Cow::Borrowed("X"), Cow::Borrowed("1"))], b"");
    let sent = String::from_utf8(writer.buffer.to_vec()).unwrap();
    assert_eq!(sent, "PING\r\nPUB a.b 2\r\nhi\r\nHPUB a.b r 18 18\r\nNATS/1.0\r\nX: 1\r\n\r\n\r\n");
}
