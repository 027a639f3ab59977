//! Logging in, and being seen.

use std::rc::Rc;
use std::sync::Arc;

use call::{Connection, Identity};
use contract::sql::Value;
use login::Login as _;
use presence::{Presence as _, PresenceLease as _};
use runtime::Val;
use runtime::values::{ToRecord as _, field};
use sha2::{Digest as _, Sha256};

use super::{Case, Person, int, turn};
use crate::stand::{Stand, ask, refused};

/// The users who come and go. Each has one contact, who is told.
const COMING: u64 = 1_000;
const FIRST_COMING: u64 = 10_000;
const WATCHER: u64 = 20_000;
/// How many users are asked about at once; every second one is online.
const ASKED: u64 = 100;
const FIRST_ASKED: u64 = 30_000;

const NAME: &str = "somebody";
const PASSWORD: &str = "correct horse battery staple";
/// Far from now, in milliseconds since the epoch.
const FAR: u64 = 4_000_000_000_000;

struct People {
    stand: Rc<Stand>,
    tokens: Vec<String>,
    coming: Vec<Person>,
    asked: Vec<Person>,
    watcher: Person,
}

pub(super) async fn cases(stand: &Rc<Stand>) -> anyhow::Result<Vec<Case>> {
    let people = Rc::new(People {
        stand: stand.clone(),
        tokens: (0..64_u64)
            .map(|number| runtime::hex(&Sha256::digest(number.to_be_bytes())))
            .collect(),
        coming: (0..COMING).map(|number| Person::new(FIRST_COMING + number)).collect(),
        asked: (0..ASKED).map(|number| Person::new(FIRST_ASKED + number)).collect(),
        watcher: Person::new(WATCHER),
    });
    people.register().await?;
    Ok(vec![
        verifying(&people)?,
        logging_in(&people)?,
        coming(&people)?,
        asking(&people)?,
        asking_of_many(&people)?,
    ])
}

impl People {
    /// One account, sessions, contacts, and who was online a while ago.
    async fn register(&self) -> anyhow::Result<()> {
        let account = login::Component::register(NAME.to_owned(), PASSWORD.to_owned());
        let user = self.stand.native.login.run(account).await.map_err(refused)?;
        let sessions = (1_u64..).zip(&self.tokens).map(|(session, token)| {
            let hash = runtime::hex(&Sha256::digest(token));
            (
                "INSERT INTO sessions (id, user_id, device, device_class, token_hash, created_at, expires_at) \
                 VALUES (?, ?, ?, 'phone', ?, 0, ?)"
                    .to_owned(),
                vec![
                    int(session),
                    int(user + 1),
                    Value::Text(format!("device-{session}")),
                    Value::Text(hash),
                    int(FAR),
                ],
            )
        });
        let contacts = self.coming.iter().map(|person| {
            (
                "INSERT INTO contacts (owner_id, peer_id, state, created_at) VALUES (?, ?, 2, 0)".to_owned(),
                vec![int(person.native.user), int(WATCHER)],
            )
        });
        let seen = self.asked.iter().map(|person| {
            (
                "INSERT INTO last_seen (user_id, at) VALUES (?, 1)".to_owned(),
                vec![int(person.native.user)],
            )
        });
        self.stand.write(sessions.chain(contacts).chain(seen).collect()).await
    }

    /// Every second of those who are asked about is online.
    async fn appear(&self) -> anyhow::Result<()> {
        let online = self.asked.iter().step_by(2);
        let renewed = presence::Component::renew_presence(online.map(|person| person.connection.clone()).collect());
        self.stand.native.presence.run(renewed).await.map_err(refused)
    }

    /// Some users are offline, so that they can come.
    async fn leave(&self, numbers: std::ops::Range<usize>) -> anyhow::Result<()> {
        for number in numbers {
            let connection = turn(&self.coming, number)?.connection.clone();
            let left = presence::Component::set_offline(connection);
            self.stand.native.presence.run(left).await.map_err(refused)?;
        }
        self.stand.drain().await
    }
}

fn verifying(people: &Rc<People>) -> anyhow::Result<Case> {
    let method = people.stand.method("login", "verify")?;
    let (natively, dispatched) = (people.clone(), people.clone());
    let native = move |number| {
        let people = natively.clone();
        async move {
            let token = turn(&people.tokens, number)?.clone();
            let verified = people.stand.native.login.run(login::Component::verify(token));
            Ok(verified.await.map_err(refused)?.expires_at)
        }
    };
    let component = move |number| {
        let (people, method) = (dispatched.clone(), method.clone());
        async move {
            let arguments = vec![Val::String(turn(&people.tokens, number)?.clone())];
            let answer = ask(&people.stand.invoke, &method, None, arguments).await?;
            let identity = answer.as_ref().and_then(runtime::values::identity);
            Ok(identity.map_or(0, |identity| identity.expires_at))
        }
    };
    Ok(Case::new("login.verify", native, component))
}

