//! A scripted implementation of the server port.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use ipnet::IpNet;
use portcullis::core::{Account, Ban, Subject};
use portcullis::delivery::ports::{Enforcement, Enforcer, Existence, Held, Recorded, Undone};
use portcullis::delivery::refusals::{ServerAsked, ServerRefusals};
use tokio::sync::watch;

/// Records what it is asked to do, and fails as often as the test wants.
pub(crate) struct FakeServer {
    pub(crate) done: Mutex<Vec<String>>,
    pub(crate) failures: AtomicU32,
    pub(crate) standing: watch::Sender<Arc<Enforcement>>,
    pub(crate) unknown: Mutex<Vec<Account>>,
    /// Accounts of which the server knows neither a login nor a registration.
    pub(crate) traceless: Mutex<Vec<Account>>,
    pub(crate) admin_addresses: Mutex<Vec<IpAddr>>,
    /// Number of sessions to end.
    pub(crate) sessions: Mutex<Option<u64>>,
    /// Bans that it made itself, and records that somebody changed.
    pub(crate) its_own: Mutex<Vec<(Account, Recorded)>>,
    pub(crate) changed: Mutex<Vec<Subject>>,
    /// What it says that it refuses itself.
    pub(crate) refusals: Mutex<ServerRefusals>,
    /// What it was asked to let go, and how many addresses it held there.
    pub(crate) unblocked: Mutex<Vec<IpNet>>,
    pub(crate) fail2ban: AtomicU32,
    held: AtomicBool,
    /// Milliseconds that a ban takes.
    pub(crate) takes: AtomicU64,
}

impl FakeServer {
    pub(crate) fn new(linked: bool) -> Arc<Self> {
        Arc::new(FakeServer {
            done: Mutex::default(),
            failures: AtomicU32::new(0),
            standing: watch::Sender::new(Arc::new(Enforcement {
                linked,
                probed: linked,
                level: 1,
                ..Enforcement::default()
            })),
            unknown: Mutex::default(),
            traceless: Mutex::default(),
            admin_addresses: Mutex::default(),
            sessions: Mutex::new(Some(0)),
            its_own: Mutex::default(),
            changed: Mutex::default(),
            refusals: Mutex::new(ServerRefusals {
                asked: ServerAsked::Yes,
                ..ServerRefusals::default()
            }),
            unblocked: Mutex::default(),
            fail2ban: AtomicU32::new(0),
            held: AtomicBool::new(false),
            takes: AtomicU64::new(0),
        })
    }

    pub(crate) fn set_linked(&self, linked: bool) {
        self.standing.send_replace(Arc::new(Enforcement {
            linked,
            probed: linked,
            level: 1,
            ..Enforcement::default()
        }));
    }

    /// From now on it accepts bans and never confirms them.
    pub(crate) fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    fn act(&self, what: String) -> Result<(), Undone> {
        let left = self.failures.load(Ordering::SeqCst);
        if left > 0 {
            self.failures.store(left - 1, Ordering::SeqCst);
            return Err(Undone("the server said no".into()));
        }
        self.done.lock().unwrap().push(what);
        Ok(())
    }

    pub(crate) fn done(&self) -> Vec<String> {
        self.done.lock().unwrap().clone()
    }
}

impl Enforcer for FakeServer {
    fn enforce<'a>(&'a self, ban: &'a Ban) -> BoxFuture<'a, Result<Held, Undone>> {
        async move {
            if self.held.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let takes = Duration::from_millis(self.takes.load(Ordering::SeqCst));
            tokio::time::sleep(takes).await;
            self.act(format!("ban {} {}", ban.id, ban.subject))?;
            Ok(match ban.subject {
                Subject::Account(_) => Held::Enforced,
                _ => Held::NeedsModule,
            })
        }
        .boxed()
    }

    fn release<'a>(&'a self, subject: &'a Subject) -> BoxFuture<'a, Result<(), Undone>> {
        async move { self.act(format!("free {subject}")) }.boxed()
    }

    fn kick<'a>(
        &'a self,
        subject: &'a Subject,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, Undone>> {
        async move {
            self.act(format!("kick {subject}"))?;
            Ok(*self.sessions.lock().unwrap())
        }
        .boxed()
    }

    fn end_session<'a>(
        &'a self,
        account: &'a Account,
        resource: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, Undone>> {
        async move {
            self.act(format!("kick {account}/{resource}"))?;
            Ok(Some(1))
        }
        .boxed()
    }

    fn exists<'a>(&'a self, account: &'a Account) -> BoxFuture<'a, Existence> {
        async move {
            if self.unknown.lock().unwrap().contains(account) {
                return Existence::Missing;
            }
            match self.traceless.lock().unwrap().contains(account) {
                true => Existence::NoTrace,
                false => Existence::Exists,
            }
        }
        .boxed()
    }

    fn addresses<'a>(&'a self, _: &'a Account) -> BoxFuture<'a, Vec<IpAddr>> {
        async move { self.admin_addresses.lock().unwrap().clone() }.boxed()
    }

    fn holds<'a>(&'a self, ban: &'a Ban) -> BoxFuture<'a, Option<bool>> {
        async move { Some(!self.changed.lock().unwrap().contains(&ban.subject)) }.boxed()
    }

    fn banned_there(&self) -> BoxFuture<'_, Vec<Account>> {
        let its_own = self.its_own.lock().unwrap();
        let accounts = its_own.iter().map(|(account, _)| account.clone()).collect();
        async move { accounts }.boxed()
    }

    fn recorded<'a>(&'a self, account: &'a Account) -> BoxFuture<'a, Option<Recorded>> {
        let its_own = self.its_own.lock().unwrap();
        let found = its_own.iter().find(|(own, _)| own == account);
        let found = found.map(|(_, recorded)| recorded.clone());
        async move { found }.boxed()
    }

    fn refusals<'a>(
        &'a self,
        _: Option<&'a Account>,
        _: &'a [IpAddr],
    ) -> BoxFuture<'a, ServerRefusals> {
        let refusals = self.refusals.lock().unwrap().clone();
        async move { refusals }.boxed()
    }

    fn unblock(&self, net: IpNet) -> BoxFuture<'_, Option<u64>> {
        self.unblocked.lock().unwrap().push(net);
        async move { Some(u64::from(self.fail2ban.load(Ordering::SeqCst))) }.boxed()
    }

    fn standing(&self) -> watch::Receiver<Arc<Enforcement>> {
        self.standing.subscribe()
    }
}
