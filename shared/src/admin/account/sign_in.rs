//! A person signs in on a page: from the link to the stored grant.
//!
//! # Wanted properties
//!
//! 1. Only who was given a link may sign in, once, while it is good, for the tenant (and account) that it names.
//! 2. A grant is stored only for the browser that began the sign-in, and only once for each attempt.
//! 3. What is stored is whole: tokens, jobs, the opened gate, the used link, the audit row, in one transaction. On any refusal
//!    nothing is stored.
//! 4. The database alone lets nobody sign in: it has hashes of the link, the state and the cookie, no more.
//!
//! # Why the link is a row
//!
//! A signed text would need no row, but could not be withdrawn, used up, or gone with its tenant or account, and would need a
//! key on every machine that makes links. The link has 256 random bits, of which the row keeps the SHA-256.
//!
//! # The way
//!
//! | step | what stands afterwards |
//! |---|---|
//! | `account connect` | a row in `sign_in_links` |
//! | the page is shown | nothing: programs that look at links for people use none up |
//! | its button: [`begin`] | a row in `sign_ins`, a cookie in the browser |
//! | the browser comes back: [`resume`] | the row in `sign_ins` is gone |
//! | the code is exchanged | nothing here; no connection is held meanwhile |
//! | [`finish`] | all of it |
//!
//! # The races
//!
//! - *Two callbacks with one state* (a reload, a repeated request). The row is deleted by whoever is first; the other finds none.
//! - *The callback comes in another browser.* The row names the cookie's hash: it is not found for that one, and stays for the
//!   right one. PKCE's verifier is made of the cookie, so that the code would not be exchanged either.
//! - *The code is used twice or too late.* Google refuses it, and the person is told to begin again.
//! - *The account is removed meanwhile.* Its links go with it. A removal at the same time waits for the transaction, or the
//!   transaction finds the account gone.
//! - *The tenant is removed meanwhile.* The same.
//! - *Two sign-ins of one account at once.* Both replace all of the account's tokens, and one waits for the other's locks: the
//!   tokens of the later one stand, none is mixed. By one link only one succeeds.
//! - *A refresh runs while a sign-in is stored.* The refresh stores nothing unless the refresh token that it used still stands
//!   (`google::auth`).
//! - *The account is disconnected meanwhile.* Revoking ends all grants of that person to the OAuth client. If the sign-in is
//!   stored after that, its first refresh is refused, and it is asked for again.
//! - *The code is exchanged and the database is away.* Nothing is stored and the link is still good: the person begins again.
//!   The grant that is lost by it counts among the hundred that Google keeps, and is replaced by the next.
//! - *Somebody signs in with another account than expected.* The grant is dropped, not revoked: revoking would end all that
//!   this person has granted, for another tenant perhaps.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use super::add::{Added, New, put};
use crate::{
    admin::{Actor, AdminError, remove},
    google::{
        Google, scopes,
        sign_in::{Attempt, Secret, SignedIn},
    },
    job::Policy,
    store::{
        accounts,
        sign_in_links::{self, LinkRow},
        sign_ins, tenants,
    },
};

/// How long a person may take at Google.
pub const TIME: Duration = Duration::from_mins(10);

/// Sign-ins of one link that may be under way at once.
const MOST: i64 = 10;

/// Why a sign-in does not go on.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no such link: it was cut, withdrawn, or its tenant or account is gone.
    #[error("the link is not known")]
    LinkUnknown,
    /// The link's time is over.
    #[error("the link has expired")]
    LinkExpired,
    /// Somebody has signed in by it.
    #[error("the link was used")]
    LinkUsed,
    /// The link was begun with too often.
    #[error("{MOST} sign-ins are under way by this link")]
    TooMany,
    /// The browser is not the one that began.
    #[error("the sign-in was begun in another browser")]
    OtherBrowser,
    /// No such sign-in is under way: it is over, or never was.
    #[error("no such sign-in is under way")]
    NotUnderWay,
    /// The person took longer than [`TIME`].
    #[error("the sign-in took too long")]
    TooLate,
    /// Nothing of what could be mirrored was granted.
    #[error("nothing was granted that could be mirrored")]
    NothingGranted,
    /// The grant cannot be stored, or the database did not answer.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Self::Admin(error.into())
    }
}