fn logging_in(people: &Rc<People>) -> anyhow::Result<Case> {
    let method = people.stand.method("login", "login")?;
    let (natively, dispatched) = (people.clone(), people.clone());
    let native = move |number: usize| {
        let people = natively.clone();
        async move {
            let device = format!("device-{number}");
            let call = login::Component::login(NAME.to_owned(), PASSWORD.to_owned(), device, None);
            let grant = people.stand.native.login.run(call).await.map_err(refused)?;
            Ok(grant.token.len() as u64)
        }
    };
    let component = move |number: usize| {
        let (people, method) = (dispatched.clone(), method.clone());
        async move {
            let arguments = vec![
                Val::String(NAME.to_owned()),
                Val::String(PASSWORD.to_owned()),
                Val::String(format!("device-{number}")),
                Val::Option(None),
            ];
            let grant = ask(&people.stand.invoke, &method, None, arguments).await?;
            let token = grant.as_ref().and_then(|grant| field(grant, "token"));
            Ok(token
                .and_then(runtime::values::text)
                .map_or(0, |token| token.len() as u64))
        }
    };
    Ok(Case::new("login.login", native, component).abreast(1))
}

fn coming(people: &Rc<People>) -> anyhow::Result<Case> {
    let method = people.stand.method("presence", "set-online")?;
    let (natively, dispatched, prepared) = (people.clone(), people.clone(), people.clone());
    let native = move |number| {
        let people = natively.clone();
        async move {
            let connection = turn(&people.coming, number)?.connection.clone();
            let call = presence::Component::set_online(connection);
            let come = people.stand.native.presence.run(call).await;
            come.map(|()| 1).map_err(refused)
        }
    };
    let component = move |number| {
        let (people, method) = (dispatched.clone(), method.clone());
        async move {
            let connection = connection(turn(&people.coming, number)?);
            let binding = method.binding.as_ref();
            let ty = binding.and_then(|method| method.parameters.first()).map(|(_, ty)| ty);
            let connection = ty.and_then(|ty| connection.to_val(ty));
            let arguments = connection.into_iter().collect();
            ask(&people.stand.invoke, &method, None, arguments).await.map(|_| 1)
        }
    };
    let prepare = move |numbers| {
        let people = prepared.clone();
        async move { people.leave(numbers).await.map(|()| 0) }
    };
    let most = usize::try_from(COMING)?;
    Ok(Case::new("presence.set-online", native, component).prepared(most, prepare))
}

/// A connection as the gateway has it.
fn connection(person: &Person) -> Connection {
    Connection {
        id: person.connection.id,
        node: crate::stand::NODE.into(),
        identity: Identity {
            user: person.component.user,
            session: person.component.session,
            device: person.component.device.clone(),
            device_class: Arc::from("phone"),
            expires_at: FAR,
        },
    }
}

fn asking(people: &Rc<People>) -> anyhow::Result<Case> {
    let method = people.stand.method("presence", "get-status")?;
    let (natively, dispatched, prepared) = (people.clone(), people.clone(), people.clone());
    // Those with an even number are online.
    let native = move |number: usize| {
        let people = natively.clone();
        async move {
            let user = turn(&people.asked, number * 2)?.native.user;
            let call = presence::Component::get_status(people.watcher.native.clone(), user);
            let status = people.stand.native.presence.run(call).await.map_err(refused)?;
            Ok(u64::from(status.online))
        }
    };
    let component = move |number: usize| {
        let (people, method) = (dispatched.clone(), method.clone());
        async move {
            let arguments = vec![Val::U64(turn(&people.asked, number * 2)?.native.user)];
            let caller = Some(people.watcher.component.clone());
            let status = ask(&people.stand.invoke, &method, caller, arguments).await?;
            Ok(status.as_ref().map_or(0, online))
        }
    };
    let prepare = move |_| {
        let people = prepared.clone();
        async move { people.appear().await.map(|()| 0) }
    };
    Ok(Case::new("presence.get-status", native, component).prepared(20_000, prepare))
}

fn asking_of_many(people: &Rc<People>) -> anyhow::Result<Case> {
    let method = people.stand.method("presence", "batch-get-status")?;
    let (natively, dispatched, prepared) = (people.clone(), people.clone(), people.clone());
    let native = move |_| {
        let people = natively.clone();
        async move {
            let users = people.asked.iter().map(|person| person.native.user).collect();
            let call = presence::Component::batch_get_status(people.watcher.native.clone(), users);
            let statuses = people.stand.native.presence.run(call).await.map_err(refused)?;
            Ok(statuses.iter().map(|status| u64::from(status.online)).sum())
        }
    };
    let component = move |_| {
        let (people, method) = (dispatched.clone(), method.clone());
        async move {
            let users = people.asked.iter().map(|person| Val::U64(person.native.user));
            let arguments = vec![Val::List(users.collect())];
            let caller = Some(people.watcher.component.clone());
            match ask(&people.stand.invoke, &method, caller, arguments).await? {
                Some(Val::List(statuses)) => Ok(statuses.iter().map(online).sum()),
                other => anyhow::bail!("the statuses are {other:?}"),
            }
        }
    };
    let prepare = move |_| {
        let people = prepared.clone();
        async move { people.appear().await.map(|()| 0) }
    };
    Ok(Case::new("presence.batch-get-status 100", native, component).prepared(20_000, prepare))
}

fn online(status: &Val) -> u64 {
    u64::from(matches!(field(status, "online"), Some(Val::Bool(true))))
}
