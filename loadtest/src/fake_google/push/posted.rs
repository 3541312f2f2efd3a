use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, Uri},
    response::{IntoResponse, Response},
};

use crate::fake_google::{Shared, answer::Caller};

/// A call with a body, as it came.
pub(in crate::fake_google) struct Posted {
    pub(super) shared: Shared,
    pub(super) caller: Caller,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl FromRequest<Shared> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let caller =
            Caller::from_request_parts(&mut parts, shared).await.map_err(IntoResponse::into_response)?;
        let (uri, headers) = (parts.uri.clone(), parts.headers.clone());
        let request = Request::from_parts(parts, body);
        let body = Bytes::from_request(request, shared).await.map_err(IntoResponse::into_response)?;
        Ok(Self { shared: shared.clone(), caller, uri, headers, body })
    }
}
