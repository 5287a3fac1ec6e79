//! What deliveries cost, which is not seen from outside.

use std::{cell::Cell, time::Duration};

use sandmill_model::{
    Clock as _, SystemClock,
    trigger::{Cursor, TriggerOptions},
};
use sqlx::ConnectOptions as _;

use super::*;
use crate::sql::{
    Durability,
    dialect::{STATEMENTS, sqlite},
    migrate,
    tests::run,
    usage::ALONE,
};

/// Statements of one delivery: of the trigger, the seat, keys, runs with their inputs, the cursor.
const STATEMENTS_MAX: usize = 12;

fn delivery(workspace: WorkspaceId, events: usize) -> TriggerDelivery {
    let now = SystemClock.now();
    let item = |number: usize| {
        let dedup = Dedup { scope: "trigger".into(), key: number.to_string(), fingerprint: None, window: Duration::from_secs(60) };
        let run = NewRun { dedup: Some(dedup), ..run(workspace, 10) };
        Delivered::Run { run: Box::new(run), also: Vec::new(), is_held: false, overlap: Overlap::Allow }
    };
    TriggerDelivery {
        workspace,
        path: "f/demo/trigger".parse().unwrap(),
        lease: Some(SeatLease { number: 0, node: Incarnation(1), fence: 7 }),
        items: (0..events).map(item).collect(),
        cursor: Some(Cursor(sandmill_model::JsonText::trusted("1"))),
        adopts_state_of: None,
        now,
    }
}

/// Statements that a delivery takes.
async fn cost(conn: &mut Conn<'_>, delivery: &TriggerDelivery) -> usize {
    let written = async {
        let answers = write(conn, &[delivery], ALONE).await.unwrap();
        assert!(matches!(&*answers, [DeliveryAnswer::Done { items, .. }] if items.len() == delivery.items.len()), "{answers:?}");
        STATEMENTS.with(Cell::get)
    };
    STATEMENTS.scope(Cell::new(0), written).await
}

#[tokio::test]
async fn many_events_take_no_more_statements_than_one() {
    let mut file = sqlite::options(None, Durability::Normal).connect().await.unwrap();
    migrate::run(Conn::Sqlite(&mut file)).await.unwrap();
    let mut conn = Conn::Sqlite(&mut file);
    for events in [1, 500] {
        let workspace = WorkspaceId::new(SystemClock.now());
        conn.execute(
            "INSERT INTO triggers (workspace, path, id, kind, target, config, options, mode, description, answered_by, revision, created_at,
                 updated_at, updated_by)
             VALUES ($1, 'f/demo/trigger', $1, 'pigeon', 'f/demo/hello', 'null', $2, 0, '', 'u/ann', 1, 1, 1, 'u/ann')",
            values![workspace, crate::sql::value::to_json(&TriggerOptions::default()).unwrap()],
        )
        .await
        .unwrap();
        conn.execute(
            "INSERT INTO nodes (incarnation, name, about, running, started_at, seen_at, alive_until) VALUES (1, 'node', '', 0, 0, 0, 0)
             ON CONFLICT DO NOTHING",
            values![],
        )
        .await
        .unwrap();
        conn.execute(
            "INSERT INTO seats (workspace, path, number, revision, node, fence, state, status) VALUES ($1, 'f/demo/trigger', 0, 1, 1, 7, 2, 'null')",
            values![workspace],
        )
        .await
        .unwrap();
        let new = cost(&mut conn, &delivery(workspace, events)).await;
        assert!(new <= STATEMENTS_MAX, "{new} for {events} events");
        let again = cost(&mut conn, &delivery(workspace, events)).await;
        assert!(again <= new, "{again} for {events} repetitions");
        let row = conn.row("SELECT COUNT(*) FROM queue WHERE workspace = $1", values![workspace]).await.unwrap().unwrap();
        assert_eq!(row.count(0).unwrap(), events as u64);
    }
}
