//! What may strike, and whom.

use std::{fmt, time::Duration};

use rand::{Rng, RngExt};

/// What a process of the fleet does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    Scheduler,
    Worker,
    Ingress,
}

/// A process of the fleet: it keeps its name when it is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    pub role: Role,
    /// From 1.
    pub number: usize,
}

impl Member {
    const fn new(role: Role, number: usize) -> Self {
        Self { role, number }
    }

    /// The first one of a role.
    pub const fn first(role: Role) -> Self {
        Self::new(role, 1)
    }

    /// All processes of the fleet.
    pub const ALL: [Self; 7] = [
        Self::new(Role::Scheduler, 1),
        Self::new(Role::Scheduler, 2),
        Self::new(Role::Worker, 1),
        Self::new(Role::Worker, 2),
        Self::new(Role::Worker, 3),
        Self::new(Role::Ingress, 1),
        Self::new(Role::Ingress, 2),
    ];
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            Role::Scheduler => "scheduler",
            Role::Worker => "worker",
            Role::Ingress => "ingress",
        };
        write!(f, "{role}-{}", self.number)
    }
}

/// A member's connections to one of the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    Postgres,
    Redis,
}

/// What goes wrong on the way from outside to the ingresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// All open connections are reset.
    Cut,
    /// Nobody can connect.
    Refuse,
    /// All bytes come later.
    Delay(Duration),
    /// Nothing passes, and then all of it.
    Swallow,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// kill -9, and a new start after `away`.
    Kill { member: Member, away: Duration },
    /// SIGSTOP for longer than the lease, then SIGCONT.
    Stop { member: Member, lasts: Duration },
    /// SIGTERM, and a new start when it has ended.
    Renew { member: Member },
    /// FLUSHALL.
    Flush,
    /// Redis is ended and started again.
    RedisAway { lasts: Duration },
    /// `PostgreSQL` ends at once, as after a crash, and is started again.
    PostgresCrash { away: Duration },
    /// All open connections are reset.
    Cut { member: Member, line: Line },
    /// No open connection is ever answered again, or closed.
    Strand { member: Member, line: Line },
    /// All bytes come later.
    Delay { member: Member, line: Line, by: Duration, lasts: Duration },
    /// Nothing passes. Afterwards all of it passes, or the connections are reset.
    Swallow { member: Member, line: Line, lasts: Duration, then_cut: bool },
    /// What the outside says to the ingresses comes late, or never.
    Outside { what: Outside, lasts: Duration },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |line: Line| if line == Line::Postgres { "PostgreSQL" } else { "Redis" };
        let s = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        match *self {
            Self::Kill { member, away } => write!(f, "kill -9 {member}, started again after {}", s(away)),
            Self::Stop { member, lasts } => write!(f, "stop {member} for {}", s(lasts)),
            Self::Renew { member } => write!(f, "SIGTERM {member}, and start it again"),
            Self::Flush => write!(f, "FLUSHALL"),
            Self::RedisAway { lasts } => write!(f, "Redis away for {}", s(lasts)),
            Self::PostgresCrash { away } => {
                write!(f, "PostgreSQL stops at once, started again after {}", s(away))
            }
            Self::Cut { member, line: to } => write!(f, "cut {member} from {}", line(to)),
            Self::Strand { member, line: to } => {
                write!(f, "{member}'s connections to {} are never answered again", line(to))
            }
            Self::Delay { member, line: to, by, lasts } => {
                write!(f, "{member} hears {} {} late for {}", line(to), s(by), s(lasts))
            }
            Self::Swallow { member, line: to, lasts, then_cut } => {
                let end = if then_cut { "cut" } else { "let through" };
                write!(f, "swallow what {member} and {} say for {}, then {end}", line(to), s(lasts))
            }
            Self::Outside { what: Outside::Cut, .. } => write!(f, "cut the outside from the ingresses"),
            Self::Outside { what: Outside::Refuse, lasts } => {
                write!(f, "let nobody from outside in for {}", s(lasts))
            }
            Self::Outside { what: Outside::Delay(by), lasts } => {
                write!(f, "the ingresses hear the outside {} late for {}", s(by), s(lasts))
            }
            Self::Outside { what: Outside::Swallow, lasts } => {
                write!(f, "swallow what the outside and the ingresses say for {}", s(lasts))
            }
        }
    }
}

/// The kinds of faults of what happens within, each of which strikes before one strikes again.
pub const INNER: [&str; 15] = [
    "kill worker",
    "kill worker",
    "kill scheduler",
    "stop worker",
    "stop scheduler",
    "renew worker",
    "renew scheduler",
    "flush",
    "redis away",
    "postgres crash",
    "cut",
    "strand",
    "delay",
    "swallow postgres",
    "swallow redis",
];

/// The kinds of faults between the fleet and the outside. They strike beside the others, as they are in nobody's way.
pub const OUTER: [&str; 7] = [
    "kill ingress",
    "stop ingress",
    "renew ingress",
    "cut outside",
    "refuse outside",
    "delay outside",
    "swallow outside",
];

