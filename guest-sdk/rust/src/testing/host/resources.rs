//! Resources that were faked.

use crate::{
    Error, Result,
    testing::{fakes::FakeResource, placeholder as text_for, world},
};

pub(crate) struct Handle {
    path: String,
    resource: FakeResource,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.path)
    }
}

pub(crate) fn open(path: &str) -> Result<Handle> {
    let how = format!("Fakes::new().resource({path:?}, \"its type\", json!({{}}), &[\"/secret\"])");
    let resource = world::current()?.resources.get(path).cloned().ok_or_else(|| world::denied("this resource was not faked", &how))?;
    Ok(Handle { path: path.to_owned(), resource })
}

impl Handle {
    pub(crate) fn path(&self) -> String {
        self.path.clone()
    }

    pub(crate) fn kind(&self) -> String {
        self.resource.kind.clone()
    }

    pub(crate) fn fields(&self) -> String {
        self.resource.fields.to_string()
    }

    pub(crate) fn placeholder(&self, pointer: &str) -> Result<String> {
        if self.resource.secrets.iter().any(|secret| secret == pointer) {
            return Ok(text_for(&format!("{}#{pointer}", self.path)));
        }
        Err(Error::new("invalid", format!("`{}` has no secret field at `{pointer}`", self.path)))
    }
}
