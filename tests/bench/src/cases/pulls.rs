//! Pages of what was missed: of an inbox, and of a large group.

use std::cell::Cell;
use std::rc::Rc;

use contract::sql::Value;
use group_pull::GroupPull as _;
use pull_offline::PullOffline as _;
use runtime::Val;
use send::Send as _;

use super::{CONTENT, Case, Person, client_id, int, length, turn};
use crate::stand::{Stand, ask, refused};

/// Who has missed much, and of whom.
const ABSENT: u64 = 40_000;
const PEER: u64 = 40_001;
const MISSED: u64 = 5_000;
/// A group whose messages are one row each.
const GROUP: u64 = 50_000;
const MEMBERS: u64 = 1_000;
const FIRST_MEMBER: u64 = 60_000;
/// Messages that the group has from long ago.
const SAID: u64 = 2_000;
/// The page of a group.
const PAGE: u64 = 50;

struct Pages {
    stand: Rc<Stand>,
    absent: Person,
    members: Vec<Person>,
    /// The last place of the group.
    last: Cell<u64>,
}

pub(super) async fn cases(stand: &Rc<Stand>) -> anyhow::Result<Vec<Case>> {
    let pages = Rc::new(Pages {
        stand: stand.clone(),
        absent: Person::new(ABSENT),
        members: (0..MEMBERS).map(|number| Person::new(FIRST_MEMBER + number)).collect(),
        last: Cell::new(SAID),
    });
    pages.write().await?;
    let group = group_pages(&pages, "group-pull.pull 50, stored")?;
    let prepared = pages.clone();
    let fresh = group_pages(&pages, "group-pull.pull 50, cached")?.prepared(20_000, move |numbers| {
        let pages = prepared.clone();
        async move { pages.say(numbers.start).await.map(|()| 0) }
    });
    Ok(vec![
        inbox(&pages, "pull-offline.pull 100", 100)?,
        inbox(&pages, "pull-offline.pull 500", 500)?,
        group,
        fresh,
    ])
}

impl Pages {
    async fn write(&self) -> anyhow::Result<()> {
        let conversation = |id: u64, ends: [Value; 2], last: u64| {
            let [low, high] = ends;
            (
                "INSERT INTO conversations (id, user_low, user_high, last_seq, last_at) VALUES (?, ?, ?, ?, 1)"
                    .to_owned(),
                vec![int(id), low, high, int(last)],
            )
        };
        let mut rows = vec![
            conversation(ABSENT, [int(ABSENT), int(PEER)], MISSED),
            conversation(GROUP, [Value::Null, Value::Null], SAID),
            (
                "INSERT INTO inbox_heads (user_id, last_seq) VALUES (?, ?)".to_owned(),
                vec![int(ABSENT), int(MISSED)],
            ),
            (
                "INSERT INTO chat_groups (id, name, owner_id, join_policy, member_count, created_at) \
                 VALUES (?, 'group', ?, 0, ?, 0)"
                    .to_owned(),
                vec![int(GROUP), int(FIRST_MEMBER), int(MEMBERS)],
            ),
        ];
        for seq in 1..=MISSED {
            rows.push(message(ABSENT + seq, ABSENT, seq, PEER, int(ABSENT)));
            rows.push((
                "INSERT INTO inbox (user_id, seq, kind, message_id) VALUES (?, ?, 0, ?)".to_owned(),
                vec![int(ABSENT), int(seq), int(ABSENT + seq)],
            ));
        }
        for seq in 1..=SAID {
            let sender = FIRST_MEMBER + seq % MEMBERS;
            rows.push(message(GROUP + seq, GROUP, seq, sender, Value::Null));
        }
        rows.extend(self.members.iter().map(|member| {
            (
                "INSERT INTO members (conversation_id, user_id, role, joined_at, joined_seq, read_seq) \
                 VALUES (?, ?, 0, 0, 0, 0)"
                    .to_owned(),
                vec![int(GROUP), int(member.native.user)],
            )
        }));
        self.stand.write(rows).await
    }

    /// Fills the last page of the group with new messages.
    async fn say(&self, number: usize) -> anyhow::Result<()> {
        for place in 0..usize::try_from(PAGE)? {
            let sender = turn(&self.members, place)?.native.clone();
            let id = format!("{}-{place}", client_id(number));
            let call = send::Component::send_group_message(sender, GROUP, id, CONTENT.to_owned(), None, None, None);
            let receipt = self.stand.native.send.run(call).await.map_err(refused)?;
            self.last.set(receipt.seq);
        }
        self.stand.drain().await
    }
}

fn message(id: u64, conversation: u64, seq: u64, sender: u64, to: Value) -> (String, Vec<Value>) {
    (
        "INSERT INTO messages (id, conversation_id, seq, sender_id, recipient_id, client_id, content, content_type, \
         content_hash, priority, qos, state, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, 'text/plain', ?, 1, 1, 1, 1)"
            .to_owned(),
        vec![
            int(id),
            int(conversation),
            int(seq),
            int(sender),
            to,
            Value::Text(format!("7a1c9c5e-old-{id:016}")),
            Value::Text(CONTENT.to_owned()),
            Value::Text("0".repeat(64)),
        ],
    )
}

/// The first page of an inbox, of a device that has seen nothing.
fn inbox(pages: &Rc<Pages>, name: &'static str, limit: u32) -> anyhow::Result<Case> {
    let method = pages.stand.method("pull-offline", "pull")?;
    let (natively, dispatched) = (pages.clone(), pages.clone());
    let native = move |_| {
        let pages = natively.clone();
        async move {
            let call = pull_offline::Component::pull(pages.absent.native.clone(), None, Some(limit));
            let page = pages.stand.native.pull_offline.run(call).await.map_err(refused)?;
            Ok(page.entries.len() as u64)
        }
    };
    let component = move |_| {
        let (pages, method) = (dispatched.clone(), method.clone());
        async move {
            let arguments = vec![Val::Option(None), Val::Option(Some(Box::new(Val::U32(limit))))];
            let caller = Some(pages.absent.component.clone());
            let page = ask(&pages.stand.invoke, &method, caller, arguments).await?;
            length(page.as_ref(), "entries")
        }
    };
    Ok(Case::new(name, native, component))
}

/// The last page of the group, for one member after the other.
fn group_pages(pages: &Rc<Pages>, name: &'static str) -> anyhow::Result<Case> {
    let method = pages.stand.method("group-pull", "pull")?;
    let limit = u32::try_from(PAGE)?;
    let (natively, dispatched) = (pages.clone(), pages.clone());
    let native = move |number| {
        let pages = natively.clone();
        async move {
            let member = turn(&pages.members, number)?.native.clone();
            let since = Some(pages.last.get() - PAGE);
            let call = group_pull::Component::pull(member, GROUP, since, Some(limit));
            let page = pages.stand.native.group_pull.run(call).await.map_err(refused)?;
            Ok(page.messages.len() as u64)
        }
    };
    let component = move |number| {
        let (pages, method) = (dispatched.clone(), method.clone());
        async move {
            let member = turn(&pages.members, number)?.component.clone();
            let arguments = vec![
                Val::U64(GROUP),
                Val::Option(Some(Box::new(Val::U64(pages.last.get() - PAGE)))),
                Val::Option(Some(Box::new(Val::U32(limit)))),
            ];
            let page = ask(&pages.stand.invoke, &method, Some(member), arguments).await?;
            length(page.as_ref(), "messages")
        }
    };
    Ok(Case::new(name, native, component))
}
