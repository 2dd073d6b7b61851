//! Who is served, who pays, and what is counted: everything here is sent before anything is read, so that no clock decides.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::json;

use super::super::testing::{layout, plain};
use super::*;

/// Sockets at a TCP port, and the port.
fn listening(layout: Layout) -> (Sockets, u16) {
    let address = Address::parse("tcp-listen://127.0.0.1:0").expect("an address").expect("an address");
    let sockets = Sockets::open(&address, 0, layout).expect("listening");
    let Own::Listener(Listener::Tcp(listener)) = &sockets.own else { unreachable!("it listens") };
    let port = listener.local_addr().expect("bound").port();
    (sockets, port)
}

fn connect(port: u16) -> std::net::TcpStream {
    std::net::TcpStream::connect(("127.0.0.1", port)).expect("connected")
}

/// What comes until there is nothing left, by who sent it: bytes of records, and why others were set aside.
fn read_all(sockets: &mut Sockets) -> BTreeMap<String, (usize, Vec<String>)> {
    let mut read: BTreeMap<String, (usize, Vec<String>)> = BTreeMap::new();
    let mut is_still = false;
    loop {
        match sockets.next(0).expect("read") {
            Input::Chunk(chunk) => read.entry(chunk.file.to_string()).or_default().0 += chunk.bytes.len(),
            Input::Records(decoded) => decoded.rejections.into_iter().for_each(|rejection| {
                read.entry(rejection.position.file.to_string()).or_default().1.push(rejection.reason);
            }),
            // The first look may only have shown who wants to connect.
            Input::Nothing if is_still => return read,
            Input::Nothing => is_still = true,
        }
    }
}

/// Sends all of `bytes`, and reads them; nothing of it is a whole record.
fn send(sockets: &mut Sockets, client: &mut std::net::TcpStream, bytes: &[u8]) {
    for piece in bytes.chunks(32 << 10) {
        let end = sockets.bytes() + piece.len() as u64;
        client.write_all(piece).expect("room");
        while sockets.bytes() < end {
            sockets.look().expect("looked");
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
    // All that they send waits in the system before anything is read.
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
    // One look takes it in, and it waits for one turn of each of the others.
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
    // Each is below the limit of a record, and all together leave room for 64 KiB; the small one comes last, and passes the bound.
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
    assert!(sockets.remark().contains("2 connections, 1 closed for a header with other columns"));
}

#[test]
#[cfg(target_os = "linux")]
fn datagrams_that_the_system_drops_are_counted() {
    let address = Address::parse("udp://127.0.0.1:0").expect("an address").expect("an address");
    let mut sockets = Sockets::open(&address, 0, plain()).expect("bound");
    let Own::Datagrams(datagrams) = &sockets.own else { unreachable!("it takes datagrams") };
    rustix::net::sockopt::set_socket_recv_buffer_size(datagrams.socket(), 64 << 10).expect("set");
    let to = rustix::net::getsockname(datagrams.socket()).expect("bound");
    let to = std::net::SocketAddr::try_from(to).expect("an address");
    let sender = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let line = b"2026-01-01T00:00:00Z,a,1\n".repeat(40);
    let mut read = 0;
    for _burst in 0..3 {
        for _ in 0..500 {
            assert_eq!(sender.send_to(&line, to).expect("sent"), line.len());
        }
        read += read_all(&mut sockets).values().map(|(bytes, _)| bytes / line.len()).sum::<usize>();
    }
    let dropped = sockets.counts.dropped as usize;
    assert!(dropped > 0);
    assert_eq!(read + dropped, 1500);
    // What is dropped behind the last datagram that was read is counted too.
    (0..500).for_each(|_| assert!(sender.send_to(&line, to).is_ok()));
    let said = sockets.remark();
    let total: usize =
        said.split(": ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).expect("a count");
    assert!(total > dropped && said.contains("net.core.rmem_max"), "{said}");
}