impl Fault {
    /// The kind, for counting.
    pub const fn kind(&self) -> &'static str {
        let role = match self.member() {
            Some(member) => member.role,
            None => Role::Worker,
        };
        match (self, role) {
            (Self::Kill { .. }, Role::Worker) => "kill worker",
            (Self::Kill { .. }, Role::Scheduler) => "kill scheduler",
            (Self::Kill { .. }, Role::Ingress) => "kill ingress",
            (Self::Stop { .. }, Role::Worker) => "stop worker",
            (Self::Stop { .. }, Role::Scheduler) => "stop scheduler",
            (Self::Stop { .. }, Role::Ingress) => "stop ingress",
            (Self::Renew { .. }, Role::Worker) => "renew worker",
            (Self::Renew { .. }, Role::Scheduler) => "renew scheduler",
            (Self::Renew { .. }, Role::Ingress) => "renew ingress",
            (Self::Flush, _) => "flush",
            (Self::RedisAway { .. }, _) => "redis away",
            (Self::PostgresCrash { .. }, _) => "postgres crash",
            (Self::Cut { .. }, _) => "cut",
            (Self::Strand { .. }, _) => "strand",
            (Self::Delay { .. }, _) => "delay",
            (Self::Swallow { line: Line::Postgres, .. }, _) => "swallow postgres",
            (Self::Swallow { line: Line::Redis, .. }, _) => "swallow redis",
            (Self::Outside { what: Outside::Cut, .. }, _) => "cut outside",
            (Self::Outside { what: Outside::Refuse, .. }, _) => "refuse outside",
            (Self::Outside { what: Outside::Delay(_), .. }, _) => "delay outside",
            (Self::Outside { what: Outside::Swallow, .. }, _) => "swallow outside",
        }
    }

    /// The process that is struck, if it is one.
    pub const fn member(&self) -> Option<Member> {
        match *self {
            Self::Kill { member, .. }
            | Self::Stop { member, .. }
            | Self::Renew { member }
            | Self::Cut { member, .. }
            | Self::Strand { member, .. }
            | Self::Delay { member, .. }
            | Self::Swallow { member, .. } => Some(member),
            Self::Flush | Self::RedisAway { .. } | Self::PostgresCrash { .. } | Self::Outside { .. } => None,
        }
    }

    /// How long it lasts, without what follows from it.
    pub const fn lasts(&self) -> Duration {
        match *self {
            Self::Kill { away: lasts, .. }
            | Self::Stop { lasts, .. }
            | Self::RedisAway { lasts }
            | Self::PostgresCrash { away: lasts }
            | Self::Delay { lasts, .. }
            | Self::Swallow { lasts, .. }
            | Self::Outside { lasts, .. } => lasts,
            // What hangs is given up after so long.
            Self::Strand { .. } => Duration::from_secs(15),
            Self::Renew { .. } => Duration::from_secs(5),
            Self::Flush | Self::Cut { .. } => Duration::ZERO,
        }
    }

    pub fn draw(kind: &str, rng: &mut impl Rng) -> Self {
        let s = Duration::from_secs_f64;
        let worker = Member::new(Role::Worker, rng.random_range(1..=3));
        let scheduler = Member::new(Role::Scheduler, rng.random_range(1..=2));
        let ingress = Member::new(Role::Ingress, rng.random_range(1..=2));
        let any = Member::ALL[rng.random_range(0..Member::ALL.len())];
        let line = if rng.random_bool(0.6) { Line::Postgres } else { Line::Redis };
        let away = s(rng.random_range(0.2..3.0));
        let stopped = s(rng.random_range(11.0..18.0));
        match kind {
            "kill worker" => Self::Kill { member: worker, away },
            "kill scheduler" => Self::Kill { member: scheduler, away },
            "stop worker" => Self::Stop { member: worker, lasts: stopped },
            "stop scheduler" => Self::Stop { member: scheduler, lasts: stopped },
            "renew worker" => Self::Renew { member: worker },
            "renew scheduler" => Self::Renew { member: scheduler },
            "kill ingress" => Self::Kill { member: ingress, away },
            "stop ingress" => Self::Stop { member: ingress, lasts: stopped },
            "renew ingress" => Self::Renew { member: ingress },
            "cut outside" => Self::Outside { what: Outside::Cut, lasts: Duration::ZERO },
            "refuse outside" => Self::Outside { what: Outside::Refuse, lasts: away },
            "delay outside" => {
                let by = s(rng.random_range(0.1..2.0));
                Self::Outside { what: Outside::Delay(by), lasts: s(rng.random_range(3.0..9.0)) }
            }
            "swallow outside" => {
                Self::Outside { what: Outside::Swallow, lasts: s(rng.random_range(2.0..12.0)) }
            }
            "flush" => Self::Flush,
            "redis away" => Self::RedisAway { lasts: s(rng.random_range(4.0..9.0)) },
            "postgres crash" => Self::PostgresCrash { away },
            "cut" => Self::Cut { member: any, line },
            "strand" => Self::Strand { member: any, line },
            "delay" => Self::Delay {
                member: any,
                line,
                by: s(rng.random_range(0.02..0.5)),
                lasts: s(rng.random_range(3.0..9.0)),
            },
            other => Self::Swallow {
                member: any,
                line: if other == "swallow redis" { Line::Redis } else { Line::Postgres },
                lasts: s(rng.random_range(2.0..16.0)),
                then_cut: rng.random_bool(0.5),
            },
        }
    }
}
