//! When tokens were used: noted in memory, written down now and then.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sandmill_model::{Timestamp, TokenId};

use super::{Sql, value::values};
use crate::StoreError;

/// How far apart two uses are that are both written down.
const APART: Duration = Duration::from_secs(60);
/// Tokens of which uses wait to be written; past it they are noted another time.
const WAITING_MAX: usize = 10_000;
/// Tokens in one transaction.
const WRITTEN_MAX: usize = 200;

/// Uses that are not written down yet.
#[derive(Default)]
pub(super) struct Uses(Mutex<HashMap<TokenId, Timestamp>>);

impl Uses {
    pub(super) fn note(&self, id: TokenId, at: Timestamp) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if uses.len() < WAITING_MAX || uses.contains_key(&id) {
            let noted = uses.entry(id).or_insert(at);
            *noted = at.max(*noted);
        }
    }

    /// In the order of ids, so that two nodes that write the same rows take them in the same order.
    fn take(&self) -> Vec<(TokenId, Timestamp)> {
        let uses = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut uses: Vec<_> = uses.into_iter().collect();
        uses.sort_unstable();
        uses
    }
}

impl Sql {
    pub(super) async fn write_token_uses(&self) -> Result<u64, StoreError> {
        let mut written = 0;
        for uses in self.token_uses.take().chunks(WRITTEN_MAX) {
            let write = self.db.write(uses.to_vec(), |uses, mut conn| {
                Box::pin(async move {
                    // Lost, it is noted again at the next use.
                    conn.relax().await?;
                    let mut written = 0;
                    for (id, at) in uses {
                        let apart =
                            Timestamp::from_micros(at.micros().saturating_sub(i64::try_from(APART.as_micros()).unwrap_or(i64::MAX)));
                        written += conn
                            .execute(
                                "UPDATE tokens SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $3)",
                                values![*id, *at, apart],
                            )
                            .await?;
                    }
                    Ok(written)
                })
            });
            written += write.await?;
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    #[test]
    fn the_latest_use_is_kept_and_memory_is_bounded() {
        let uses = Uses::default();
        let id = TokenId::new(at(0));
        for second in [5, 9, 7] {
            uses.note(id, at(second));
        }
        assert_eq!(uses.take(), [(id, at(9))]);
        assert_eq!(uses.take(), []);
        uses.note(id, at(1));
        for _ in 0..2 * WAITING_MAX {
            uses.note(TokenId::new(at(0)), at(1));
        }
        uses.note(id, at(2));
        let taken = uses.take();
        assert!(taken.len() == WAITING_MAX && taken.is_sorted() && taken.contains(&(id, at(2))), "{}", taken.len());
    }
}