/// The link of a secret, if it is good.
pub async fn link(conn: &mut PgConnection, secret: &Secret) -> Result<LinkRow, Refused> {
    let link = sign_in_links::find(conn, &secret.hash()).await?.ok_or(Refused::LinkUnknown)?;
    if link.used {
        return Err(Refused::LinkUsed);
    }
    if link.expired { Err(Refused::LinkExpired) } else { Ok(link) }
}

/// Notes that a browser goes to Google.
pub async fn begin(conn: &mut PgConnection, link: &LinkRow, attempt: &Attempt) -> Result<(), Refused> {
    let (state, browser) = (attempt.state_hash(), attempt.browser_hash());
    let begun = sign_ins::insert(conn, &state, &browser, link.id, TIME, MOST).await?;
    if begun { Ok(()) } else { Err(Refused::TooMany) }
}

/// Takes up the sign-in that a browser comes back with; it is under way no more. `browser`: its cookie, if it sent one.
pub async fn resume(
    conn: &mut PgConnection,
    state: Secret,
    browser: Option<Secret>,
) -> Result<(Attempt, LinkRow), Refused> {
    let taken = match &browser {
        Some(browser) => sign_ins::take(&mut *conn, &state.hash(), &browser.hash()).await?,
        None => None,
    };
    let (Some(browser), Some(taken)) = (browser, taken) else {
        let elsewhere = sign_ins::is_under_way(conn, &state.hash()).await?;
        return Err(if elsewhere { Refused::OtherBrowser } else { Refused::NotUnderWay });
    };
    if taken.expired {
        return Err(Refused::TooLate);
    }
    // Its time may be over by now: who began in time may end.
    let link = sign_in_links::get(conn, taken.link).await?.ok_or(Refused::LinkUnknown)?;
    if link.used { Err(Refused::LinkUsed) } else { Ok((Attempt::resumed(state, browser), link)) }
}

/// Stores what was granted, for the link's account or for the one that signed in, and uses the link up.
pub async fn finish(
    db: &PgPool,
    google: &Google,
    policies: &[Policy],
    link: &LinkRow,
    who: &SignedIn,
) -> Result<Added, Refused> {
    let granted = who.checked.scopes.as_deref().unwrap_or_default();
    if scopes::missing(granted).count() == scopes::NEEDS.len() {
        return Err(Refused::NothingGranted);
    }
    let mut attempt = 1;
    let stored = loop {
        match store(db, google, policies, link, who).await {
            // A worker's commit was in the way.
            Err(error) if attempt < remove::ATTEMPTS && remove::is_deadlock(&error) => attempt += 1,
            stored => break stored?,
        }
    };
    match stored {
        Some(added) => Ok(added),
        None => match sign_in_links::get(&mut *db.acquire().await?, link.id).await? {
            Some(_) => Err(Refused::LinkUsed),
            None => Err(Refused::LinkUnknown),
        },
    }
}

/// None: the link is used, or gone with its tenant or account.
async fn store(
    db: &PgPool,
    google: &Google,
    policies: &[Policy],
    link: &LinkRow,
    who: &SignedIn,
) -> Result<Option<Added>, AdminError> {
    let mut tx = db.begin().await?;
    // In the order of those who remove: the tenant, the account, what hangs on it.
    let there = tenants::keep(&mut tx, link.tenant).await?
        && match link.account {
            Some(account) => accounts::keep(&mut tx, account).await?,
            None => true,
        };
    if !there || !sign_in_links::spend(&mut tx, link.id).await? {
        return Ok(None);
    }
    let email = address(&mut tx, link, who).await?;
    let new = New {
        tenant: &link.tenant_name,
        provider: "google",
        email: &email,
        refresh_token: None,
        checked: Some(&who.checked),
    };
    let actor = Actor::new(&format!("sign_in:{}", who.email));
    let added = put(&mut tx, &actor, google.keys(), policies, &new).await?;
    tx.commit().await?;
    Ok(Some(added))
}

/// The address that the account goes by here: it may have had another one at Google when it was added.
async fn address(conn: &mut PgConnection, link: &LinkRow, who: &SignedIn) -> Result<String, sqlx::Error> {
    let there = match link.account {
        Some(account) => accounts::get(conn, account).await?,
        None => accounts::of_subject(conn, link.tenant, "google", &who.subject).await?,
    };
    Ok(there.map_or_else(|| who.email.clone(), |account| account.email))
}
