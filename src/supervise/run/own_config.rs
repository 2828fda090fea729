//! A service's own configuration, read and changed by program: what its check finds fault with never
//! replaces the file.

use serde_json::Value;

use super::Supervisor;
use super::commands::reply;
use crate::config::LoadOptions;
use crate::config::edit::{Document, ETag, EditError};
use crate::model::{Instance, ServiceId};
use crate::supervise::{Answer, OwnConfig, Refusal};

impl Supervisor {
    pub(super) fn read_config(&self, id: &ServiceId) -> Result<OwnConfig, Refusal> {
        let document = self.document(id)?.map_err(|error| refused(id, &error))?;
        let value = document.get(&[]).unwrap_or_default();
        Ok(OwnConfig { path: document.path().to_owned(), etag: document.etag().clone(), value })
    }

    pub(super) fn patch_config(
        &self,
        id: &ServiceId,
        patch: &Value,
        expected: Option<ETag>,
        answer: Answer<Result<ETag, EditError>>,
    ) {
        let staged = self.document(id).map(|document| {
            let mut document = document?;
            document.merge(&[], patch)?;
            document.stage(expected.as_ref())
        });
        let staged = match staged {
            Ok(Ok(staged)) => staged,
            Ok(Err(error)) => return reply(answer, Ok(Err(error))),
            Err(refusal) => return reply(answer, Err(refusal)),
        };
        let check = match self.check_at(id, staged.path()) {
            Ok(check) => check,
            Err(why) => return reply(answer, Err(Refusal::Failed(format!("{id}: {why}")))),
        };
        crate::tasks::spawn_local(async move {
            if let Some(check) = check
                && let Err(why) = check.run().await
            {
                let why = format!("{}: with this change it is not good: {why}", staged.file().display());
                return reply(answer, Ok(Err(EditError::Refused(why))));
            }
            reply(answer, Ok(staged.commit()));
        });
    }

    fn document(&self, id: &ServiceId) -> Result<Result<Document, EditError>, Refusal> {
        let Some(service) = self.services.get(id) else {
            return Err(Refusal::NoSuchService { id: id.to_string(), nearest: Vec::new() });
        };
        let resolved = self.resolve(&service.record()).map_err(|why| Refusal::Failed(format!("{id}: {why}")))?;
        let Some(path) = resolved.config_file else {
            return Err(Refusal::Failed(format!("{id} has no configuration of its own (config_file)")));
        };
        // Who else can write it, or lead it elsewhere, must not have root read and write for them.
        let options = LoadOptions { system: self.places.instance == Instance::System, home: None };
        Ok(Document::read(path.as_ref(), &options))
    }
}

fn refused(id: &ServiceId, error: &EditError) -> Refusal {
    Refusal::Failed(format!("{id}: {error}"))
}
