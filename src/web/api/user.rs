//! Users and roles as the API shows them: the wire format of the `FastAPI` plugins, never with a hash.

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::id::UserId;
use crate::base::time::Timestamp;
use crate::identity::accounts::{FullRole, Listed};
use crate::store::roles::StoredPermission;
use crate::web::Web;
use crate::web::error::Problem;

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserOut {
    id: i64,
    #[schema(format = Email)]
    email: Option<String>,
    username: String,
    /// Whether the account may be used.
    is_active: bool,
    /// Whether it satisfies every role and permission.
    is_superuser: bool,
    /// Whether the address was proved to be theirs.
    is_verified: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// The roles they were given, without those that these include.
    roles: Vec<RoleOut>,
}

/// A role.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Role)]
pub struct RoleOut {
    id: i64,
    name: String,
    /// What it is for.
    description: String,
    /// Where it comes from: `config` roles are changed in the file, and `retired` ones have left it and count for
    /// nothing.
    #[schema(pattern = "^(config|local|retired)$")]
    origin: &'static str,
    /// The permissions it gives itself, beside those of the roles it includes.
    permissions: Vec<PermissionOut>,
}

/// A permission.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Permission)]
pub struct PermissionOut {
    id: i64,
    /// `resource:action`
    name: String,
    resource: String,
    action: String,
    /// What it is for.
    description: String,
}

/// Something was done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message)]
pub struct MessageOut {
    message: &'static str,
}

impl MessageOut {
    /// Says so.
    pub const fn new(message: &'static str) -> axum::Json<Self> {
        axum::Json(Self { message })
    }
}

impl UserOut {
    /// A user of whom whoever asks may know.
    ///
    /// # Errors
    /// When there is none, or the store does not answer.
    pub async fn find(web: &Web, id: UserId) -> Result<Self, Problem> {
        Ok(Self::from(&web.accounts.listed(id).await?))
    }
}

impl From<&Listed> for UserOut {
    fn from(listed: &Listed) -> Self {
        let user = &listed.user;
        Self {
            id: user.id.0,
            email: user.email.as_ref().map(ToString::to_string),
            username: user.username.to_string(),
            is_active: user.is_active,
            is_superuser: user.is_superuser,
            is_verified: user.is_verified,
            created_at: user.created_at,
            updated_at: user.updated_at,
            roles: listed.roles.iter().map(|role| (&**role).into()).collect(),
        }
    }
}

impl From<&FullRole> for RoleOut {
    fn from(full: &FullRole) -> Self {
        Self {
            id: full.role.id,
            name: full.role.name.to_string(),
            description: full.role.description.clone(),
            origin: full.role.origin.as_str(),
            permissions: full.permissions.iter().map(Into::into).collect(),
        }
    }
}

impl From<&StoredPermission> for PermissionOut {
    fn from(stored: &StoredPermission) -> Self {
        Self {
            id: stored.id,
            name: stored.permission.to_string(),
            resource: stored.permission.resource().to_owned(),
            action: stored.permission.action().to_owned(),
            description: stored.description.clone(),
        }
    }
}
