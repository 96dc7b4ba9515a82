//! All resources by their URIs; the only place where reading one gets its permission.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;

use super::{ResourcePage, ResourceProvider, ResourceTemplate, ResourceWatch, ResourcesSpec};
use crate::audit::{Audit, AuditEntry, AuditOutcome, Audited};
use crate::auth::{Denied, Principal};
use crate::call::{
    CallContext, Caller, Completing, Completion, Lanes, Origin, ResourceContents, Round, RoundFuture, ToolError, ToolErrorKind,
    Workplace,
};

/// The resources of a server, by provider.
pub struct ResourceRegistry {
    providers: Vec<Registered>,
    audit: Audit,
    workplace: Workplace,
}

struct Registered {
    spec: ResourcesSpec,
    provider: Arc<dyn ErasedProvider>,
}

/// The proof that a caller may use the resources of one provider. Only [`ResourceRegistry`] makes one.
pub struct AuthorizedResource {
    uri: String,
    spec: ResourcesSpec,
    provider: Arc<dyn ErasedProvider>,
    principal: Arc<Principal>,
    workplace: Workplace,
    entry: AuditEntry,
}

trait ErasedProvider: Send + Sync {
    fn templates(&self) -> Vec<ResourceTemplate>;
    fn list<'a>(&'a self, cx: &'a CallContext, cursor: Option<&'a str>) -> RoundFuture<'a, ResourcePage>;
    fn read<'a>(&'a self, cx: &'a CallContext, uri: &'a str) -> RoundFuture<'a, Vec<ResourceContents>>;
    fn complete<'a>(&'a self, cx: &'a CallContext, template: &'a str, completing: &'a Completing) -> RoundFuture<'a, Completion>;
    fn watch<'a>(&'a self, cx: &'a CallContext, uri: &'a str) -> RoundFuture<'a, Option<ResourceWatch>>;
    fn watch_list<'a>(&'a self, cx: &'a CallContext) -> RoundFuture<'a, Option<BoxStream<'static, ()>>>;
}

impl<P: ResourceProvider> ErasedProvider for P {
    fn templates(&self) -> Vec<ResourceTemplate> {
        ResourceProvider::templates(self)
    }

    fn list<'a>(&'a self, cx: &'a CallContext, cursor: Option<&'a str>) -> RoundFuture<'a, ResourcePage> {
        Box::pin(ResourceProvider::list(self, cx, cursor))
    }

    fn read<'a>(&'a self, cx: &'a CallContext, uri: &'a str) -> RoundFuture<'a, Vec<ResourceContents>> {
        Box::pin(ResourceProvider::read(self, cx, uri))
    }

    fn complete<'a>(&'a self, cx: &'a CallContext, template: &'a str, completing: &'a Completing) -> RoundFuture<'a, Completion> {
        Box::pin(ResourceProvider::complete(self, cx, template, completing))
    }

    fn watch<'a>(&'a self, cx: &'a CallContext, uri: &'a str) -> RoundFuture<'a, Option<ResourceWatch>> {
        Box::pin(ResourceProvider::watch(self, cx, uri))
    }

    fn watch_list<'a>(&'a self, cx: &'a CallContext) -> RoundFuture<'a, Option<BoxStream<'static, ()>>> {
        Box::pin(ResourceProvider::watch_list(self, cx))
    }
}

impl ResourceRegistry {
    /// A registry without resources. `timeout` holds for every call; `max_result_bytes` is the size of a page of a list.
    #[must_use]
    pub fn new(lanes: Arc<Lanes>, max_result_bytes: usize, timeout: Duration) -> Self {
        Self { providers: Vec::new(), audit: Audit::to_log(), workplace: Workplace { lanes, max_result_bytes, timeout } }
    }

    /// Leaves a line for each resource that is read there.
    #[must_use]
    pub fn with_audit(self, audit: Audit) -> Self {
        Self { audit, ..self }
    }

