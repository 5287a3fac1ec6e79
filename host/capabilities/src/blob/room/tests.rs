use std::future::ready;

use super::*;

/// So much for all.
struct Most(Option<u64>);

impl RoomPort for Most {
    fn room(&self, _: WorkspaceId) -> BoxFuture<'_, Result<Option<u64>, String>> {
        Box::pin(ready(Ok(self.0)))
    }
}

fn workspace(number: u32) -> WorkspaceId {
    format!("00000000-0000-7000-8000-{number:012}").parse().unwrap()
}

fn rooms(bytes_max: Option<u64>) -> Rooms {
    Rooms::new(Arc::new(Most(bytes_max)))
}

/// The next one who asks lists.
async fn make_old(rooms: &Rooms) {
    *rooms.kept(workspace(1)).listed.lock().await = None;
}

fn is_full(done: Result<impl Sized, Error>) -> bool {
    matches!(done, Err(Error::TooLarge(text)) if text.contains("stored_bytes"))
}

fn bytes(rooms: &Rooms) -> u64 {
    rooms.kept(workspace(1)).sums().bytes()
}

#[tokio::test]
async fn what_open_writers_took_outlives_a_listing() {
    let rooms = rooms(Some(10));
    let mut first = rooms.of(workspace(1), 0, ready(Ok(0))).await.unwrap();
    first.take(6).unwrap();
    make_old(&rooms).await;
    // Its parts are in no listing.
    let mut second = rooms.of(workspace(1), 0, ready(Ok(0))).await.unwrap();
    assert!(is_full(second.take(5)));
    second.take(4).unwrap();
    make_old(&rooms).await;
    assert!(is_full(rooms.of(workspace(1), 0, ready(Ok(0))).await));
    drop((first, second));
    assert_eq!(bytes(&rooms), 0, "both were given up");
}

#[tokio::test]
async fn what_is_given_up_is_free_at_once_and_what_is_finished_is_not() {
    let rooms = rooms(Some(10));
    for _ in 0..5 {
        let mut room = rooms.of(workspace(1), 0, ready(Ok(0))).await.unwrap();
        room.take(8).unwrap();
    }
    let mut room = rooms.of(workspace(1), 0, ready(Ok(0))).await.unwrap();
    room.take(8).unwrap();
    room.set_finished(true);
    drop(room);
    assert_eq!(bytes(&rooms), 8);
    assert!(is_full(rooms.of(workspace(1), 0, ready(Ok(0))).await.unwrap().take(3)));
    assert_eq!(rooms.kept(workspace(1)).sums().freed, 1, "it may have replaced another: the next look is soon");
    make_old(&rooms).await;
    drop(rooms.of(workspace(1), 0, ready(Ok(8))).await.unwrap());
    assert_eq!(bytes(&rooms), 8, "and counts it once");
}

#[tokio::test]
async fn what_is_finished_while_somebody_lists_is_counted() {
    let rooms = rooms(Some(10));
    let mut writing = rooms.of(workspace(1), 0, ready(Ok(0))).await.unwrap();
    writing.take(7).unwrap();
    make_old(&rooms).await;
    let listing = async {
        writing.set_finished(true);
        drop(writing);
        Ok(0)
    };
    let mut next = rooms.of(workspace(1), 0, listing).await.unwrap();
    assert!(is_full(next.take(4)));
    next.take(3).unwrap();
}

#[tokio::test]
async fn an_object_without_bytes_takes_room() {
    let rooms = rooms(Some(10));
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(rooms.of(workspace(1), 5, ready(Ok(0))).await.unwrap());
    }
    assert!(is_full(rooms.of(workspace(1), 5, ready(Ok(0))).await));
    drop(open);
    assert!(is_full(rooms.of(workspace(1), 11, ready(Ok(0))).await));
    assert_eq!(rooms.bytes(workspace(1)), 0);
}

#[tokio::test]
async fn one_looks_at_a_time_and_not_again_at_once_if_that_failed() {
    let rooms = rooms(Some(10));
    let look = rooms.begin_look(workspace(1)).unwrap();
    assert!(rooms.begin_look(workspace(1)).is_none(), "somebody does");
    look.run(ready(Ok(7))).await;
    rooms.looked(workspace(1)).await;
    assert_eq!(rooms.bytes(workspace(1)), 7);
    assert!(rooms.begin_look(workspace(1)).is_none(), "it is believed");
    make_old(&rooms).await;
    rooms.begin_look(workspace(1)).unwrap().run(ready(Err(Error::Unavailable("gone".to_owned())))).await;
    rooms.looked(workspace(1)).await;
    assert_eq!(rooms.bytes(workspace(1)), 7, "as it was known before");
    assert!(rooms.begin_look(workspace(1)).is_none(), "it failed just now");
    drop(rooms.of(workspace(1), 0, ready(Ok(3))).await.unwrap());
    make_old(&rooms).await;
    rooms.begin_look(workspace(1)).unwrap().run(ready(Ok(2))).await;
    assert_eq!(rooms.bytes(workspace(1)), 2, "whoever needs it lists, and others may again");
}

#[tokio::test]
async fn a_listing_that_fails_changes_nothing() {
    let rooms = rooms(Some(10));
    let mut room = rooms.of(workspace(1), 0, ready(Ok(2))).await.unwrap();
    room.take(3).unwrap();
    make_old(&rooms).await;
    let failed = rooms.of(workspace(1), 0, ready(Err(Error::Unavailable("gone".to_owned())))).await;
    assert!(matches!(failed, Err(Error::Unavailable(_))));
    assert_eq!(bytes(&rooms), 5);
}

#[tokio::test]
async fn a_workspace_writes_so_many_objects_at_once() {
    let rooms = rooms(None);
    let never = || ready(Err(Error::Unavailable("nobody lists without a limit".to_owned())));
    let mut open = Vec::new();
    for _ in 0..WRITERS_MAX {
        open.push(rooms.of(workspace(1), 0, never()).await.unwrap());
    }
    assert!(matches!(rooms.of(workspace(1), 0, never()).await, Err(Error::Unavailable(_))));
    assert!(rooms.of(workspace(2), 0, never()).await.is_ok(), "another is in nobody's way");
    drop(open.pop());
    assert!(rooms.of(workspace(1), 0, never()).await.is_ok());
}

#[tokio::test]
async fn those_who_write_are_not_forgotten() {
    let rooms = rooms(Some(10));
    let mut room = rooms.of(workspace(1), 0, ready(Ok(0))).await.unwrap();
    room.take(9).unwrap();
    for number in 0..u32::try_from(WORKSPACES_MAX).unwrap() {
        rooms.kept(workspace(number + 2));
    }
    assert!(rooms.known.lock().unwrap().len() < WORKSPACES_MAX);
    assert_eq!(bytes(&rooms), 9);
}
