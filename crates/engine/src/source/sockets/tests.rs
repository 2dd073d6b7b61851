//! Who is served, who is rejected, and what is counted. Everything is sent before anything is read, so that the result does not depend on
//! time.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::UdpSocket;

use serde_json::json;

use super::listen::Listener;
use super::received::OTHER_COLUMNS;
use super::*;
use crate::source::stream::framing::MAX_WAITING;
use crate::source::stream::odd_text::{Came, in_all_encodings};
use crate::source::stream::testing::{layout, plain};

/// Sockets at a TCP port, and the port.
fn listening(layout: StreamLayout) -> (Sockets, u16) {
    let address = Address::parse("tcp-listen://127.0.0.1:0").expect("an address").expect("an address");
    let sockets = Sockets::open(&address, 0, layout, &SourceMeter::default()).expect("listening");
    let OwnSocket::Listener(Listener::Tcp(listener)) = &sockets.own else { unreachable!("it listens") };
    let port = listener.local_addr().expect("bound").port();
    (sockets, port)
}

/// A socket for datagrams, and its address.
fn datagrams(layout: StreamLayout) -> (Sockets, std::net::SocketAddr) {
    let address = Address::parse("udp://127.0.0.1:0").expect("an address").expect("an address");
    let sockets = Sockets::open(&address, 0, layout, &SourceMeter::default()).expect("bound");
    let OwnSocket::Datagrams(datagrams) = &sockets.own else { unreachable!("it takes datagrams") };
    let to = rustix::net::getsockname(datagrams.socket()).expect("bound");
    (sockets, std::net::SocketAddr::try_from(to).expect("an address"))
}

fn connect(port: u16) -> std::net::TcpStream {
    std::net::TcpStream::connect(("127.0.0.1", port)).expect("connected")
}

/// Reads until nothing is left, by sender: bytes of records, and the reasons for rejections.
fn read_all(sockets: &mut Sockets) -> BTreeMap<String, (usize, Vec<String>)> {
    let mut read: BTreeMap<String, (usize, Vec<String>)> = BTreeMap::new();
    let mut is_still = false;
    loop {
        match sockets.next(0).expect("read") {
            Input::Chunk(chunk) => read.entry(chunk.file.to_string()).or_default().0 += chunk.bytes.len(),
            Input::Records(decoded) => decoded.rejections.into_iter().for_each(|rejection| {
                read.entry(rejection.position.file.to_string()).or_default().1.push(rejection.reason);
            }),
            // The first call may only have accepted connections.
            Input::Nothing if is_still => return read,
            Input::Nothing | Input::Foreseen(_) | Input::Deferred(_) => is_still = true,
        }
    }
}

/// Sends all of `bytes` and reads them; they contain no complete record.
fn send(sockets: &mut Sockets, client: &mut std::net::TcpStream, bytes: &[u8]) {
    for piece in bytes.chunks(32 << 10) {
        let end = sockets.bytes() + piece.len() as u64;
        client.write_all(piece).expect("room");
        while sockets.bytes() < end {
            sockets.poll().expect("looked");
            sockets.read();
        }
    }
}

fn name(client: &std::net::TcpStream) -> String {
    format!("tcp://{}", client.local_addr().expect("bound"))
}

#[test]
fn of_sixty_who_always_have_more_the_least_served_gets_half_of_the_mean() {
    const CLIENTS: usize = 60;
    const EACH: usize = 128 << 10;
    let (mut sockets, port) = listening(plain());
    let line = b"2026-01-01T00:00:00Z,a,1\n";
    // Everything they send is buffered by the system before anything is read.
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = connect(port);
            client.set_nonblocking(true).expect("set");
            let text = line.repeat(EACH / line.len());
            let sent = client.write(&text).expect("room for some");
            (client, sent)
        })
        .collect();
    let least_sent = clients.iter().map(|(_, sent)| *sent).min().expect("clients");
    assert!(least_sent >= 64 << 10, "{least_sent}");
    let mut served = BTreeMap::from_iter(clients.iter().map(|(client, _)| (name(client), 0)));
    let mut total = 0;
    while total < CLIENTS * least_sent / 2 {
        if let Input::Chunk(chunk) = sockets.next(0).expect("read") {
            total += chunk.bytes.len();
            *served.get_mut(&*chunk.file).expect("one of them") += chunk.bytes.len();
        }
    }
    let least = served.values().min().copied().expect("clients");
    assert!(2 * least >= total / CLIENTS, "{least} of {}: {served:?}", total / CLIENTS);
}

#[test]
fn who_connects_while_others_send_is_taken_in_at_once() {
    let (mut sockets, port) = listening(plain());
    let line = b"2026-01-01T00:00:00Z,a,1\n";
    let mut busy: Vec<_> = (0..40).map(|_| connect(port)).collect();
    for client in &mut busy {
        client.write_all(&line.repeat(2000)).expect("room");
    }
    while matches!(sockets.next(0).expect("read"), Input::Nothing) {}
    let mut late = connect(port);
    late.write_all(line).expect("room");
    // It is accepted by the next query, and waits for one turn of each of the others.
    let before = sockets.bytes();
    while let Input::Chunk(chunk) = sockets.next(0).expect("read") {
        if *chunk.file == *name(&late) {
            break;
        }
    }
    let most = (busy.len() * TURN) as u64 + 2 * READ_AT_ONCE;
    assert!(sockets.bytes() - before <= most, "{} bytes before it", sockets.bytes() - before);
    assert_eq!(sockets.connections.len(), 41);
}

