use std::{future::poll_fn, sync::atomic::AtomicBool};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use sandmill_model::Timestamp;

use super::*;

/// What each poll is said to take: two of them use up a lap.
const POLL: Duration = Duration::from_micros(50);
const CROWD: usize = 32;

fn workspace() -> WorkspaceId {
    WorkspaceId::new(Timestamp::from_micros(0))
}

fn turn(turns: &Arc<Turns>, workspace: WorkspaceId) -> Turn {
    let on_behalf = OnBehalf::default();
    on_behalf.set(workspace);
    Turn::new(Arc::clone(turns), IpAddr::from([127, 0, 0, 1]), on_behalf)
}

/// One poll of a connection, when it is its turn.
async fn served(turn: &mut Turn) {
    poll_fn(|context| if turn.begin(Instant::now(), context.waker()) { Poll::Ready(()) } else { Poll::Pending }).await;
    turn.end(POLL);
}

/// To the back of the runtime's queue.
async fn give_way() {
    let mut gave_way = false;
    poll_fn(|context| {
        if std::mem::replace(&mut gave_way, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Polls of a crowd while one connection of `quiet` waited, at most.
async fn most_before(crowd: WorkspaceId, quiet: WorkspaceId) -> usize {
    let turns = Arc::new(Turns::new(1));
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    tasks.spawn({
        let (turns, stop) = (Arc::clone(&turns), stop.clone());
        async move {
            stop.run_until_cancelled(turns.usher()).await;
        }
    });
    let (polls, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    for _ in 0..CROWD {
        let (mut turn, polls, is_over) = (turn(&turns, crowd), Arc::clone(&polls), Arc::clone(&is_over));
        tasks.spawn(async move {
            while !is_over.load(Relaxed) {
                served(&mut turn).await;
                polls.fetch_add(1, Relaxed);
                give_way().await;
            }
        });
    }
    let mut one = turn(&turns, quiet);
    let mut most = 0;
    for round in 0..100 {
        let before = polls.load(Relaxed);
        give_way().await;
        served(&mut one).await;
        // The first ones are before anybody knows of the others.
        if round > 2 {
            most = most.max(polls.load(Relaxed) - before);
        }
    }
    is_over.store(true, Relaxed);
    assert!(polls.load(Relaxed) >= 100, "the crowd is served too: {polls:?}");
    // Whoever stands in line is called, although nobody comes after it.
    tasks.close();
    while tasks.len() > 1 {
        give_way().await;
    }
    stop.cancel();
    tasks.wait().await;
    most
}

#[tokio::test]
async fn a_crowd_waits_behind_itself() {
    let (crowd, quiet) = (workspace(), workspace());
    let most = most_before(crowd, quiet).await;
    assert!(most <= 4, "{most} polls of a crowd of {CROWD} came before one of somebody else");
    // In one line it is first come, first served.
    let most = most_before(crowd, crowd).await;
    assert!(most >= CROWD / 2, "{most}");
}

/// A crowd of `ann` that has used up its part of a lap, and who comes late.
struct Crowd {
    turns: Arc<Turns>,
    ann: WorkspaceId,
    _others: Vec<Turn>,
}

async fn crowd() -> Crowd {
    let (turns, ann) = (Arc::new(Turns::new(1)), workspace());
    let mut others: Vec<Turn> = (0..FEW).map(|_| turn(&turns, ann)).collect();
    for _ in 0..2 {
        served(&mut others[0]).await;
    }
    Crowd { turns, ann, _others: others }
}

fn begins(turn: &Turn) -> bool {
    turn.begin(Instant::now(), Waker::noop())
}

#[tokio::test]
async fn who_leaves_the_line_holds_up_nobody() {
    let crowd = crowd().await;
    let [left, called, stays] = [(); 3].map(|()| turn(&crowd.turns, crowd.ann));
    assert!(!begins(&left) && !begins(&called) && !begins(&stays), "two polls use up a lap");
    assert!(begins(&turn(&crowd.turns, workspace())), "one connection is no crowd");
    drop(left);
    crowd.turns.lap();
    assert!(!begins(&stays), "another was called");
    drop(called);
    assert!(begins(&stays));
}

#[tokio::test]
async fn who_panics_holds_up_nobody() {
    let crowd = crowd().await;
    let [panics, stays] = [(); 2].map(|()| turn(&crowd.turns, crowd.ann));
    assert!(!begins(&panics) && !begins(&stays));
    crowd.turns.lap();
    let tasks = TaskTracker::new();
    let panicked = tasks.spawn(async move {
        let mut panics = panics;
        let mut served = std::pin::pin!(async { panic!("on purpose") });
        poll_fn(|context| panics.poll(context, served.as_mut())).await;
    });
    assert!(panicked.await.is_err());
    assert!(begins(&stays));
}

#[tokio::test]
async fn who_goes_to_another_line_is_called_from_there_alone() {
    let mut crowd = crowd().await;
    let ben = workspace();
    let [mut changes, stays] = [(); 2].map(|()| turn(&crowd.turns, crowd.ann));
    assert!(!begins(&changes) && !begins(&stays));
    // No crowd for a moment: who stands in line stays there.
    crowd._others.clear();
    assert!(!begins(&changes));
    crowd.turns.lap();
    assert!(begins(&changes) && !begins(&stays));
    changes.on_behalf.set(ben);
    changes.end(POLL);
    assert_eq!(changes.who, Who::Workspace(ben));
    assert_eq!(lock(&changes.line.0).used, POLL, "it is counted for whom it was");
    assert!(begins(&stays), "the line that it left goes on");
}

#[test]
fn peers_are_told_apart_by_their_networks() {
    let of = |text: &str| network(text.parse().unwrap()).to_string();
    assert_eq!(of("192.0.2.7"), "192.0.2.7");
    assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
    assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
}

#[tokio::test]
async fn lines_end_with_their_connections() {
    let turns = Arc::new(Turns::new(1));
    for _ in 0..1000 {
        drop(turn(&turns, workspace()));
    }
    assert!(lock(&turns.lines).len() < 20, "{}", lock(&turns.lines).len());
}
