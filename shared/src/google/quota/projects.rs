use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::Budget;
use crate::config::google::Limits;

/// The budgets of one API: the OAuth client's project's, and those of the projects of service accounts. A call counts to the
/// project whose credentials it carries: <https://developers.google.com/workspace/calendar/api/guides/quota>.
#[derive(Debug)]
pub struct Projects {
    api: &'static str,
    limits: Limits,
    client: Arc<Budget>,
    others: Mutex<HashMap<String, Arc<Budget>>>,
}

impl Projects {
    /// The budgets of an API, with the OAuth client's `project`. All have the same limits.
    #[must_use]
    pub fn new(api: &'static str, project: &str, limits: Limits) -> Self {
        let client = Arc::new(Budget::new(api, project, limits));
        Self { api, limits, client, others: Mutex::default() }
    }

    /// The budget of a project; none: the OAuth client's. There are as many as there are service accounts' projects.
    pub fn of(&self, project: Option<&str>) -> Arc<Budget> {
        let Some(project) = project else { return Arc::clone(&self.client) };
        // Each change is whole between any two locks.
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(budget) = others.get(project) {
            return Arc::clone(budget);
        }
        let budget = Arc::new(Budget::new(self.api, project, self.limits));
        others.insert(project.to_owned(), Arc::clone(&budget));
        budget
    }
}
