//! Who may do what in a group.

use serde_json::json;

use super::{create, join, refusal};
use crate::chat::calm;
use crate::harness::{Client, Node};

/// A group with its owner, an admin, a member, and somebody outside.
struct Cast {
    group: String,
    owner: Client,
    admin: Client,
    member: Client,
    outside: Client,
}

async fn cast(node: &Node, policy: &str) -> Cast {
    let mut owner = Client::register(node, "owner").await;
    let (admin, member) = (
        Client::register(node, "admin").await,
        Client::register(node, "member").await,
    );
    let outside = Client::register(node, "outside").await;
    let made = owner
        .call("groups.create", json!({ "name": "cast", "join": policy }))
        .await
        .expect("made");
    let group = made["id"].as_str().expect("an id").to_owned();
    let users = json!({ "group": group, "users": [admin.user, member.user] });
    owner.call("groups.invite", users).await.expect("invited");
    let role = json!({ "group": group, "user": admin.user, "role": "admin" });
    owner.call("groups.set-role", role).await.expect("given");
    Cast {
        group,
        owner,
        admin,
        member,
        outside,
    }
}

#[tokio::test]
async fn a_group_by_invitation_is_hidden_from_outside() {
    let node = calm();
    let Cast {
        group,
        mut outside,
        mut member,
        ..
    } = cast(&node, "invite_only").await;
    let this = json!({ "group": group });
    assert_eq!(refusal(&mut outside, "groups.join", this.clone()).await, "forbidden");
    for method in ["groups.info", "groups.members", "groups.leave", "group-pull.pull"] {
        assert_eq!(
            refusal(&mut outside, method, this.clone()).await,
            "not_found",
            "{method}"
        );
    }
    let info = member.call("groups.info", this.clone()).await.expect("told");
    assert_eq!((&info["members"], &info["join"]), (&json!(3), &json!("invite_only")));
    assert_eq!(
        member.call("groups.join", this).await.expect("safe to repeat")["id"],
        group
    );
}

#[tokio::test]
async fn an_open_group_shows_itself_and_not_its_members() {
    let node = calm();
    let Cast { group, mut outside, .. } = cast(&node, "open").await;
    let this = json!({ "group": group });
    assert_eq!(
        outside.call("groups.info", this.clone()).await.expect("told")["members"],
        3
    );
    assert_eq!(refusal(&mut outside, "groups.members", this.clone()).await, "forbidden");
    let message = json!({ "group": group, "client_id": "1", "content": "hello" });
    assert_eq!(
        refusal(&mut outside, "send.send-group-message", message).await,
        "not_found"
    );
    assert_eq!(
        refusal(&mut outside, "group-pull.pull", this.clone()).await,
        "not_found"
    );
    assert_eq!(outside.call("groups.join", this).await.expect("joined")["members"], 4);
    assert_eq!(
        refusal(&mut outside, "groups.join", json!({ "group": "1" })).await,
        "not_found"
    );
}

#[tokio::test]
async fn members_invite_into_open_groups_only() {
    let node = calm();
    let Cast {
        group,
        mut member,
        mut admin,
        outside,
        ..
    } = cast(&node, "invite_only").await;
    let invite = json!({ "group": group, "users": [outside.user] });
    assert_eq!(refusal(&mut member, "groups.invite", invite.clone()).await, "forbidden");
    assert_eq!(admin.call("groups.invite", invite).await, Ok(json!([outside.user])));
    let node = calm();
    let Cast {
        group,
        mut member,
        outside,
        ..
    } = cast(&node, "open").await;
    let invite = json!({ "group": group, "users": [outside.user] });
    assert_eq!(member.call("groups.invite", invite).await, Ok(json!([outside.user])));
}

#[tokio::test]
async fn a_member_is_removed_by_a_higher_role_only() {
    let node = calm();
    let Cast {
        group,
        mut owner,
        mut admin,
        mut member,
        mut outside,
        ..
    } = cast(&node, "open").await;
    let remove = |user: &Client| json!({ "group": group, "user": user.user });
    let (owners, admins, members, nobodys) = (remove(&owner), remove(&admin), remove(&member), remove(&outside));
    for (client, refused) in [
        (&mut outside, vec![(&members, "forbidden")]),
        (&mut member, vec![(&admins, "forbidden"), (&owners, "forbidden")]),
        (
            &mut admin,
            vec![(&owners, "forbidden"), (&admins, "forbidden"), (&nobodys, "not_found")],
        ),
        (&mut owner, vec![(&owners, "forbidden")]),
    ] {
        for (params, code) in refused {
            let refusal = refusal(client, "groups.remove", params.clone()).await;
            assert_eq!(refusal, code, "{} {params}", client.user);
        }
    }
    admin.call("groups.remove", members).await.expect("removed");
    owner.call("groups.remove", admins).await.expect("removed");
    let left = owner
        .call("groups.members", json!({ "group": group }))
        .await
        .expect("listed");
    assert_eq!(super::each(&left, "/user"), [owner.user.as_str()]);
}

