//! Drives drawn from a seed.

use rand::RngExt;

use super::{Content, FOLDER, FileDraft};
use crate::fake_google::{seed::title, world::World};

/// The most files of one seeding: more would not fit into the memory of a small machine.
const MOST: usize = 1_000_000;

/// Names that a mirror must survive as they are.
const ODD: [&str; 6] = ["Ångström/½ & \"quotes\"", "  spaces  ", "résumé.pdf", "日本語.txt", "a\\b%_c", ".."];

impl World {
    /// Adds so many files and folders to an account's My Drive, or to a shared drive: one in ten is a folder, up to some levels
    /// deep; some are Google's own documents. Answers the ids.
    pub fn seed_files(
        &mut self,
        owner: &str,
        drive: Option<&str>,
        files: usize,
    ) -> anyhow::Result<Vec<String>> {
        anyhow::ensure!(files <= MOST, "seed_files: {files} files: up to {MOST} are allowed");
        let mut folders: Vec<Option<String>> = vec![drive.map(str::to_owned)];
        let mut ids = Vec::with_capacity(files);
        for number in 0..files {
            let parent = folders[self.rng.random_range(0..folders.len())].clone();
            let name = match self.rng.random_range(0..200) {
                place @ 0..6 => ODD[place].to_owned(),
                _ => format!("{} {number}", title(&mut self.rng)),
            };
            let mut draft = FileDraft { name, parent, ..FileDraft::default() };
            match self.rng.random_range(0..20) {
                0 | 1 => draft.mime_type = Some(FOLDER.to_owned()),
                2..6 => draft.mime_type = Some("application/vnd.google-apps.document".to_owned()),
                _ => {
                    draft.mime_type = Some("application/pdf".to_owned());
                    let length = self.rng.random_range(0..512);
                    draft.content = Some(Content::Drawn { seed: self.rng.random(), length });
                }
            }
            let is_folder = draft.mime_type.as_deref() == Some(FOLDER);
            let id = self.put_file(owner, draft)?;
            if is_folder {
                folders.push(Some(id.clone()));
            }
            ids.push(id);
        }
        Ok(ids)
    }
}
