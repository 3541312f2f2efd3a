//! What processes use, by `/proc`.

use std::{
    fs,
    ops::{Add, Div, Sub},
    time::Duration,
};

use anyhow::{Context, bail};
use serde::Serialize;

use super::{Stage, fleet::Fleet};

/// CPU time by process, in seconds: since their start, or between two moments.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Cpu {
    pub worker: f64,
    pub scheduler: f64,
    /// All processes of the server.
    pub postgres: f64,
    pub redis: f64,
    /// This process, which wants the jobs.
    pub driver: f64,
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            worker: self.worker - earlier.worker,
            scheduler: self.scheduler - earlier.scheduler,
            postgres: self.postgres - earlier.postgres,
            redis: self.redis - earlier.redis,
            driver: self.driver - earlier.driver,
        }
    }
}

impl Add for Cpu {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            worker: self.worker + other.worker,
            scheduler: self.scheduler + other.scheduler,
            postgres: self.postgres + other.postgres,
            redis: self.redis + other.redis,
            driver: self.driver + other.driver,
        }
    }
}

/// Per second, or per job.
impl Div<f64> for Cpu {
    type Output = Self;

    fn div(self, by: f64) -> Self {
        Self {
            worker: self.worker / by,
            scheduler: self.scheduler / by,
            postgres: self.postgres / by,
            redis: self.redis / by,
            driver: self.driver / by,
        }
    }
}

/// A process's memory, in MiB.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    pub now: f64,
    pub peak: f64,
}

impl Stage {
    /// The CPU seconds that all processes of `PostgreSQL` have used by now.
    pub fn postgres_cpu(&self) -> anyhow::Result<f64> {
        Ok(seconds(family(self.postmaster)?))
    }

    /// The CPU time that all have used by now.
    pub async fn cpu(&self, fleet: &Fleet) -> anyhow::Result<Cpu> {
        Ok(Cpu {
            worker: seconds(stat(fleet.worker.pid()?)?.own),
            scheduler: seconds(stat(fleet.scheduler.pid()?)?.own),
            postgres: self.postgres_cpu()?,
            redis: redis_cpu(&self.redis).await?,
            driver: seconds(stat(std::process::id())?.own),
        })
    }
}

/// The resident memory of a process.
pub fn memory(pid: u32) -> anyhow::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let mib = |field: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(field)).context("no such field")?;
        let kib: f64 = value.trim().trim_end_matches("kB").trim().parse()?;
        anyhow::Ok(kib / 1024.0)
    };
    Ok(Memory { now: mib("VmRSS:")?, peak: mib("VmHWM:")? })
}

/// Lets the peak of a process's memory begin anew: <https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html>.
pub fn forget_peak(pid: u32) -> anyhow::Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("the peak of its memory cannot begin anew")
}

/// The CPU seconds of this process's children that have ended.
pub fn ended_children_cpu() -> anyhow::Result<f64> {
    Ok(seconds(stat(std::process::id())?.ended_children))
}

/// The CPU seconds that a process has used by now.
pub fn process_cpu(pid: u32) -> anyhow::Result<f64> {
    Ok(seconds(stat(pid)?.own))
}

/// The process that started a process.
pub fn parent(pid: u32) -> anyhow::Result<u32> {
    Ok(stat(pid)?.parent)
}

struct Stat {
    parent: u32,
    /// Clock ticks in user and kernel mode.
    own: u64,
    /// Those of its children that have ended and were waited for.
    ended_children: u64,
}

/// Reads `/proc/PID/stat` (<https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>).
fn stat(pid: u32) -> anyhow::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // The name may hold anything, so what counts begins after its bracket, with the third field.
    let (_, fields) = text.rsplit_once(") ").context("a line of /proc without a name")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let field = |number: usize| fields.get(number - 3).and_then(|field| field.parse::<u64>().ok());
    let (Some(parent), Some(user), Some(kernel), Some(child_user), Some(child_kernel)) =
        (field(4), field(14), field(15), field(16), field(17))
    else {
        bail!("a line of /proc that is cut off");
    };
    Ok(Stat { parent: u32::try_from(parent)?, own: user + kernel, ended_children: child_user + child_kernel })
}

/// The ticks of a process and all its children, those that have ended included.
fn family(pid: u32) -> anyhow::Result<u64> {
    let mut ticks = 0;
    for entry in fs::read_dir("/proc")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        // It may end while this looks.
        let Some(child) = number.and_then(|number| stat(number).ok()) else { continue };
        if child.parent == pid {
            ticks += child.own;
        }
    }
    let first = stat(pid)?;
    Ok(ticks + first.own + first.ended_children)
}

fn seconds(ticks: u64) -> f64 {
    Duration::from_millis(ticks.saturating_mul(1_000) / rustix::param::clock_ticks_per_second()).as_secs_f64()
}

async fn redis_cpu(redis: &redis::aio::MultiplexedConnection) -> anyhow::Result<f64> {
    let info: String = redis::cmd("INFO").arg("cpu").query_async(&mut redis.clone()).await?;
    ["used_cpu_sys:", "used_cpu_user:"]
        .iter()
        .map(|field| {
            let value =
                info.lines().find_map(|line| line.strip_prefix(field)).context("Redis tells no CPU time")?;
            Ok(value.trim().parse::<f64>()?)
        })
        .sum()
}
