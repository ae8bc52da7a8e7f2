//! A shop that keeps the log of its messages with Waybill: its own route, and Waybill's pages and webhooks below /messages.
//!
//! ```sh
//! cargo run --example embedded -- shop.db 127.0.0.1:8080
//! curl -X POST http://127.0.0.1:8080/orders/7/ship
//! ```
//!
//! Then open <http://127.0.0.1:8080/messages/deliveries>.

use actix_web::error::ErrorInternalServerError;
use actix_web::web::{self, Data, Path};
use actix_web::{App, HttpResponse, HttpServer, Responder, get, post};
use serde_json::json;
use waybill::{Settings, Waybill};

/// Ships an order, and records the message to the customer.
#[post("/orders/{order}/ship")]
async fn ship(order: Path<u32>, waybill: Data<Waybill>) -> actix_web::Result<impl Responder> {
    let event = json!({
        "id": format!("shipped-{order}"), "delivery_id": format!("order-{order}"), "metric": "sent",
        "channel": "email", "recipient": "ana@example.com", "subject": "Your order has shipped",
        "source": {"kind": "transactional", "id": "shipped"},
    });
    waybill.record(&event).await.map_err(ErrorInternalServerError)?;
    Ok(HttpResponse::Accepted().body("shipped\n"))
}

/// The status of the message of an order.
#[get("/orders/{order}/message")]
async fn message(order: Path<u32>, waybill: Data<Waybill>) -> actix_web::Result<impl Responder> {
    // it reads from the disk
    let found = web::block(move || waybill.delivery(&format!("order-{order}"))).await?;
    Ok(match found.map_err(ErrorInternalServerError)? {
        Some(delivery) => HttpResponse::Ok().json(delivery),
        None => HttpResponse::NotFound().body("this order was not shipped\n"),
    })
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or("shop.db".into());
    let address = arguments.next().unwrap_or("127.0.0.1:8080".into());

    let waybill = Waybill::open(file, Settings { base: "/messages".into(), ..Settings::default() })?;
    let shared = waybill.clone();
    let app =
        move || App::new().app_data(Data::new(shared.clone())).service(ship).service(message).service(shared.scope());
    let server = HttpServer::new(app).bind(address)?;
    println!("listening on http://{}", server.addrs()[0]);
    // until SIGTERM or SIGINT
    server.run().await?;
    Ok(waybill.close()?)
}
