//! Rows alone: what is to be asked for, what is not wanted any more, what is of no use.

use rand::{Rng, RngExt};
use shared::{
    job::{AccountId, Run, Step, StepResult, Verdict},
    store::channels::{self, NewChannel},
};

use super::{LIFE, plan::Tidy};
use crate::jobs::{Context, rng};

/// Writes the rows; the next step goes to Google.
pub(super) async fn tidy(context: &Context, run: &Run, account: AccountId, tidy: Tidy) -> StepResult {
    let mut rng = rng(run);
    let new: Vec<NewChannel> = tidy
        .ask
        .into_iter()
        .map(|(job, api, address)| NewChannel { id: draw(&mut rng), job, api, address })
        .collect();
    let mut tx = context.db.begin().await?;
    channels::forget(&mut tx, &tidy.forget).await?;
    channels::retire(&mut tx, &tidy.retire).await?;
    channels::ask(&mut tx, account, LIFE, &new).await?;
    Ok(Step::wrote(Verdict::Continue { lane: None }, tx, 0))
}

/// An id of 32 characters. It need not be secret: the channel's token proves who has made it.
fn draw(rng: &mut impl Rng) -> String {
    format!("{:032x}", rng.random::<u128>())
}