    /// Adds a provider; its resources are listed after those of the providers before it.
    ///
    /// # Panics
    /// When its prefix is taken: a mistake of the program, found at its first start.
    #[must_use]
    pub fn with<P: ResourceProvider>(mut self, provider: P) -> Self {
        let taken = self.providers.iter().any(|registered| registered.spec.prefix == P::SPEC.prefix);
        assert!(!taken, "two providers of resources have the prefix {}", P::SPEC.prefix);
        self.providers.push(Registered { spec: P::SPEC, provider: Arc::new(provider) });
        self
    }

    /// Is there any resource?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.providers.is_empty()
    }

    /// The templates that this caller may use.
    #[must_use]
    pub fn templates(&self, principal: &Principal) -> Vec<ResourceTemplate> {
        self.visible(principal).flat_map(|(_, registered)| registered.provider.templates()).collect()
    }

    /// One page of all resources that this caller may read: those of one provider after those of another.
    pub async fn list(&self, caller: Caller, cursor: Option<&str>) -> Round<ResourcePage> {
        let (first, mut cursor) = match cursor.map(|cursor| self.open_cursor(cursor)).transpose() {
            Ok(place) => place.unwrap_or((0, None)),
            Err(error) => return Round::Done(Err(error)),
        };
        let principal = Arc::clone(&caller.principal);
        let visible: Vec<_> = self.visible(&principal).filter(|(index, _)| *index >= first).collect();
        for (place, (index, registered)) in visible.iter().enumerate() {
            let authorized = self.proof(registered, &principal, String::new());
            let page = authorized.list(caller.clone(), cursor.take().filter(|_| *index == first)).await;
            let Round::Done(Ok(mut page)) = page else { return page };
            let here = page.next_cursor.take().map(|next| format!("{index}.{next}"));
            let ended = here.is_none();
            page.next_cursor = here.or_else(|| visible.get(place + 1).map(|(next, _)| format!("{next}.")));
            // A provider that has nothing (more) is passed over: the client should not have to ask again for nothing.
            if !(page.resources.is_empty() && ended) {
                return Round::Done(Ok(page));
            }
        }
        Round::Done(Ok(ResourcePage::default()))
    }

    /// Signals each time that the set of resources which this caller may list has changed. What cannot be watched now is
    /// left out.
    pub async fn watch_list(&self, caller: &Caller) -> Vec<BoxStream<'static, ()>> {
        let mut streams = Vec::new();
        for (_, registered) in self.visible(&caller.principal) {
            let authorized = self.proof(registered, &caller.principal, String::new());
            if let Round::Done(Ok(Some(stream))) = authorized.watch_list(caller.clone()).await {
                streams.push(stream);
            }
        }
        streams
    }

    /// May this caller use the resource of this URI? Whether it may see that very resource is the provider's decision.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn authorize(&self, principal: &Arc<Principal>, uri: &str) -> Result<AuthorizedResource, Denied> {
        let fitting = self.providers.iter().filter(|registered| begins_with(uri, registered.spec.prefix));
        let registered = fitting.max_by_key(|registered| registered.spec.prefix.len()).ok_or(Denied::Unknown)?;
        principal.must_hold(registered.spec.scopes, "this resource")?;
        Ok(self.proof(registered, principal, uri.to_owned()))
    }

    /// The same for `resources/read` that comes from there, as the audit log tells.
    pub(crate) fn authorize_read(
        &self,
        origin: Option<&Arc<Origin>>,
        principal: &Arc<Principal>,
        uri: &str,
    ) -> Result<AuthorizedResource, Denied> {
        let mut entry = AuditEntry::begin(&self.audit, Audited::Resource(uri), principal, origin);
        let authorized = entry.admitted(self.authorize(principal, uri))?;
        Ok(AuthorizedResource { entry, ..authorized })
    }

    /// The providers whose resources this caller may use, with their places.
    fn visible(&self, principal: &Principal) -> impl Iterator<Item = (usize, &Registered)> {
        self.providers.iter().enumerate().filter(|(_, registered)| principal.holds_all(registered.spec.scopes))
    }

    fn proof(&self, registered: &Registered, principal: &Arc<Principal>, uri: String) -> AuthorizedResource {
        AuthorizedResource {
            uri,
            spec: registered.spec,
            provider: Arc::clone(&registered.provider),
            principal: Arc::clone(principal),
            workplace: self.workplace.clone(),
            entry: AuditEntry::none(),
        }
    }

    fn open_cursor(&self, cursor: &str) -> Result<(usize, Option<String>), ToolError> {
        let parts = cursor.split_once('.').and_then(|(index, rest)| Some((index.parse::<usize>().ok()?, rest)));
        match parts.filter(|(index, _)| *index < self.providers.len()) {
            Some((index, rest)) => Ok((index, Some(rest.to_owned()).filter(|rest| !rest.is_empty()))),
            None => Err(ToolError::new(
                ToolErrorKind::InvalidCursor,
                "`cursor` is not one of this list's; start again without a cursor",
            )),
        }
    }
}

