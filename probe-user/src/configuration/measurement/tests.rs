//! What is taken and what is refused.

use std::time::Duration;

use super::*;
use crate::configuration::{Extent, Rate, Schedule, StreamOptions};

fn builder(targets: &[&str]) -> MeasurementBuilder {
    let builder = MeasurementConfiguration::builder("probe0".parse().unwrap());
    targets.iter().fold(builder, |builder, target| builder.target(target.parse().unwrap()))
}

fn shared(text: &str) -> Result<MeasurementConfiguration, ConfigurationError> {
    builder(&["198.18.0.2"]).shared(text.parse().unwrap()).build()
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let configuration = builder(&["198.18.0.2", "fd00:6c64::2", "reflector.example"]).build().unwrap();
    assert_eq!(configuration.wait, Duration::from_secs(3));
    assert_eq!(configuration.stop_after, Duration::from_secs(5));
    assert_eq!(configuration.streams.len(), 3);
    let stream = &configuration.streams[0];
    assert_eq!(stream.schedule, Schedule::Periodic);
    assert_eq!(stream.extent, Extent::Duration(Duration::from_secs(10)));
    assert_eq!((stream.dscp, stream.ttl, stream.port, stream.seed), (0, 255, 862, None));
    // The smallest STAMP frame has 90 octets over IPv4: 14 of Ethernet and 4 of check sequence around the packet.
    assert_eq!(stream.ip_length("198.18.0.2".parse().unwrap()), Ok(72));
    assert_eq!(stream.ip_length("fd00::1".parse().unwrap()), Ok(92));
}

#[test]
fn streams_are_targets_times_specifications() {
    let options = |text: &str| text.parse::<StreamOptions>().unwrap();
    let configuration = builder(&["198.18.0.2", "198.18.0.3"])
        .shared(options("dscp=46,seed=7"))
        .stream(options("rate=100kpps"))
        .stream(options("schedule=poisson,rate=10kpps,seed=99"))
        .build()
        .unwrap();
    let seen: Vec<_> = configuration
        .streams
        .iter()
        .map(|stream| (stream.target.to_string(), stream.schedule, stream.rate.to_string(), stream.dscp, stream.seed))
        .collect();
    let expected = [
        ("198.18.0.2", Schedule::Periodic, "100kpps", 46, Some(7)),
        ("198.18.0.2", Schedule::Poisson, "10kpps", 46, Some(99)),
        ("198.18.0.3", Schedule::Periodic, "100kpps", 46, Some(9)),
        ("198.18.0.3", Schedule::Poisson, "10kpps", 46, Some(99)),
    ];
    assert_eq!(
        seen,
        expected.map(|(target, schedule, rate, dscp, seed)| (target.to_owned(), schedule, rate.to_owned(), dscp, seed))
    );
}

#[test]
fn a_stream_that_cannot_be_is_refused() {
    for (text, blamed) in [
        ("rate=0pps", "--rate 0pps"),
        ("rate=0bps", "--rate 0bps"),
        ("count=0", "--count 0"),
        ("count=18446744073709551615", "--count 18446744073709551615"),
        ("duration=0s", "--duration 0s"),
        ("duration=10s,count=5", "--duration 10s"),
        ("size=0", "--size 0"),
        ("size=71", "--size 71"),
        ("size=65536", "--size 65536"),
        ("dscp=64", "--dscp 64"),
        ("ttl=0", "--ttl 0"),
        ("ttl=256", "--ttl 256"),
        ("port=0", "--port 0"),
        ("port=65536", "--port 65536"),
    ] {
        let error = shared(text).unwrap_err();
        assert_eq!(error.to_string(), format!("{blamed} cannot be used"));
        assert!(!error.reason().to_string().is_empty() && !error.reason().help().is_empty(), "{text}");
        let error = builder(&["198.18.0.2"]).stream(text.parse().unwrap()).build().unwrap_err();
        let blamed = blamed.replacen("--", "--stream ", 1);
        let (key, value) = blamed.rsplit_once(' ').unwrap();
        assert_eq!(error.to_string(), format!("{key}={value} cannot be used"));
    }
    for text in
        ["size=72", "size=65535", "dscp=63", "ttl=1", "port=65535", "count=1", "duration=1ns", "rate=0.000001bps"]
    {
        assert!(shared(text).is_ok(), "{text}");
    }
}

#[test]
fn the_smallest_packet_depends_on_the_family() {
    let size = |target: &str, size: u64| {
        builder(&[target]).shared(StreamOptions { size: Some(size), ..StreamOptions::default() }).build()
    };
    assert!(size("fd00::2", 91).is_err());
    assert!(size("fd00::2", 92).is_ok());
    let named = size("reflector.example", 80).unwrap();
    assert!(named.streams[0].ip_length("198.18.0.2".parse().unwrap()).is_ok());
    let error = named.streams[0].ip_length("fd00::2".parse().unwrap()).unwrap_err();
    assert_eq!(error.reason().to_string(), "the smallest STAMP packet over IPv6 has 92 octets (RFC 8762)");
}

#[test]
fn a_run_that_cannot_be_is_refused() {
    let one = || builder(&["198.18.0.2"]);
    for (refused, blamed) in [
        (builder(&[]), "TARGET"),
        (one().wait(Duration::ZERO), "--wait 0s"),
        (one().stop_after(Duration::ZERO), "--stop-after 0s"),
        (one().report_interval(Some(Duration::ZERO)), "--interval 0s"),
        (one().queues(Some(0)), "--queues 0"),
        (one().queues(Some(1 << 32)), "--queues 4294967296"),
        (one().source("::1".parse().ok()), "--source ::1"),
        (one().source("0.0.0.0".parse().ok()), "--source 0.0.0.0"),
        (one().source("224.0.0.1".parse().ok()), "--source 224.0.0.1"),
        (one().reflector_counters("198.18.0.2:0".parse().ok()), "--reflector-counters 198.18.0.2:0"),
    ] {
        assert_eq!(refused.build().unwrap_err().to_string(), format!("{blamed} cannot be used"));
    }
    assert!(one().source("198.18.0.1".parse().ok()).queues(Some(2)).build().is_ok());
}

#[test]
fn the_mtu_bounds_the_packet() {
    let configuration = shared("size=1500").unwrap();
    assert!(configuration.streams[0].check_mtu(1500, 1500).is_ok());
    let error = configuration.streams[0].check_mtu(1500, 1499).unwrap_err();
    assert_eq!(error.to_string(), "--size 1500 cannot be used");
}

#[test]
fn the_link_bounds_the_rate() {
    // 110 octets on the link for each 72-octet packet: 10^9 / 880 = 1136363.6 packets a second.
    let gigabit = 1_000_000_000;
    assert!(shared("rate=1136363pps").unwrap().check_link_speed(&[72], gigabit).is_ok());
    let error = shared("rate=1136364pps").unwrap().check_link_speed(&[72], gigabit).unwrap_err();
    assert_eq!(error.reason().help(), "give at most 1136363pps for packets of 72 octets");

    let half: StreamOptions = "rate=600kpps".parse().unwrap();
    let two = builder(&["198.18.0.2"]).stream(half.clone()).stream(half).build().unwrap();
    assert!(two.check_link_speed(&[72, 72], gigabit).is_err());
    assert!(two.check_link_speed(&[72, 72], 2 * gigabit).is_ok());
}

#[test]
fn a_rate_has_an_exact_interval() {
    let configuration = shared("rate=3pps").unwrap();
    assert_eq!(configuration.streams[0].interval(72).departure(3), 1_000_000_000);
    assert_eq!(configuration.streams[0].rate, Rate::packets_per_second(3));
}
