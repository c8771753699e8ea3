//! `GET /folds/NAME` and `GET /folds/NAME/KEY`: what folds hold.

use headwater_core::{Error, ErrorKind};
use headwater_fold::query::Question;
use hyper::StatusCode;

use super::answer::Answer;
use super::watched::Watched;

/// Answers a path and its query.
pub(super) async fn answer(
    watched: &Watched,
    path: &str,
    query: Option<&str>,
) -> Result<Answer, (StatusCode, Error)> {
    let bad = |error| (StatusCode::BAD_REQUEST, error);
    let question = question(path, query).map_err(bad)?;
    let Some(folds) = &watched.folds else {
        let error = Error::new(ErrorKind::NotFound, "this run folds nothing")
            .hint("ask one whose configuration has the section `folds`");
        return Err((StatusCode::NOT_FOUND, error));
    };
    match folds.answer(&question).await {
        Ok(answer) => Ok(Answer::json(StatusCode::OK, &answer)),
        Err(error) if error.kind() == ErrorKind::NotFound => Err((StatusCode::NOT_FOUND, error)),
        Err(error) if error.kind() == ErrorKind::Configuration => Err(bad(error)),
        Err(error) => Err((StatusCode::SERVICE_UNAVAILABLE, error)),
    }
}

fn question(path: &str, query: Option<&str>) -> Result<Question, Error> {
    let rest = path.strip_prefix("/folds/").unwrap_or_default();
    let (fold, key) = match rest.split_once('/') {
        Some((fold, key)) => (fold, Some(key)),
        None => (rest, None),
    };
    let mut question = Question {
        fold: decoded(fold, false)?,
        ..Question::default()
    };
    if let Some(key) = key {
        question.keys.push(decoded(key, false)?);
    }
    for pair in query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
    {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value, true)?;
        match name {
            "key" => question.keys.push(value),
            "from" => question.from = Some(value),
            "to" => question.to = Some(value),
            "top" => question.top = Some(value.parse().map_err(|_| wrong("`top` is no number"))?),
            "windows" => question.by_window = matches!(value.as_str(), "" | "true" | "1"),
            _ => return Err(wrong("a parameter is not known")),
        }
    }
    Ok(question)
}

fn wrong(what: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, what)
        .hint("ask /folds/NAME/KEY, or /folds/NAME?key=A&key=B or ?top=10, with from, to and windows=true where there is a window")
}

/// Text out of its percent form (RFC 3986); in a query `+` is a blank.
fn decoded(text: &str, is_query: bool) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next(), rest.next()];
                let value = digits.into_iter().try_fold(0, |value, digit| {
                    let digit = char::from(digit?).to_digit(16)?;
                    Some(value * 16 + digit)
                });
                let value = value.and_then(|value| u8::try_from(value).ok());
                bytes.push(
                    value.ok_or_else(|| wrong("a percent sign is not followed by two digits"))?,
                );
            }
            b'+' if is_query => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong("a name or a key is no UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_its_query_are_a_question() {
        let asked = question(
            "/folds/revenue/eu%2F42",
            Some("from=2026-11-01&to=2026-11-21T10%3A00&windows=true"),
        );
        let expected = Question {
            fold: "revenue".to_owned(),
            keys: vec!["eu/42".to_owned()],
            from: Some("2026-11-01".to_owned()),
            to: Some("2026-11-21T10:00".to_owned()),
            by_window: true,
            top: None,
        };
        assert_eq!(asked.unwrap(), expected);
        let asked = question("/folds/revenue", Some("key=a+b&key=%C3%A9&top=3")).unwrap();
        assert_eq!(
            (asked.keys, asked.top),
            (vec!["a b".to_owned(), "é".to_owned()], Some(3))
        );
        for wrong in [
            "key=%",
            "key=%4",
            "key=%zz",
            "key=%ff",
            "top=x",
            "colour=red",
        ] {
            assert!(question("/folds/revenue", Some(wrong)).is_err(), "{wrong}");
        }
    }
}
