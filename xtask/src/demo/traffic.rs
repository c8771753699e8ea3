//! Customers who keep buying: a few small transactions a second, through one client kept open.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use headwater_servers::{Error, Result, Shared};

use super::shop::{CUSTOMERS, DATABASE, ORDERS, PRODUCTS, pick};

/// The traffic that runs beside the demo.
pub(super) struct Traffic {
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    client: Child,
}

/// Starts to change the shop.
pub(super) fn start(server: &Shared) -> Result<Traffic> {
    let mut client = (server.client()?)
        // One refused statement must not end the traffic.
        .args(["--force", &format!("--database={DATABASE}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C is not for it; it ends when its input does.
        .process_group(0)
        .spawn()
        .map_err(|error| Error::new(format!("cannot start the database's client: {error}")))?;
    let pipe = client
        .stdin
        .take()
        .ok_or_else(|| Error::new("the client has no input"))?;
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&over);
    let thread = std::thread::spawn(move || sell(pipe, &seen));
    Ok(Traffic {
        over,
        thread,
        client,
    })
}

impl Traffic {
    /// Ends it.
    pub(super) fn end(mut self) {
        self.over.store(true, Ordering::Relaxed);
        // The thread closes the client's input, which ends the client. Neither has anything to say.
        let _ = self.thread.join();
        let _ = self.client.wait();
    }
}

fn sell(mut pipe: ChildStdin, over: &AtomicBool) {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for turn in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let sql = one_change(&mut dice, turn);
        if pipe
            .write_all(sql.as_bytes())
            .and_then(|()| pipe.flush())
            .is_err()
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(100 + dice.below(250)));
    }
}

/// One transaction of the shop's day, of one row or several.
fn one_change(dice: &mut Dice, turn: u64) -> String {
    let order = dice.below(ORDERS) + 1;
    let (customer, product) = (dice.below(CUSTOMERS) + 1, dice.below(PRODUCTS) + 1);
    match turn % 8 {
        0 | 3 | 5 => {
            let (quantity, other) = (dice.below(3) + 1, dice.below(PRODUCTS) + 1);
            format!(
                "START TRANSACTION;
                 INSERT INTO orders (customer_id, total) VALUES ({customer}, {quantity}9.90);
                 SET @o = LAST_INSERT_ID();
                 INSERT INTO order_items VALUES (@o, 1, {product}, {quantity}), (@o, 2, {other}, 1);
                 UPDATE products SET stock = stock - {quantity} WHERE id = {product};
                 COMMIT;\n"
            )
        }
        1 | 6 => format!("UPDATE orders SET status = 'shipped' WHERE id = {order};\n"),
        2 => format!("UPDATE products SET stock = stock + 20 WHERE id = {product};\n"),
        4 => {
            let city = pick(&["Lima", "Tromsø", "Kyoto", "Accra"], dice.below(4));
            format!("UPDATE customers SET city = '{city}' WHERE id = {customer};\n")
        }
        _ => format!(
            "START TRANSACTION;
             DELETE FROM order_items WHERE order_id = {order};
             DELETE FROM orders WHERE id = {order};
             COMMIT;\n"
        ),
    }
}

/// Pseudo-random numbers (xorshift64), the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound.max(1)
    }
}
