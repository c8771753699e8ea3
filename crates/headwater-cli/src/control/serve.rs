//! A connection: bounds, deadlines, the token.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::{Error, ErrorKind};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    WWW_AUTHENTICATE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, answer, route};
use super::routes::Who;
use super::watched::Watched;

/// Connections that are open at once, through one door.
pub(super) const CONNECTIONS_MAX: usize = 64;
/// How long a request's head, its body, or a TLS handshake may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// The largest head and the largest body of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What lets a request in.
#[derive(Debug)]
pub(super) enum Key {
    /// That it came at all: the permissions of a Unix socket.
    Door,
    /// A token.
    Token(SecretString),
}

/// Answers the requests of a connection until it ends, or the run does.
pub(super) async fn connection<S>(
    stream: S,
    watched: Arc<Watched>,
    key: Arc<Key>,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let (watched, key) = (Arc::clone(&watched), Arc::clone(&key));
        async move { Ok::<_, Infallible>(respond(request, &watched, &key).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection to the control plane ended: {error}");
    }
}

async fn respond(
    request: Request<Incoming>,
    watched: &Watched,
    key: &Key,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let answer = match route(&head.method, head.uri.path()) {
        Ok((route, _)) if route.who == Who::Operator && !key.fits(&head.headers) => locked_out(),
        Ok((route, id)) => match read(body).await {
            Ok(body) => answer(watched, route.asked, id, &head.uri, &body).await,
            Err(answer) => answer,
        },
        Err(answer) => answer,
    };
    // Neither headers nor bodies: they may hold what is nobody's business.
    tracing::debug!(
        method = %head.method,
        path = head.uri.path(),
        status = answer.status.as_u16(),
        "request"
    );
    response(answer)
}

impl Key {
    fn fits(&self, headers: &HeaderMap) -> bool {
        let Self::Token(token) = self else {
            return true;
        };
        let given = headers
            .get(AUTHORIZATION)
            .map(HeaderValue::as_bytes)
            .and_then(|value| {
                let (scheme, given) = value.split_at_checked(7)?;
                scheme.eq_ignore_ascii_case(b"bearer ").then_some(given)
            });
        given.is_some_and(|given| same(given.trim_ascii(), token.expose_secret().as_bytes()))
    }
}

/// Whether both are the same, in a time that tells nothing of where they differ.
fn same(given: &[u8], wanted: &[u8]) -> bool {
    let different = given
        .iter()
        .zip(wanted)
        .fold(0, |different, (a, b)| different | (a ^ b));
    std::hint::black_box(different) == 0 && given.len() == wanted.len()
}

fn locked_out() -> Answer {
    let error = Error::new(
        ErrorKind::Authentication,
        "the request has no token, or a wrong one",
    )
    .hint("send `Authorization: Bearer TOKEN`, with the token the run was started with (HEADWATER_HTTP_TOKEN)");
    Answer::error(StatusCode::UNAUTHORIZED, &error)
}

async fn read(body: Incoming) -> Result<Bytes, Answer> {
    let whole = Limited::new(body, BODY_BYTES_MAX).collect();
    let failed =
        |status, kind, message, hint| Answer::error(status, &Error::new(kind, message).hint(hint));
    match tokio::time::timeout(PATIENCE, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(failed(
            StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::Configuration,
            "the body is larger than 64 KiB",
            "name tables by pattern: shop.*",
        )),
        Ok(Err(_)) => Err(failed(
            StatusCode::BAD_REQUEST,
            ErrorKind::Malformed,
            "the body broke off",
            "send it again",
        )),
        Err(_) => Err(failed(
            StatusCode::REQUEST_TIMEOUT,
            ErrorKind::Timeout,
            "the body did not come in time",
            "send it again",
        )),
    }
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if answer.status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some((name, value)) = answer.header
        && let Ok(value) = HeaderValue::from_str(&value)
    {
        headers.insert(HeaderName::from_static(name), value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_token_fits() {
        let key = Key::Token(SecretString::from("s3cret".to_owned()));
        let fits = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            key.fits(&headers)
        };
        assert!(fits("Bearer s3cret") && fits("bearer s3cret"));
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer s3cre",
            "Bearer s3crets",
            "Basic s3cret",
            "s3cret",
        ] {
            assert!(!fits(bad), "{bad}");
        }
        assert!(!key.fits(&HeaderMap::new()));
        assert!(Key::Door.fits(&HeaderMap::new()));
    }
}