#[test]
fn who_holds_most_of_the_unfinished_bytes_pays_for_them() {
    let (mut sockets, port) = listening(plain());
    let mut small = connect(port);
    send(&mut sockets, &mut small, b"2026-01-01T00:00:00Z,a,");
    // Each is below the limit of a record, and all together leave room for 64 KiB; the small one comes last and exceeds the limit.
    let mut large: Vec<_> = (0..17).map(|_| connect(port)).collect();
    for (at, client) in large.iter_mut().enumerate() {
        send(&mut sockets, client, &vec![b'x'; (960 << 10) - at]);
    }
    assert!(read_all(&mut sockets).is_empty());
    send(&mut sockets, &mut small, &[b'1'; 70_000]);
    let aside = read_all(&mut sockets);
    let who: Vec<_> = aside.keys().cloned().collect();
    assert_eq!(who, [name(&large[0])], "{aside:?}");
    assert!(sockets.waiting <= MAX_WAITING);
    send(&mut sockets, &mut small, b"\n");
    assert_eq!(read_all(&mut sockets)[&name(&small)].0, "2026-01-01T00:00:00Z,a,\n".len() + 70_000);
}

#[test]
fn what_waits_is_counted_once_whatever_a_record_is_cut_off_by() {
    for tail in ["x", "\"x\n", "\"x\n\r", "\r", "\r\r", "x\r", "\n\r"] {
        for is_stopped in [false, true] {
            let (mut sockets, port) = listening(plain());
            let mut other = connect(port);
            send(&mut sockets, &mut other, b"2026-01-01T00:00:00Z,a,");
            let mut client = connect(port);
            send(&mut sockets, &mut client, format!("2026-01-01T00:00:00Z,a,{tail}").as_bytes());
            if is_stopped {
                while sockets.drain(0).is_some() {}
                assert_eq!(sockets.waiting, 0, "{tail:?}");
                continue;
            }
            drop(client);
            while sockets.connections.len() > 1 {
                sockets.next(0).expect("read");
            }
            let waiting: usize = sockets.connections.values().map(|other| other.framing.waiting()).sum();
            assert_eq!((sockets.waiting, waiting), (23, 23), "{tail:?}");
            send(&mut sockets, &mut other, b"1\n");
            let read = read_all(&mut sockets);
            assert_eq!((read[&name(&other)].0, sockets.waiting), (25, 0), "{tail:?}");
        }
    }
}

#[test]
fn a_header_with_other_columns_closes_its_connection_and_says_why() {
    let (mut sockets, port) = listening(layout(json!({ "header": true })));
    let (mut good, mut bad) = (connect(port), connect(port));
    good.write_all(b"t,s,v\n2026-01-01T00:00:00Z,a,1\n").expect("room");
    bad.write_all(b"t,s,w\n2026-01-01T00:00:00Z,a,1\n").expect("room");
    let read = read_all(&mut sockets);
    assert_eq!(read[&name(&good)], ("2026-01-01T00:00:00Z,a,1\n".len(), Vec::new()));
    let (bytes, reasons) = &read[&name(&bad)];
    assert_eq!((*bytes, reasons.len()), (0, 1), "{reasons:?}");
    assert!(reasons[0].starts_with(OTHER_COLUMNS) && reasons[0].contains("column `w`"), "{reasons:?}");
    assert_eq!(sockets.connections.len(), 1);
    assert!(sockets.remark().contains("2 connections, 1 closed because of a header with other columns"));
}

