//! Passwords: argon2id with the parameters that OWASP names (19 MiB, two passes, one lane), a few at a time beside the threads that answer,
//! so that logins take neither memory nor processors from runs. Nobody takes all places: each address and each account has a few.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use sandmill_model::{Code, random};
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// Passwords that are hashed at the same time: 19 MiB and a thread each.
const AT_ONCE_MAX: usize = 2;
/// Those that wait or are hashed; what comes beyond is answered 429.
const WAITING_MAX: usize = 64;
/// Those of one account.
const OF_ACCOUNT_MAX: usize = 2;
/// Those of one address, behind which many people may be, while half of all are free.
const OF_ADDRESS_MAX: usize = 8;
/// The same once they are scarce.
const OF_ADDRESS_SCARCE_MAX: usize = 2;
/// After which whoever is refused so may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Characters of a password.
const CHARS_MIN: usize = 12;
/// Bytes of a password.
pub(crate) const BYTES_MAX: usize = 512;
const SALT_BYTES: usize = 16;
/// What is checked where there is no password: it takes as long as any other, and no password has this hash.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FuZG1pbGwtbm8tdXNlcg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

pub(crate) struct Passwords {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    shares: Arc<Shares>,
}

/// For whom a password is hashed. Whoever administers the installation is nobody here.
#[derive(Clone, Debug, Default)]
pub(crate) struct For {
    /// A network.
    pub(crate) address: Option<IpAddr>,
    pub(crate) account: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Whose {
    Address(IpAddr),
    Account(String),
}

/// How many places each has at present: no more entries than twice as many as there are places.
type Shares = Mutex<HashMap<Whose, usize>>;

/// Places in the shares of somebody, until it is dropped.
struct Taken {
    shares: Arc<Shares>,
    of: Vec<Whose>,
}

impl Taken {
    fn take(&mut self, whose: Whose, max: usize) -> Option<()> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let count = shares.get(&whose).copied().unwrap_or_default();
        if count >= max {
            return None;
        }
        shares.insert(whose.clone(), count + 1);
        self.of.push(whose);
        Some(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        for whose in &self.of {
            let left = shares.get(whose).map_or(0, |count| count.saturating_sub(1));
            if left == 0 {
                shares.remove(whose);
            } else {
                shares.insert(whose.clone(), left);
            }
        }
    }
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(WAITING_MAX)), turns: Arc::new(Semaphore::new(AT_ONCE_MAX)), shares: Arc::default() }
    }

    /// The PHC string of a new password.
    ///
    /// # Errors
    /// `bad_request` if it is too short or too long, `too_many_requests`.
    pub(crate) async fn hash(&self, password: String, whose: For) -> Result<String, Problem> {
        check(&password)?;
        let hashed = self.on_turn(whose, move || {
            let salt: [u8; SALT_BYTES] = random::bytes();
            let hash: Result<PasswordHash, _> = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string())
        });
        hashed.await?.map_err(|error| Problem::internal(format!("a password cannot be hashed: {error}")))
    }

    /// Whether `password` is that of a PHC string; never where there is none, which takes as long to find out.
    ///
    /// # Errors
    /// `too_many_requests`
    pub(crate) async fn verify(&self, password: String, kept: Option<String>, whose: For) -> Result<bool, Problem> {
        if password.len() > BYTES_MAX {
            return Ok(false);
        }
        self.on_turn(whose, move || verify(&password, kept.as_deref())).await
    }

    /// The places of somebody; none if there are no more for them. What was taken before is given back.
    fn share(&self, For { address, account }: For) -> Option<Taken> {
        let is_scarce = self.places.available_permits() < WAITING_MAX / 2;
        let of_address = if is_scarce { OF_ADDRESS_SCARCE_MAX } else { OF_ADDRESS_MAX };
        let mut taken = Taken { shares: Arc::clone(&self.shares), of: Vec::new() };
        if let Some(account) = account {
            taken.take(Whose::Account(account), OF_ACCOUNT_MAX)?;
        }
        if let Some(address) = address {
            taken.take(Whose::Address(address), of_address)?;
        }
        Some(taken)
    }

    async fn on_turn<T: Send + 'static>(&self, whose: For, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let failed = || Problem::internal("a password was not hashed to the end");
        let too_many = || Problem::new(Code::TooManyRequests, "too many people log in at present; try again").retry_after(RETRY_AFTER);
        let share = self.share(whose).ok_or_else(too_many)?;
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| too_many())?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| failed())?;
        let done = tokio::task::spawn_blocking(move || {
            // Also when nobody waits for the answer any more.
            let _held = (share, place, turn);
            work()
        });
        done.await.map_err(|_| failed())
    }
}

