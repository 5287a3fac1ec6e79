//! Passwords: argon2id with the parameters that OWASP names (19 MiB, two passes, one lane), a few at a time beside the threads that answer,
//! so that logins take neither memory nor processors from runs.

use std::sync::Arc;

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
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(WAITING_MAX)), turns: Arc::new(Semaphore::new(AT_ONCE_MAX)) }
    }

    /// The PHC string of a new password.
    ///
    /// # Errors
    /// `bad_request` if it is too short or too long, `too_many_requests`.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Problem> {
        check(&password)?;
        let hashed = self.on_turn(move || {
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
    pub(crate) async fn verify(&self, password: String, kept: Option<String>) -> Result<bool, Problem> {
        if password.len() > BYTES_MAX {
            return Ok(false);
        }
        self.on_turn(move || verify(&password, kept.as_deref())).await
    }

    async fn on_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let failed = || Problem::internal("a password was not hashed to the end");
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Problem::new(Code::TooManyRequests, "too many people log in at present; try again"))?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| failed())?;
        let done = tokio::task::spawn_blocking(move || {
            // Also when nobody waits for the answer any more.
            let _held = (place, turn);
            work()
        });
        done.await.map_err(|_| failed())
    }
}

fn verify(password: &str, kept: Option<&str>) -> bool {
    let Ok(hash) = PasswordHash::new(kept.unwrap_or(NOBODYS)) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok() && kept.is_some()
}

fn check(password: &str) -> Result<(), Problem> {
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
        let hash = passwords.hash("correct horse battery".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash("correct horse battery".to_owned()).await.unwrap());
        for (password, kept, expected) in [
            ("correct horse battery", Some(hash.clone()), true),
            ("correct horse batterz", Some(hash.clone()), false),
            ("", Some(hash.clone()), false),
            ("correct horse battery", None, false),
            ("correct horse battery", Some("rubbish".to_owned()), false),
        ] {
            assert_eq!(passwords.verify(password.to_owned(), kept).await.unwrap(), expected, "{password}");
        }
        for bad in ["too short".to_owned(), "x".repeat(BYTES_MAX + 1)] {
            assert_eq!(passwords.hash(bad).await.unwrap_err().code(), Code::BadRequest);
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
        assert_eq!(passwords.verify(String::new(), None).await.unwrap_err().code(), Code::TooManyRequests);
        drop(held);
        assert!(!passwords.verify(String::new(), None).await.unwrap());
    }
}