#[test]
fn a_header_in_another_order_closes_its_connection_wherever_it_stands() {
    let record = "2026-01-01T00:00:00Z,a,1\n";
    let named = layout(json!({ "header": true, "names": ["t", "s", "v"] }));
    for (layout, header) in [(named, "t,s,v\n"), (plain(), "")] {
        let text = [header, record, record, "v,s,t\n1,a,2026-01-01T00:00:00Z\n"].concat();
        for cut in [header.len() + 1, header.len() + record.len(), text.len() - 30] {
            let (mut sockets, port) = listening(layout.clone());
            let mut client = connect(port);
            send(&mut sockets, &mut client, &text.as_bytes()[..cut]);
            send(&mut sockets, &mut client, &text.as_bytes()[cut..]);
            let (bytes, reasons) = read_all(&mut sockets).remove(&name(&client)).expect("read");
            assert_eq!((bytes, reasons.len()), (2 * record.len(), 1), "{reasons:?}");
            assert!(
                reasons[0].contains("a header in another order where a record is expected: `v`, `s`, `t`"),
                "{reasons:?}"
            );
            assert_eq!(sockets.connections.len(), 0);
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn datagrams_that_the_system_drops_are_counted() {
    let (mut sockets, to) = datagrams(plain());
    let OwnSocket::Datagrams(datagrams) = &sockets.own else { unreachable!("it takes datagrams") };
    rustix::net::sockopt::set_socket_recv_buffer_size(datagrams.socket(), 64 << 10).expect("set");
    let sender = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let line = b"2026-01-01T00:00:00Z,a,1\n".repeat(40);
    let mut read = 0;
    for _burst in 0..3 {
        for _ in 0..500 {
            assert_eq!(sender.send_to(&line, to).expect("sent"), line.len());
        }
        read += read_all(&mut sockets).values().map(|(bytes, _)| bytes / line.len()).sum::<usize>();
    }
    let dropped = sockets.received.counts.dropped as usize;
    assert!(dropped > 0);
    assert_eq!(read + dropped, 1500);
    // Datagrams dropped after the last one that was read are counted too.
    (0..500).for_each(|_| assert!(sender.send_to(&line, to).is_ok()));
    let said = sockets.remark();
    let total: usize =
        said.split(": ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).expect("a count");
    assert!(total > dropped && said.contains("net.core.rmem_max"), "{said}");
}

/// Everything received until `bytes` have been read in all.
fn came_of(sockets: &mut Sockets, bytes: u64) -> Came {
    let mut came = Came::default();
    while sockets.bytes() < bytes || !sockets.received.is_empty() {
        came.add(sockets.next(0).expect("read"));
    }
    came
}

#[test]
fn clause_5_a_connection_may_be_cut_at_every_byte() {
    for written in in_all_encodings() {
        let (mut sockets, port) = listening(written.layout.clone());
        for cut in 0..=written.bytes.len() {
            let (mut client, mut came) = (connect(port), Came::default());
            for piece in [&written.bytes[..cut], &written.bytes[cut..]] {
                client.write_all(piece).expect("room");
                let end = sockets.bytes() + piece.len() as u64;
                let more = came_of(&mut sockets, end);
                came.records.extend(more.records);
                came.aside.extend(more.aside);
            }
            drop(client);
            while !sockets.connections.is_empty() {
                assert!(matches!(sockets.next(0).expect("read"), Input::Nothing));
            }
            assert_eq!(came, written.at_rest(), "cut at {cut}");
        }
    }
}

#[test]
fn clause_5_a_datagram_may_end_at_every_byte_and_harms_no_other() {
    for written in in_all_encodings() {
        let (mut sockets, to) = datagrams(written.layout.clone());
        let sender = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let whole = written.at_rest();
        let names = whole.names();
        for cut in 1..written.bytes.len() {
            let part = &written.bytes[..cut];
            let mut end = sockets.bytes();
            for datagram in [&written.bytes[..], part, &written.bytes[..]] {
                end += sender.send_to(datagram, to).expect("sent") as u64;
            }
            let came = came_of(&mut sockets, end);
            let all = came.names();
            let (first, rest) = all.split_at(names.len());
            let (between, last) = rest.split_at(rest.len() - names.len());
            assert_eq!((first, last), (&names[..], &names[..]), "cut at {cut}");
            assert!(names.starts_with(between), "cut at {cut}: {between:?}");
            let text = written.lines.without_mark(part).expect("its own mark");
            let is_within = text.len() % written.lines.unit() != 0;
            let ended = came.aside.iter().filter(|(_, _, why)| why == "a datagram ended within a character");
            assert_eq!(ended.count(), usize::from(is_within), "cut at {cut}: {came:?}");
        }
    }
}

#[test]
fn clause_5_a_datagram_whose_mark_tells_another_encoding_is_rejected() {
    let all = in_all_encodings();
    let (little, big) = (&all[0], &all[3]);
    let (mut sockets, to) = datagrams(little.layout.clone());
    let sender = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut end = 0;
    for datagram in [&little.bytes, &big.bytes, &little.bytes] {
        end += sender.send_to(datagram, to).expect("sent") as u64;
    }
    let came = came_of(&mut sockets, end);
    let whole = little.at_rest();
    assert_eq!(came.names(), [whole.names(), whole.names()].concat());
    let other =
        came.aside.iter().filter(|(_, _, why)| why == "a datagram is UTF-16BE, but earlier ones are not");
    assert_eq!((other.count(), came.aside.len()), (1, 3), "{came:?}");
}

#[test]
fn a_connection_whose_header_never_ends_is_closed_when_it_holds_too_much() {
    let (mut sockets, port) = listening(layout(json!({ "header": true })));
    let mut clients: Vec<_> = (0..18).map(|_| connect(port)).collect();
    for (at, client) in clients.iter_mut().enumerate() {
        // The header of the first one has no line end.
        let header: &[u8] = if at == 0 { b"" } else { b"t,s,v\n" };
        send(&mut sockets, client, &[header, &vec![b'x'; (960 << 10) - at]].concat());
    }
    let aside = read_all(&mut sockets);
    let who: Vec<_> = aside.keys().cloned().collect();
    assert_eq!(who, [name(&clients[0])], "{aside:?}");
    assert_eq!(sockets.connections.len(), 17);
}