impl AuthorizedResource {
    /// The URI that was asked for; for completion, the template.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// What is declared about the family.
    #[must_use]
    pub fn spec(&self) -> &ResourcesSpec {
        &self.spec
    }

    /// Runs one round of `resources/read`. Dropping the future cancels the work.
    pub async fn read(mut self, caller: Caller) -> Round<Vec<ResourceContents>> {
        let mut entry = std::mem::replace(&mut self.entry, AuditEntry::none());
        entry.note(AuditOutcome::Cancelled);
        let (provider, uri) = (Arc::clone(&self.provider), self.uri.clone());
        let round = self.round(caller, move |cx| Box::pin(async move { provider.read(cx, &uri).await })).await;
        entry.note(AuditOutcome::of(&round, |_| None));
        round
    }

    /// Suggests values for a variable of the template.
    pub async fn complete(self, caller: Caller, completing: Completing) -> Round<Completion> {
        let (provider, template) = (Arc::clone(&self.provider), self.uri.clone());
        self.round(caller, move |cx| Box::pin(async move { provider.complete(cx, &template, &completing).await })).await
    }

    /// Watches the resource; `None` when it cannot be watched.
    pub async fn watch(self, caller: Caller) -> Round<Option<ResourceWatch>> {
        let (provider, uri) = (Arc::clone(&self.provider), self.uri.clone());
        self.round(caller, move |cx| Box::pin(async move { provider.watch(cx, &uri).await })).await
    }

    async fn watch_list(self, caller: Caller) -> Round<Option<BoxStream<'static, ()>>> {
        let provider = Arc::clone(&self.provider);
        self.round(caller, move |cx| Box::pin(async move { provider.watch_list(cx).await })).await
    }

    async fn list(self, caller: Caller, cursor: Option<String>) -> Round<ResourcePage> {
        let provider = Arc::clone(&self.provider);
        self.round(caller, move |cx| Box::pin(async move { provider.list(cx, cursor.as_deref()).await })).await
    }

    async fn round<T, F>(self, caller: Caller, run: F) -> Round<T>
    where
        F: for<'a> FnOnce(&'a CallContext) -> RoundFuture<'a, T>,
    {
        self.workplace.round(self.principal, caller, self.spec.lane, "the resource", run).await
    }
}

impl std::fmt::Debug for AuthorizedResource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AuthorizedResource").field(&self.uri).finish()
    }
}

/// Does the URI begin with the prefix, whatever the case of the scheme (RFC 3986, section 3.1)?
fn begins_with(uri: &str, prefix: &str) -> bool {
    let scheme = prefix.find(':').map_or(0, |end| end + 1);
    let (Some(start), Some(rest)) = (uri.get(..scheme), uri.get(scheme..)) else { return false };
    start.eq_ignore_ascii_case(&prefix[..scheme]) && rest.starts_with(&prefix[scheme..])
}
