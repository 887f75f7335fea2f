//! Phone numbers as Teams itself has assigned them (B7): better than what administrators have typed into fields.

use serde::Deserialize;

use super::Graph;
use super::fault::{Fault, Permission};
use super::settings::Call;
use super::users::Page;

/// A number and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NumberAssignment {
    /// E.164 with `+`, with `;ext=` where there is one.
    #[serde(rename = "telephoneNumber", default)]
    pub number: String,
    /// The object id of the user or resource account; `None`: nobody's.
    #[serde(rename = "assignmentTargetId", default)]
    pub target: Option<String>,
    /// `primary`, `private`, `alternate`.
    #[serde(rename = "assignmentCategory", default)]
    pub category: Option<String>,
    /// `directRouting`, `operatorConnect`, `callingPlan`.
    #[serde(rename = "numberType", default)]
    pub kind: Option<String>,
}

/// What Teams has set for a user.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TeamsUser {
    /// The object id.
    #[serde(default)]
    pub id: String,
    #[serde(rename = "userPrincipalName", default)]
    pub user_principal_name: String,
    #[serde(rename = "isEnterpriseVoiceEnabled", default)]
    pub voice: bool,
    #[serde(rename = "telephoneNumbers", default)]
    pub numbers: Vec<TeamsNumber>,
}

/// A number of a user.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TeamsNumber {
    #[serde(rename = "telephoneNumber", default)]
    pub number: String,
    #[serde(rename = "assignmentCategory", default)]
    pub category: Option<String>,
}

impl Graph {
    /// All numbers that Teams knows, from the beginning or from a link of an earlier page on.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn number_assignments(&self, link: Option<&str>) -> Result<Page<NumberAssignment>, Fault> {
        let url = self.list("/v1.0/admin/teams/telephoneNumberManagement/numberAssignments", link)?;
        self.page(Call::Numbers, Permission::ReadNumbers, &url, false).await
    }

    /// What Teams has set for its users, from the beginning or from a link of an earlier page on.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn teams_users(&self, link: Option<&str>) -> Result<Page<TeamsUser>, Fault> {
        let url = self.list("/v1.0/admin/teams/userConfigurations", link)?;
        self.page(Call::Numbers, Permission::ReadTeamsUsers, &url, false).await
    }
}
