//! Bodies of requests: read whole before anybody works with them, within a time and a size.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};

/// A form of a page is some hundred bytes.
const MOST: usize = 16 * 1024;

/// How long a body may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Reads the body, and goes on with it.
pub(super) async fn whole(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    match tokio::time::timeout(LIMIT, to_bytes(body, MOST)).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(head, Body::from(bytes))).await,
        Ok(Err(_)) => {
            let why = format!("the body is longer than {MOST} bytes, or broke off\n");
            (StatusCode::PAYLOAD_TOO_LARGE, why).into_response()
        }
        Err(_) => {
            let why = format!("the body did not come within {} s\n", LIMIT.as_secs());
            (StatusCode::REQUEST_TIMEOUT, why).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use axum::{Router, middleware, routing::post};
    use futures_util::stream;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    async fn status(body: Body) -> StatusCode {
        let routes = Router::new().route("/", post(async |_: String| "ok")).layer(middleware::from_fn(whole));
        let request = Request::post("/").body(body).unwrap();
        TowerToHyperService::new(routes).call(request).await.unwrap().status()
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_a_size_and_a_time() {
        assert_eq!(status(Body::from("x".repeat(MOST))).await, StatusCode::OK);
        assert_eq!(status(Body::from("x".repeat(MOST + 1))).await, StatusCode::PAYLOAD_TOO_LARGE);
        let never = stream::once(async { pending::<Result<String, std::io::Error>>().await });
        assert_eq!(status(Body::from_stream(never)).await, StatusCode::REQUEST_TIMEOUT);
    }
}