fn verify(password: &str, kept: Option<&str>) -> bool {
    let Ok(hash) = PasswordHash::new(kept.unwrap_or(NOBODYS)) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok() && kept.is_some()
}

/// # Errors
/// `bad_request` if it is too short or too long.
pub(crate) fn check(password: &str) -> Result<(), Problem> {
    if password.chars().count() < CHARS_MIN || password.len() > BYTES_MAX {
        return Err(Problem::new(
            Code::BadRequest,
            format!("a password has at least {CHARS_MIN} characters, and at most {BYTES_MAX} bytes"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_again() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse battery".to_owned(), For::default()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash("correct horse battery".to_owned(), For::default()).await.unwrap());
        for (password, kept, expected) in [
            ("correct horse battery", Some(hash.clone()), true),
            ("correct horse batterz", Some(hash.clone()), false),
            ("", Some(hash.clone()), false),
            ("correct horse battery", None, false),
            ("correct horse battery", Some("rubbish".to_owned()), false),
        ] {
            assert_eq!(passwords.verify(password.to_owned(), kept, For::default()).await.unwrap(), expected, "{password}");
        }
        for bad in ["too short".to_owned(), "x".repeat(BYTES_MAX + 1)] {
            assert_eq!(passwords.hash(bad, For::default()).await.unwrap_err().code(), Code::BadRequest);
        }
    }

    #[test]
    fn nobodys_password_costs_the_same() {
        let nobodys = PasswordHash::new(NOBODYS).unwrap();
        let salt: [u8; SALT_BYTES] = random::bytes();
        let own: PasswordHash = Argon2::default().hash_password_with_salt(b"correct horse battery", &salt).unwrap();
        assert_eq!((nobodys.algorithm, nobodys.version, &nobodys.params), (own.algorithm, own.version, &own.params));
        assert_eq!(nobodys.hash.unwrap().as_bytes().len(), own.hash.unwrap().as_bytes().len());
    }

    #[tokio::test]
    async fn too_many_at_once_are_refused() {
        let passwords = Passwords::new();
        let held = Arc::clone(&passwords.places).try_acquire_many_owned(u32::try_from(WAITING_MAX).unwrap()).unwrap();
        assert_eq!(passwords.verify(String::new(), None, For::default()).await.unwrap_err().code(), Code::TooManyRequests);
        drop(held);
        assert!(!passwords.verify(String::new(), None, For::default()).await.unwrap());
    }

    fn of(address: u8, account: &str) -> For {
        For { address: Some(IpAddr::from([192, 0, 2, address])), account: Some(account.to_owned()) }
    }

    #[tokio::test]
    async fn nobody_takes_the_places_of_others() {
        let passwords = Passwords::new();
        let held: Vec<_> = (0..OF_ACCOUNT_MAX).map(|_| passwords.share(of(1, "ann")).unwrap()).collect();
        assert!(passwords.share(of(2, "ann")).is_none(), "from wherever");
        assert_eq!(passwords.verify(String::new(), None, of(2, "ann")).await.unwrap_err().code(), Code::TooManyRequests);
        let more: Vec<_> = (held.len()..OF_ADDRESS_MAX).map(|number| passwords.share(of(1, &number.to_string())).unwrap()).collect();
        assert!(passwords.share(of(1, "bob")).is_none() && passwords.share(of(2, "bob")).is_some());
        assert!(passwords.share(For::default()).is_some());
        drop((held, more));
        let scarce = Arc::clone(&passwords.places).try_acquire_many_owned(u32::try_from(WAITING_MAX / 2 + 1).unwrap()).unwrap();
        let held: Vec<_> = (0..OF_ADDRESS_SCARCE_MAX).map(|number| passwords.share(of(1, &number.to_string())).unwrap()).collect();
        assert!(passwords.share(of(1, "bob")).is_none() && passwords.share(of(2, "bob")).is_some());
        drop((held, scarce));
        assert!(passwords.shares.lock().unwrap().is_empty(), "nothing is left of those who are gone");
        assert!(!passwords.verify(String::new(), None, of(1, "ann")).await.unwrap());
        assert!(passwords.shares.lock().unwrap().is_empty());
    }
}