#[tokio::test]
async fn roles_are_given_by_the_owner() {
    let node = calm();
    let Cast {
        group,
        mut owner,
        mut admin,
        mut member,
        outside,
        ..
    } = cast(&node, "open").await;
    let give = |user: &Client, role: &str| json!({ "group": group, "user": user.user, "role": role });
    let of_member = |role: &str| give(&member, role);
    let (promote, crown) = (of_member("admin"), of_member("owner"));
    let (of_admin, of_owner, of_outside) = (give(&admin, "member"), give(&owner, "member"), give(&outside, "admin"));
    assert_eq!(
        refusal(&mut admin, "groups.set-role", promote.clone()).await,
        "forbidden"
    );
    assert_eq!(
        refusal(&mut member, "groups.set-role", promote.clone()).await,
        "forbidden"
    );
    assert_eq!(refusal(&mut owner, "groups.set-role", crown).await, "invalid");
    assert_eq!(refusal(&mut owner, "groups.set-role", of_owner).await, "forbidden");
    assert_eq!(refusal(&mut owner, "groups.set-role", of_outside).await, "not_found");
    owner.call("groups.set-role", promote).await.expect("given");
    owner.call("groups.set-role", of_admin).await.expect("given");
    let listed = owner
        .call("groups.members", json!({ "group": group }))
        .await
        .expect("listed");
    assert_eq!(super::each(&listed, "/role"), ["owner", "member", "admin"]);
}

#[tokio::test]
async fn the_owner_passes_the_group_on_before_leaving_it() {
    let node = calm();
    let Cast {
        group,
        mut owner,
        mut admin,
        mut member,
        outside,
        ..
    } = cast(&node, "open").await;
    let this = json!({ "group": group });
    let to = |user: &Client| json!({ "group": group, "user": user.user });
    assert_eq!(refusal(&mut owner, "groups.leave", this.clone()).await, "forbidden");
    let (member_next, outside_next) = (to(&member), to(&outside));
    assert_eq!(
        refusal(&mut admin, "groups.transfer", member_next.clone()).await,
        "forbidden"
    );
    assert_eq!(refusal(&mut owner, "groups.transfer", outside_next).await, "not_found");
    owner.call("groups.transfer", member_next).await.expect("transferred");
    assert_eq!(
        member.call("groups.info", this.clone()).await.expect("told")["owner"],
        member.user
    );
    let listed = member.call("groups.members", this.clone()).await.expect("listed");
    assert_eq!(super::each(&listed, "/role"), ["admin", "admin", "owner"]);
    owner.call("groups.leave", this.clone()).await.expect("left");
    admin.call("groups.leave", this.clone()).await.expect("left");
    member
        .call("groups.leave", this.clone())
        .await
        .expect("the last member ends the group");
    assert_eq!(refusal(&mut member, "groups.info", this).await, "not_found");
}

#[tokio::test]
async fn the_name_of_a_group_has_bounds() {
    let node = calm();
    let mut ann = Client::register(&node, "ann").await;
    for name in [String::new(), "n".repeat(129)] {
        assert_eq!(
            refusal(&mut ann, "groups.create", json!({ "name": name })).await,
            "invalid"
        );
    }
    create(&mut ann, &"n".repeat(128)).await;
    let mine = ann.call("groups.mine", json!({})).await.expect("listed");
    assert_eq!(mine.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_group_that_ended_is_joined_by_nobody() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let group = create(&mut ann, "short").await;
    ann.call("groups.leave", json!({ "group": group })).await.expect("left");
    assert_eq!(
        refusal(&mut bob, "groups.join", json!({ "group": group })).await,
        "not_found"
    );
    let other = create(&mut ann, "next").await;
    assert_ne!(group, other, "ids are never used twice");
    join(&mut bob, &other).await;
}
