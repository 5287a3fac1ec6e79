use std::sync::Arc;

use sandmill_model::{Clock, Digest, Input, JsonText, Limits, SystemClock};

use super::*;

const LEASE: Incarnation = Incarnation(7);
const AGE: Duration = Duration::from_millis(300);

/// One of a workspace of its own.
pub(crate) fn run() -> NewRun {
    let now = SystemClock.now();
    NewRun {
        id: RunId::new(now),
        workspace: WorkspaceId::new(now),
        workspace_name: "default".into(),
        path: "f/demo/hello".parse().unwrap(),
        number: 1,
        version: Digest::of(b"version"),
        input: Input::Arguments(JsonText::empty_object()),
        limits: Limits::default(),
        run_as: "u/test".into(),
        answered_by: None,
        stages_state: false,
        created_at: now,
        scheduled_for: now,
        policy: Arc::default(),
        dedup: None,
        cause: None,
        lineage: None,
        trace: None,
        labels: Arc::default(),
    }
}

fn start(begun: u32, lease: Option<Incarnation>) -> Start {
    Start { attempt: 1, begun, at: Timestamp::from_micros(0), lease }
}

fn due(live: &Live) -> Option<Unwritten> {
    live.unwritten(Timestamp::from_micros(0).plus(AGE), AGE).pop()
}

#[test]
fn what_is_written_of_a_log_is_known_at_its_end() {
    let (live, run) = (Live::default(), run());
    live.begin(run.clone(), start(1, Some(LEASE)));
    assert!(live.unwritten(Timestamp::from_micros(1), AGE).is_empty(), "too young");
    let mut first = due(&live).unwrap();
    first.logged.perhaps = 3;
    assert!(live.writes(&first));
    assert_eq!(due(&live).unwrap().logged.perhaps, 3, "nobody knows yet whether it is there");
    live.wrote(&first);
    let mut second = due(&live).unwrap();
    assert_eq!((second.logged.entries, second.logged.perhaps), (3, 3));
    second.logged.perhaps = 5;
    assert!(live.writes(&second));
    assert_eq!(live.settle(run.id, 1), Logged { begun: Some(1), entries: 3, perhaps: 5 });
    assert!(!live.writes(&second) && due(&live).is_none(), "it has ended");
}

#[test]
fn an_attempt_that_was_taken_away_does_not_touch_the_next() {
    let (live, run) = (Live::default(), run());
    live.begin(run.clone(), start(1, Some(LEASE)));
    let mut old = due(&live).unwrap();
    old.logged.perhaps = 9;
    live.begin(run.clone(), start(2, Some(Incarnation(8))));
    assert!(!live.writes(&old));
    live.wrote(&old);
    assert_eq!(live.settle(run.id, 1), Logged { begun: Some(1), entries: 0, perhaps: 0 });
    live.end(run.id, 1);
    assert_eq!(due(&live).map(|next| (next.lease, next.begun, next.logged.entries)), Some((Incarnation(8), 2, 0)));
    live.end(run.id, 2);
    assert_eq!(live.len(), 0);
}

#[test]
fn the_fast_lane_writes_once_it_is_promised() {
    let (live, run) = (Live::default(), run());
    live.begin(run.clone(), start(1, None));
    assert!(due(&live).is_none());
    live.promised(run.id, LEASE);
    assert_eq!(due(&live).map(|unwritten| unwritten.lease), Some(LEASE));
    assert_eq!(live.begun(run.id, run.workspace), Some(1));
    assert_eq!(live.begun(run.id, WorkspaceId::new(SystemClock.now())), None, "another workspace learns nothing");
}
