//! Plans, and what workspaces may use.

use sandmill_model::{Quotas, quota::Overrides};
use sandmill_store::{
    Store,
    plans::{Plan, PlanDeleted},
    workspaces::{Change, NewWorkspace, Unmade},
};
use serde_json::json;

use crate::fixture::{Database, on_both, tick, workspace};

on_both![plans_are_put_listed_and_deleted, a_workspace_has_its_plans_quotas_and_its_own, a_new_workspace_may_have_a_plan];

fn plan(name: &str, quotas: Quotas) -> Plan {
    Plan { name: name.into(), quotas, description: "for süß".to_owned(), updated_at: tick(), updated_by: "u/admin".into() }
}

fn object(value: serde_json::Value) -> Overrides {
    value.as_object().unwrap().clone()
}

async fn put(store: &Store, name: &str, quotas: Quotas) -> Plan {
    let plan = plan(name, quotas);
    assert!(store.plans.put(plan.clone()).await.unwrap());
    plan
}

async fn plans_are_put_listed_and_deleted(database: Database) {
    let store = database.open().await;
    assert_eq!(store.plans.page(None, 10).await.unwrap(), []);
    let pro = put(&store, "pro", Quotas { scripts: Some(5), ..Quotas::default() }).await;
    let free = put(&store, "free", Quotas::default()).await;
    assert_eq!(store.plans.page(None, 10).await.unwrap(), [free.clone(), pro.clone()]);
    assert_eq!(store.plans.page(Some("free"), 10).await.unwrap(), std::slice::from_ref(&pro));
    assert_eq!(store.plans.page(None, 1).await.unwrap(), std::slice::from_ref(&free));
    let changed = put(&store, "pro", Quotas { scripts: Some(6), ..Quotas::default() }).await;
    assert_eq!(store.plans.find("pro").await.unwrap(), Some(changed));
    for absent in ["", "PRO", "a\0b"] {
        assert_eq!(store.plans.find(absent).await.unwrap(), None, "{absent:?}");
        assert_eq!(store.plans.delete(absent).await.unwrap(), PlanDeleted::Absent);
    }
    assert_eq!(store.plans.delete("free").await.unwrap(), PlanDeleted::Yes);
    assert_eq!(store.plans.find("free").await.unwrap(), None);
}

async fn a_workspace_has_its_plans_quotas_and_its_own(database: Database) {
    let store = database.open().await;
    put(&store, "pro", Quotas { scripts: Some(5), runs_per_day: Some(100), ..Quotas::default() }).await;
    let made = store.workspaces.ensure(workspace(), "acme", tick()).await.unwrap();
    assert!(made.allotted.quotas.is_unlimited() && made.allotted.plan.is_none());
    let change = Change { plan: Some(Some("pro".into())), overrides: object(json!({"scripts": 7, "triggers": null})) };
    let changed = store.workspaces.allot(made.id, change).await.unwrap().unwrap();
    let expected = Quotas { scripts: Some(7), runs_per_day: Some(100), ..Quotas::default() };
    assert_eq!((changed.allotted.plan.as_deref(), &changed.allotted.quotas), (Some("pro"), &expected));
    assert_eq!(store.workspaces.by_name("acme").await.unwrap().unwrap(), changed);
    // The plan changes for all that have it.
    put(&store, "pro", Quotas { scripts: Some(5), runs_per_day: Some(50), ..Quotas::default() }).await;
    let now = store.workspaces.by_name("acme").await.unwrap().unwrap();
    assert_eq!(now.allotted.quotas, Quotas { scripts: Some(7), runs_per_day: Some(50), ..Quotas::default() });
    assert_eq!(store.plans.delete("pro").await.unwrap(), PlanDeleted::InUse);
    let back = Change { plan: None, overrides: object(json!({"scripts": "plan"})) };
    let changed = store.workspaces.allot(made.id, back).await.unwrap().unwrap();
    assert_eq!((changed.allotted.quotas.scripts, changed.allotted.overrides.len()), (Some(5), 1));
    for (change, expected) in [
        (Change { plan: Some(Some("none".into())), ..Change::default() }, Some(Unmade::NoSuchPlan)),
        (Change { plan: None, overrides: object(json!({"scripts": -1})) }, None),
        (Change { plan: None, overrides: object(json!({"runs_per_dai": 1})) }, None),
    ] {
        let refused = store.workspaces.allot(made.id, change).await.unwrap().unwrap_err();
        assert!(expected.is_none_or(|expected| expected == refused), "{refused:?}");
    }
    let without = store.workspaces.allot(made.id, Change { plan: Some(None), ..Change::default() }).await.unwrap().unwrap();
    assert_eq!(without.allotted.plan, None);
    assert_eq!(store.plans.delete("pro").await.unwrap(), PlanDeleted::Yes);
    assert!(store.workspaces.allot(workspace(), Change::default()).await.is_err(), "nobody");
}

async fn a_new_workspace_may_have_a_plan(database: Database) {
    let store = database.open().await;
    put(&store, "free", Quotas { running_runs: Some(2), ..Quotas::default() }).await;
    let new = |name: &str, plan: &str| NewWorkspace {
        id: workspace(),
        name: name.into(),
        allotment: Change { plan: Some(Some(plan.into())), overrides: object(json!({"fuel_per_day": 9})) },
        now: tick(),
    };
    let made = store.workspaces.create(new("acme", "free")).await.unwrap().unwrap();
    assert_eq!((made.allotted.quotas.running_runs, made.running_runs_max()), (Some(2), Some(2)));
    assert_eq!(store.workspaces.by_name("acme").await.unwrap(), Some(made));
    assert_eq!(store.workspaces.create(new("acme", "free")).await.unwrap(), Err(Unmade::Taken));
    assert_eq!(store.workspaces.create(new("other", "pro")).await.unwrap(), Err(Unmade::NoSuchPlan));
    assert_eq!(store.workspaces.list().await.unwrap().len(), 1);
}
