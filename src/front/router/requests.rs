//! IQ requests of people and their clients: commands, ping and discovery.

use std::sync::Arc;

use minidom::Element;
use tokio::sync::OwnedSemaphorePermit;
use xmpp_parsers::ns;
use xmpp_parsers::stanza_error::StanzaError;

use super::Router;
use crate::command::{Reference, phrases};
use crate::front::adhoc::Step;
use crate::front::disco::{self, Addressed, DiscoQuery};
use crate::front::reply::{PendingIq, Reply, later};
use crate::xmpp::fault::Fault;
use crate::xmpp::payload::command::{
    CommandAnswer, CommandRequest, CommandUnreadable, NS_COMMANDS,
};
use crate::xmpp::stanza::Received;

impl Router {
    pub(super) fn request(self: &Arc<Self>, received: &Received, face: Option<Addressed>) -> Reply {
        let asked = PendingIq::of(&received.header);
        let (Some(face), Some(payload)) = (face, received.payload()) else {
            let fault = match face {
                None => Fault::Unavailable,
                Some(_) => Fault::Malformed,
            };
            return asked.now(Err(fault.stanza_error()));
        };
        let is_get = received.type_() == "get";
        if payload.is("command", NS_COMMANDS) && !is_get {
            return self.command(asked, received, payload);
        }
        if payload.is("ping", ns::PING) && is_get {
            return asked.now(Ok(None));
        }
        let question = DiscoQuery {
            face,
            asked: &received.header.to,
            bot: &self.bot.jid,
            role: self.bot.caller(&received.header).role(),
            now: self.bot.context.engine.now(),
            started: self.bot.context.started,
        };
        let answer = if payload.has_ns(NS_COMMANDS) {
            Err(Fault::Malformed)
        } else if is_get {
            disco::answer(&question, payload).unwrap_or(Err(Fault::Unavailable))
        } else if disco::is_read_only(&payload.ns()) {
            Err(Fault::NotImplemented)
        } else {
            Err(Fault::Unavailable)
        };
        asked.now(answer.map(Some).map_err(Fault::stanza_error))
    }

    fn command(
        self: &Arc<Self>,
        asked: PendingIq,
        received: &Received,
        payload: &Element,
    ) -> Reply {
        let request = match CommandRequest::read(payload) {
            Ok(request) => request,
            Err(why) => {
                let fault = match why {
                    CommandUnreadable::NoNode => Fault::Malformed,
                    CommandUnreadable::Action => Fault::MalformedAction,
                    CommandUnreadable::Form => Fault::BadPayload,
                };
                return asked.now(Err(fault.stanza_error()));
            }
        };
        // Before anything is handled: a client that is told to come back finds everything unchanged.
        let Some(permit) = self.permit() else {
            return asked.now(Err(Fault::Busy.stanza_error()));
        };
        let caller = self.bot.caller(&received.header);
        let role = caller.role();
        match self.bot.forms.receive(request, caller, &self.bot.context) {
            Err(error) => asked.now(Err(*error)),
            Ok(Step::Answer(answer)) => asked.now(Ok(Some((*answer).into()))),
            Ok(Step::Run(run)) => self.form(asked, None, move |router| async move {
                let wake = Arc::clone(&router.notices.wake);
                let forms = &router.bot.forms;
                forms.run(*run, permit, wake, &router.bot.context).await
            }),
            Ok(Step::Look(session)) => self.form(asked, Some(permit), move |router| async move {
                let forms = &router.bot.forms;
                forms.look(*session, role, &router.bot.context).await
            }),
        }
    }

    /// Answers a form once its command has finished; with an internal failure if the command panics.
    fn form<F>(
        self: &Arc<Self>,
        asked: PendingIq,
        permit: Option<OwnedSemaphorePermit>,
        work: impl FnOnce(Arc<Router>) -> F + Send + 'static,
    ) -> Reply
    where
        F: Future<Output = Result<CommandAnswer, StanzaError>> + Send + 'static,
    {
        let reference = Reference::fresh();
        let failed = Fault::Internal.with_text(phrases::broken(&reference));
        let failed = vec![asked.stanza(Err(failed))];
        let work = work(Arc::clone(self));
        later(permit, reference, failed, async move {
            let answer = work.await;
            vec![asked.stanza(answer.map(|answer| Some(answer.into())))]
        })
    }
}
