//! The router: the gateway of the default route, as Linux tells it in `/proc/net/route` (`proc_net(5)`).

use std::net::Ipv4Addr;

const ROUTES: &str = "/proc/net/route";

/// `RTF_UP | RTF_GATEWAY`
const UP_BY_GATEWAY: u32 = 0x3;

/// The gateway of the default route with the least metric.
pub async fn of_default_route() -> Result<Ipv4Addr, String> {
    let table = tokio::fs::read_to_string(ROUTES).await;
    let table = table.map_err(|error| format!("{ROUTES} cannot be read ({error}): name the gateway"))?;
    read(&table).ok_or_else(|| "there is no default route by a gateway: name the gateway".to_owned())
}

/// Columns: interface, destination, gateway, flags, two counts, metric, mask. Addresses are hexadecimal, in this machine's order.
fn read(table: &str) -> Option<Ipv4Addr> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let hex = |nth: usize| u32::from_str_radix(fields.get(nth)?, 16).ok();
            let metric: u32 = fields.get(6)?.parse().ok()?;
            let default = hex(1)? == 0 && hex(7)? == 0 && hex(3)? & UP_BY_GATEWAY == UP_BY_GATEWAY;
            default.then_some((metric, Ipv4Addr::from(hex(2)?.to_ne_bytes())))
        })
        .min()
        .map(|(_, gateway)| gateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_default_route_is_taken() {
        let gateway = |last: u8| format!("{:08X}", u32::from_ne_bytes([192, 168, 1, last]));
        let table = format!(
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
             wlan0\t00000000\t{}\t0003\t0\t0\t600\t00000000\n\
             eth0\t00000000\t{}\t0003\t0\t0\t100\t00000000\n\
             eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\n",
            gateway(2),
            gateway(1),
        );
        assert_eq!(read(&table), Some(Ipv4Addr::new(192, 168, 1, 1)));
        assert_eq!(read("Iface\n"), None);
        assert_eq!(read(""), None);
    }
}
