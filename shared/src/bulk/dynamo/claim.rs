//! The claim of a chunk.

use aws_sdk_dynamodb::{error::SdkError, operation::update_item::UpdateItemError, types::ReturnValue};
use jiff::Timestamp;

use super::{DynamoBulk, item};
use crate::{
    Error, Result,
    bulk::{Claim, Claimed},
    documents::dynamo::RETURN_OLD,
    dynamo::{Attributes, failed, n, s, time},
};

impl DynamoBulk {
    /// Claims a chunk at `now`, and counts the try: one write, whose refusal brings what it met.
    pub(super) async fn take(&self, claim: &Claim, now: Timestamp) -> Result<Claimed> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item::chunk_key(&claim.job, claim.number)))
            .update_expression("SET #token = :token, #until = :until ADD tries :one, claims :one")
            .condition_expression(
                "attribute_exists(pk) AND attribute_not_exists(outcomes) \
                 AND (attribute_not_exists(#until) OR #until <= :now)",
            )
            .expression_attribute_names("#token", "token")
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":token", s(&claim.token))
            .expression_attribute_values(":until", time(claim.until))
            .expression_attribute_values(":now", time(now))
            .expression_attribute_values(":one", n(1))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(RETURN_OLD)
            .send()
            .await;
        match sent {
            Ok(answer) => {
                let claimed = answer.attributes.ok_or_else(|| Error::internal("a claim was not returned"))?;
                Ok(Claimed::Ours(Box::new(item::chunk_of(&claimed)?)))
            }
            Err(SdkError::ServiceError(error))
                if matches!(error.err(), UpdateItemError::ConditionalCheckFailedException(_)) =>
            {
                let UpdateItemError::ConditionalCheckFailedException(refused) = error.into_err() else {
                    return Err(Error::internal("a refusal is none"));
                };
                let held = match refused.item {
                    Some(item) => Some(item),
                    None => self.get(item::chunk_key(&claim.job, claim.number)).await?,
                };
                Ok(match held {
                    None => Claimed::Gone,
                    Some(item) if item.contains_key("outcomes") => Claimed::Done,
                    // The answer to our claim was lost, and it was sent again.
                    Some(item) if Attributes(&item).maybe("token") == Some(&claim.token) => {
                        Claimed::Ours(Box::new(item::chunk_of(&item)?))
                    }
                    Some(item) => Claimed::Held(Attributes(&item).time("until")?),
                })
            }
            Err(error) => Err(failed(error)),
        }
    }
}
