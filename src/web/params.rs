//! What a path and a query say: of the right type, or 422 in the same form as for a body.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, Query};
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::error::Problem;
use crate::store::users::LIST_MAX;

/// The parts of the path that stand for something.
#[derive(Debug)]
pub struct InPath<T>(pub T);

/// The query.
#[derive(Debug)]
pub struct InQuery<T>(pub T);

/// Which part of a long list is wanted.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// How many to leave out.
    #[serde(default)]
    #[param(minimum = 0, maximum = 4_294_967_295_u64, default = 0)]
    skip: i64,
    /// How many to list.
    #[serde(default = "usual")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: i64,
}

const fn usual() -> i64 {
    100
}

impl Paging {
    /// How many to leave out, and how many to list.
    ///
    /// # Errors
    /// 422 where no list has such a part.
    pub fn bounds(self) -> Result<(u32, u32), Problem> {
        let skip = u32::try_from(self.skip);
        let skip = skip.map_err(|_| wrong("skip", "must be 0 or more"))?;
        let limit = u32::try_from(self.limit).ok();
        match limit.filter(|limit| (1..=LIST_MAX).contains(limit)) {
            Some(limit) => Ok((skip, limit)),
            None => Err(wrong("limit", "must be between 1 and 1000")),
        }
    }

    /// That part of a list that is short enough to be read whole.
    ///
    /// # Errors
    /// As [`Paging::bounds`].
    pub fn cut<T>(self, list: impl IntoIterator<Item = T>) -> Result<Vec<T>, Problem> {
        let (skip, limit) = self.bounds()?;
        let (skip, limit) = (skip as usize, limit as usize);
        Ok(list.into_iter().skip(skip).take(limit).collect())
    }
}

/// 422 for something in the query.
#[must_use]
pub fn wrong(name: &str, message: &str) -> Problem {
    Problem::invalid(&["query", name], message, "value_error")
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = Path::<T>::from_request_parts(parts, state).await;
        found.map(|Path(value)| Self(value)).map_err(misplaced)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for InQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(error) => Err(Problem::invalid(
                &["query"],
                &error.body_text(),
                "value_error",
            )),
        }
    }
}

fn misplaced(rejection: PathRejection) -> Problem {
    let PathRejection::FailedToDeserializePathParams(error) = rejection else {
        return Problem::internal();
    };
    match error.into_kind() {
        ErrorKind::ParseErrorAtKey { key, .. } => {
            Problem::invalid(&["path", &key], "must be a number", "int_parsing")
        }
        ErrorKind::ParseError { .. } | ErrorKind::ParseErrorAtIndex { .. } => {
            Problem::invalid(&["path", "id"], "must be a number", "int_parsing")
        }
        kind => Problem::invalid(&["path"], &kind.to_string(), "value_error"),
    }
}
