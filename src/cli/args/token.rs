//! `token`: who may use the HTTP API on an address.

use clap::{Args, Subcommand};

use crate::tokens::Scope;

/// `token`.
#[derive(Debug, Subcommand)]
pub enum TokenVerb {
    /// Make one, and print it: it is shown this once
    Create(CreateToken),
    /// Their names, scopes and ends
    List,
    /// Make tokens useless, from now on
    Revoke(RevokeToken),
}

/// `token create`.
#[derive(Debug, Args)]
pub struct CreateToken {
    /// How you will call it
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// What it is good for
    #[arg(long, value_enum)]
    pub scope: Scope,
    /// For how long (30d), or until when (2027-01-31T12:00:00Z); without: until it is revoked
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<String>,
}

/// `token revoke`.
#[derive(Debug, Args)]
pub struct RevokeToken {
    /// Their names or ids
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
}
