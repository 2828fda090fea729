//! Tokens of the HTTP API: made once and shown once; what is kept is their hash.
//!
//! A token is `pvt_ID_SECRET`. The secret has 256 random bits, so that nobody guesses it, a fast hash
//! is enough to keep it, and a client that tries many gains nothing.

mod store;

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

pub(crate) use store::Tokens;

/// What tokens begin with: scanners for leaked secrets can find them.
const PREFIX: &str = "pvt_";
/// Random bytes of an id, and of a secret.
const BYTES: (usize, usize) = (6, 32);

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Looking at things
    Read,
    /// Changing things too
    Manage,
}

impl Scope {
    /// The word of it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Manage => "manage",
        }
    }
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    /// The part of it that may be known.
    pub(crate) id: String,
    /// How its owner calls it.
    pub(crate) name: String,
    /// What it is good for.
    pub(crate) scope: Scope,
    /// SHA-256 of the secret, in hexadecimal.
    hash: String,
    /// When it was made, in RFC 3339.
    pub(crate) created_at: String,
    /// Until when it is good.
    #[serde(default)]
    pub(crate) expires_at: Option<String>,
}

impl Token {
    /// A new one, and its text, which is kept nowhere.
    pub(crate) fn new(
        name: &str,
        scope: Scope,
        now: SystemTime,
        expires: Option<SystemTime>,
    ) -> std::io::Result<(Self, String)> {
        let (id, secret) = (random(BYTES.0)?, random(BYTES.1)?);
        let at = |time| humantime::format_rfc3339_seconds(time).to_string();
        let token = Self {
            hash: hash(&secret),
            name: name.to_owned(),
            scope,
            created_at: at(now),
            expires_at: expires.map(at),
            id: id.clone(),
        };
        Ok((token, format!("{PREFIX}{id}_{secret}")))
    }

    /// Whether it is good at this time. One whose time cannot be read is not.
    pub(crate) fn is_good(&self, now: SystemTime) -> bool {
        match &self.expires_at {
            None => true,
            Some(text) => humantime::parse_rfc3339(text).is_ok_and(|until| now < until),
        }
    }
}

/// Which of these the text is, if it is good at this time. How long this takes tells nothing of a
/// secret.
pub(crate) fn find<'t>(all: &'t [Token], text: &str, now: SystemTime) -> Option<&'t Token> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let hash = hash(secret);
    let token = all.iter().find(|token| token.id == id)?;
    let same: bool = token.hash.as_bytes().ct_eq(hash.as_bytes()).into();
    (same && token.is_good(now)).then_some(token)
}

fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn random(bytes: usize) -> std::io::Result<String> {
    let mut buffer = vec![0u8; bytes];
    let mut filled = 0;
    while filled < bytes {
        filled += rustix::rand::getrandom(&mut buffer[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(hex(&buffer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_the_text_itself_is_the_token() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let (token, text) = Token::new("ci", Scope::Read, now, None).unwrap();
        let (other, _) = Token::new("x", Scope::Manage, now, None).unwrap();
        let all = [other, token];
        assert_eq!(find(&all, &text, now).map(|token| token.name.as_str()), Some("ci"));
        let kept = serde_json::to_string(&all).unwrap();
        let (_, secret) = text.rsplit_once('_').unwrap();
        assert!(secret.len() == 64 && !kept.contains(secret), "{kept}");
        let swapped = text.replace(&all[1].id, &all[0].id);
        let hashed = text.replace(secret, &all[1].hash);
        for wrong in ["", "pvt_", "pvt__", &text[..text.len() - 1], &format!("{text}0"), &swapped, &hashed, secret] {
            assert_eq!(find(&all, wrong, now), None, "{wrong}");
        }
    }

    #[test]
    fn a_token_ends_when_it_says() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let (mut token, text) = Token::new("ci", Scope::Read, now, Some(now + Duration::from_secs(60))).unwrap();
        let at =
            |token: &Token, secs| find(std::slice::from_ref(token), &text, now + Duration::from_secs(secs)).is_some();
        assert!(at(&token, 59) && !at(&token, 60));
        token.expires_at = Some("whenever".to_owned());
        assert!(!at(&token, 0));
    }
}
