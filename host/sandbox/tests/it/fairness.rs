//! Many runs at once: those who compute share fairly, those who wait hold nobody up, those who are too many wait.

use sandmill_model::{JsonText, Limits, OutcomeKind};
use sandmill_sandbox::{Call, CallInput};

use crate::testing::{assert_kind, json, soon, testbed, until, workspace};

const MIB: u64 = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_loops_beside_a_quiet_workspace() {
    let bed = testbed(|options| {
        options.slots = 100;
        options.threads = 2;
    });
    let storm: Vec<_> = (0..64).map(|_| bed.start(bed.chaos(r#"{"mode":"loop"}"#))).collect();
    until("all of them loop", || bed.sandbox.guest_memory_bytes() > 64 * MIB).await;
    let quiet = Call { workspace: workspace(2), ..bed.chaos(r#"{"mode":"work","n":60000000}"#) };
    let quiet = soon(bed.sandbox.run(quiet)).await;
    assert_kind(&quiet, OutcomeKind::Ok);
    let mut storm_cpu_ns = 0;
    for started in &storm {
        assert!(bed.sandbox.cancel(started.run));
    }
    for started in storm {
        let outcome = started.outcome().await;
        assert_kind(&outcome, OutcomeKind::Cancelled);
        storm_cpu_ns += outcome.usage.cpu_ns;
    }
    // Half each would be fair, and a part goes to the storm before and after the quiet run. One share in 65 would not be.
    assert!(storm_cpu_ns < 20 * quiet.usage.cpu_ns, "the storm used {storm_cpu_ns} ns, the quiet run {} ns", quiet.usage.cpu_ns);
}

#[tokio::test(flavor = "multi_thread")]
async fn loops_in_every_slot_lend_one_to_who_comes() {
    let bed = testbed(|options| {
        options.slots = 2;
        options.threads = 2;
    });
    // More than slots: those that wait for one take turns with those that have one.
    let storm: Vec<_> = (0..10).map(|_| bed.start(bed.chaos(r#"{"mode":"loop"}"#))).collect();
    until("all of them loop", || bed.sandbox.guest_memory_bytes() > 10 * MIB).await;
    for _ in 0..5 {
        assert_kind(&soon(bed.run(r#"{"mode":"count"}"#)).await, OutcomeKind::Ok);
    }
    for started in &storm {
        assert!(bed.sandbox.cancel(started.run));
    }
    for started in storm {
        let outcome = started.outcome().await;
        assert_kind(&outcome, OutcomeKind::Cancelled);
        assert!(outcome.usage.cpu_ns > 0, "each has had turns");
    }
    assert!(bed.sandbox.has_free_slot());
    assert_eq!(bed.sandbox.guest_memory_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn young_loops_in_every_slot_lend_one_to_a_workspace_that_has_none() {
    // So few that none of their slots is kept for quiet workspaces.
    const LOOPS: u32 = 7;
    let bed = testbed(|options| {
        options.slots = LOOPS as usize;
        options.threads = 1;
    });
    let storm: Vec<_> = (0..LOOPS).map(|_| bed.start(bed.chaos(r#"{"mode":"loop"}"#))).collect();
    until("every slot is taken", || !bed.sandbox.has_free_slot()).await;
    let quiet = Call { workspace: workspace(2), ..bed.chaos(r#"{"mode":"count"}"#) };
    assert_kind(&soon(bed.sandbox.run(quiet)).await, OutcomeKind::Ok);
    for started in &storm {
        assert!(bed.sandbox.cancel(started.run));
    }
    let mut storm_cpu_ns = 0;
    for started in storm {
        storm_cpu_ns += started.outcome().await.usage.cpu_ns;
    }
    // Had it waited until one of them had computed for 20 ms, all would have computed about as long.
    assert!(storm_cpu_ns < u64::from(LOOPS) * 10_000_000, "the storm used {storm_cpu_ns} ns first");
}

/// The threads that answer requests do not begin what a workspace with many loops starts next.
#[tokio::test(flavor = "multi_thread")]
async fn first_turns_of_a_storm_are_taken_among_its_loops() {
    let bed = testbed(|options| {
        options.slots = 100;
        options.threads = 1;
    });
    let in_first_poll = async |number: u8| {
        let call = Call { workspace: workspace(number), ..bed.chaos(r#"{"mode":"count"}"#) };
        let mut run = std::pin::pin!(bed.sandbox.run(call));
        let first = std::future::poll_fn(|context| std::task::Poll::Ready(run.as_mut().poll(context))).await;
        let has_ended = first.is_ready();
        let outcome = if let std::task::Poll::Ready(outcome) = first { outcome } else { soon(run).await };
        assert_kind(&outcome, OutcomeKind::Ok);
        has_ended
    };
    assert!(in_first_poll(1).await);
    let storm: Vec<_> = (0..16).map(|_| bed.start(bed.chaos(r#"{"mode":"loop"}"#))).collect();
    until("all of them loop", || bed.sandbox.guest_memory_bytes() > 16 * MIB).await;
    assert!(!in_first_poll(1).await && in_first_poll(2).await);
    for started in storm {
        assert!(bed.sandbox.cancel(started.run));
        assert_kind(&started.outcome().await, OutcomeKind::Cancelled);
    }
    assert!(in_first_poll(1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_runs_than_slots() {
    let bed = testbed(|options| {
        options.slots = 2;
        options.threads = 2;
    });
    let modes = [r#"{"mode":"work","n":3000000}"#, r#"{"mode":"sleep","n":10}"#, r#"{"mode":"count"}"#, r#"{"mode":"print","text":"x"}"#];
    let started: Vec<_> = (0..60)
        .map(|number| {
            let call = bed.chaos(modes[number % modes.len()]);
            bed.start(Call { workspace: workspace(u8::try_from(number % 3).unwrap()), ..call })
        })
        .collect();
    for started in started {
        assert_kind(&started.outcome().await, OutcomeKind::Ok);
    }
    assert!(bed.sandbox.has_free_slot());
    assert_eq!(bed.sandbox.guest_memory_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_in_a_host_call_gives_its_slot_away_and_gets_one_back() {
    let bed = testbed(|options| options.slots = 1);
    let sleepers: Vec<_> = (0..8).map(|_| bed.start(bed.chaos(r#"{"mode":"sleep","n":200}"#))).collect();
    let long = bed.start(bed.chaos(r#"{"mode":"sleep","n":1000000}"#));
    for _ in 0..5 {
        assert_kind(&bed.run(r#"{"mode":"count"}"#).await, OutcomeKind::Ok);
    }
    for sleeper in sleepers {
        assert_eq!(json(&sleeper.outcome().await), "slept");
    }
    assert!(bed.sandbox.cancel(long.run), "it sleeps all the while");
    assert_kind(&long.outcome().await, OutcomeKind::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_wait_while_the_memory_of_all_guests_is_used_up() {
    let bed = testbed(|options| options.guest_memory_bytes_max = 64 * MIB);
    let large = bed.start(bed.chaos(r#"{"mode":"allocate_and_loop","n":20000000}"#));
    let larger = bed.start(bed.chaos(r#"{"mode":"allocate_and_loop","n":30000000}"#));
    until("most is used", || bed.sandbox.guest_memory_bytes() > 50_000_000).await;
    let before = bed.sandbox.guest_memory_bytes();
    // It starts, but what it then asks for is not there until another gives it back.
    let third = bed.start(bed.chaos(r#"{"mode":"allocate","n":25000000}"#));
    until("it has started", || bed.sandbox.guest_memory_bytes() > before).await;
    assert!(bed.sandbox.cancel(larger.run));
    assert_eq!(json(&third.outcome().await), 25_000_000);
    assert!(bed.sandbox.cancel(large.run));
    for started in [large, larger] {
        assert_kind(&started.outcome().await, OutcomeKind::Cancelled);
    }
    assert_eq!(bed.sandbox.guest_memory_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_whose_guests_hold_its_memory_waits_alone() {
    let bed = testbed(|options| options.workspace_memory_bytes_max = 48 * MIB);
    let large = bed.start(bed.chaos(r#"{"mode":"allocate_and_loop","n":40000000}"#));
    until("most is used", || bed.sandbox.guest_memory_bytes() > 40_000_000).await;
    let waiting = bed.start(bed.chaos(r#"{"mode":"allocate","n":20000000}"#));
    let call = Call { workspace: workspace(2), ..bed.chaos(r#"{"mode":"allocate","n":20000000}"#) };
    assert_eq!(json(&soon(bed.sandbox.run(call)).await), 20_000_000);
    assert!(bed.sandbox.has_free_slot());
    assert!(bed.sandbox.cancel(large.run));
    assert_kind(&large.outcome().await, OutcomeKind::Cancelled);
    assert_eq!(json(&waiting.outcome().await), 20_000_000);
    assert_eq!(bed.sandbox.guest_memory_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_bombs_together_do_not_pass_the_budget() {
    let bed = testbed(|options| options.guest_memory_bytes_max = 48 * MIB);
    let limits = Limits { memory_bytes: 32 * MIB, ..Limits::default() };
    let bombs: Vec<_> = (0..6)
        .map(|_| {
            let input = CallInput::Arguments(JsonText::trusted(r#"{"mode":"bomb"}"#));
            bed.start(bed.call("chaos", input, limits))
        })
        .collect();
    for bomb in bombs {
        let outcome = bomb.outcome().await;
        // Their own limit, or, where they all wait for one another, the node's.
        assert!(matches!(outcome.kind, OutcomeKind::OutOfMemory | OutcomeKind::HostFault), "{outcome:?}");
        assert!(bed.sandbox.guest_memory_bytes() <= 48 * MIB);
    }
    assert_eq!(bed.sandbox.guest_memory_bytes(), 0);
    assert_kind(&bed.run(r#"{"mode":"count"}"#).await, OutcomeKind::Ok);
}
