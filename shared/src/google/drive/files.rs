use futures_util::FutureExt;
use sqlx::PgPool;

use super::{DriveId, FILE_FIELDS, FileItem, Hub, LIST, PAGE, read};
use crate::{
    google::{Google, Pages, errors::CallError, execute::Method},
    job::AccountId,
};

/// A page of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Those that could be read.
    pub items: Vec<FileItem>,
    /// The next page; none: it was the last one.
    pub next: Option<String>,
    /// Google has not looked everywhere: what is not in the list may be there all the same.
    pub incomplete: bool,
}

impl Google {
    /// A page of all files of a drive, those in the trash too. Those of My Drive are all that the user owns or was given.
    pub async fn files(
        &self,
        db: &PgPool,
        account: AccountId,
        drive: DriveId<'_>,
        place: Pages<'_>,
    ) -> Result<Files, CallError> {
        self.list_files(db, account, drive, None, place).await
    }

    /// The same of what is directly in these folders, of which there must be one. Of several at once Google may leave out what is in
    /// some, and does not say so: <https://github.com/rclone/rclone/issues/9810>.
    pub async fn files_in(
        &self,
        db: &PgPool,
        account: AccountId,
        drive: DriveId<'_>,
        folders: &[String],
        place: Pages<'_>,
    ) -> Result<Files, CallError> {
        self.list_files(db, account, drive, Some(in_any(folders)), place).await
    }

    async fn list_files(
        &self,
        db: &PgPool,
        account: AccountId,
        drive: DriveId<'_>,
        query: Option<String>,
        place: Pages<'_>,
    ) -> Result<Files, CallError> {
        let method = Method { name: "files.list", with_token: place.token.is_some(), cost: LIST };
        let (drive, page) = (drive.map(str::to_owned), place.token.map(str::to_owned));
        let fields = format!("nextPageToken,incompleteSearch,files({FILE_FIELDS})");
        let body = self
            .execute(db, account, method, move |hub: &Hub, recorder| {
                let mut call = hub
                    .files()
                    .list()
                    .page_size(PAGE)
                    .spaces("drive")
                    .supports_all_drives(true)
                    .include_items_from_all_drives(true)
                    .param("fields", &fields)
                    .delegate(recorder);
                call = match &drive {
                    Some(drive) => call.corpora("drive").drive_id(drive),
                    None => call.corpora("user"),
                };
                if let Some(query) = &query {
                    call = call.q(query);
                }
                if let Some(page) = &page {
                    call = call.page_token(page);
                }
                async { call.doit().await.map(|(response, _)| response) }.boxed()
            })
            .await?;
        let (page, items) = read(method, &body, FileItem::read)?;
        place.check(method, page.next_page_token.as_deref())?;
        // What could not be read must not be taken for gone.
        let incomplete = page.incomplete_search.unwrap_or(false) || items.len() < page.items.len();
        Ok(Files { items, next: page.next_page_token, incomplete })
    }
}

/// The query for what is in any of these folders: <https://developers.google.com/workspace/drive/api/guides/search-files>.
fn in_any(folders: &[String]) -> String {
    let quoted = |id: &String| id.replace('\\', r"\\").replace('\'', r"\'");
    let each: Vec<String> = folders.iter().map(|id| format!("'{}' in parents", quoted(id))).collect();
    each.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_asked_for_by_quoted_ids() {
        let query = |ids: &[&str]| in_any(&ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
        assert_eq!(query(&["1a-_"]), "'1a-_' in parents");
        assert_eq!(query(&["a", r"b'\"]), r"'a' in parents or 'b\'\\' in parents");
    }
}
