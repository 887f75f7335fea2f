//! Replies that say no: `{error, detail}`, a word for programs and a sentence for people.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::control::{KeyRefusal, Refusal};
use crate::routing::BatchError;

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub status: StatusCode,
    /// One word, which stays the same from one version to the next.
    pub error: &'static str,
    pub detail: String,
}

impl Fault {
    pub(super) fn new(status: StatusCode, error: &'static str, detail: impl Into<String>) -> Self {
        Self { status, error, detail: detail.into() }
    }

    pub(super) fn bad(error: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, detail)
    }

    pub(super) fn missing(error: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error, detail)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.error, "detail": self.detail }))).into_response()
    }
}

impl From<QueryRejection> for Fault {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad("bad_query", rejection.body_text())
    }
}

impl From<PathRejection> for Fault {
    fn from(rejection: PathRejection) -> Self {
        Self::bad("bad_path", rejection.body_text())
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Batch(error) => error.into(),
            Refusal::Store(detail) => Self::new(StatusCode::INSUFFICIENT_STORAGE, "not_kept", detail),
        }
    }
}

impl From<KeyRefusal> for Fault {
    fn from(refusal: KeyRefusal) -> Self {
        let (status, error) = match &refusal {
            KeyRefusal::NoFile => (StatusCode::NOT_FOUND, "no_key_file"),
            KeyRefusal::TooSoon(_) => (StatusCode::CONFLICT, "too_soon"),
            KeyRefusal::BeingChanged(_) => (StatusCode::CONFLICT, "being_changed"),
            KeyRefusal::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "keys_failed"),
        };
        Self::new(status, error, refusal.to_string())
    }
}

impl From<BatchError> for Fault {
    fn from(refused: BatchError) -> Self {
        let (status, error) = match &refused {
            BatchError::UnknownPlan(_) => (StatusCode::NOT_FOUND, "unknown_plan"),
            BatchError::UnknownChange(_) => (StatusCode::NOT_FOUND, "unknown_change"),
            BatchError::UnknownTenant(_) => (StatusCode::NOT_FOUND, "unknown_tenant"),
            BatchError::UnknownUser { .. } => (StatusCode::NOT_FOUND, "unknown_user"),
            BatchError::Missing { .. } => (StatusCode::NOT_FOUND, "unknown_rule"),
            BatchError::Conflict { .. } => (StatusCode::CONFLICT, "conflict"),
            BatchError::ChangedSince { .. }
            | BatchError::UserChangedSince { .. }
            | BatchError::TenantChangedSince(_) => (StatusCode::CONFLICT, "changed_since"),
            BatchError::Full(_) => (StatusCode::INSUFFICIENT_STORAGE, "too_many_rules"),
            BatchError::FullOfUsers(_) => (StatusCode::INSUFFICIENT_STORAGE, "too_many_users"),
            BatchError::Pending(_) => (StatusCode::INSUFFICIENT_STORAGE, "too_many_pending"),
            BatchError::Prefix { .. } | BatchError::EmptyPrefix => (StatusCode::BAD_REQUEST, "bad_prefix"),
            BatchError::UnknownTag(_) => (StatusCode::BAD_REQUEST, "unknown_tag"),
            BatchError::User { .. } | BatchError::UserTwice { .. } => (StatusCode::BAD_REQUEST, "bad_user"),
            BatchError::NoId => (StatusCode::BAD_REQUEST, "bad_id"),
        };
        Self::new(status, error, refused.to_string())
    }
}
