//! The rules of the fake Google, each as a client sees it.

mod calendar_list;
mod churn;
mod client;
mod control;
mod events;
mod faults;
mod mirror;
mod oauth;
mod series;
