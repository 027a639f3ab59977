//! The relational stores: one list of promises for all of them, and those that only a server can break.
//!
//! What is asked of MySQL needs its `mysqld`, which Debian's stable release lacks: these tests are ignored, and say so,
//! until `cargo xtask mysql` asks for them.

mod cases;
mod ground;
mod mysql;
mod replicas;

macro_rules! on_every_backend {
    ($($case:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[test] fn $case() { super::ground::on_sqlite(super::cases::$case); })*
        }
        mod on_mariadb {
            use super::ground::Product;
            $(#[test] fn $case() { super::ground::on_server(Product::Mariadb, super::cases::$case); })*
        }
        mod on_mysql {
            use super::ground::Product;
            $(
                #[test]
                #[ignore = "needs a server of MySQL: cargo xtask mysql"]
                fn $case() { super::ground::on_server(Product::Mysql, super::cases::$case); }
            )*
        }
    };
}

on_every_backend!(
    a_write_is_seen_by_the_next_read,
    steps_of_a_batch_see_what_the_former_did,
    a_step_takes_what_a_former_read,
    what_cannot_be_taken_is_refused_and_nothing_kept,
    what_a_former_batch_read_is_not_taken,
    a_failing_step_undoes_its_batch,
    an_unmet_step_undoes_its_batch,
    the_first_step_that_fails_is_the_one_that_is_told,
    rows_that_an_update_finds_are_counted_though_they_do_not_change,
    an_empty_batch_does_nothing,
    a_job_whose_deadline_passed_is_never_run,
    an_endless_statement_costs_its_own_job_only,
    a_query_cannot_write,
    everything_but_reading_and_changing_rows_is_refused,
    wrong_statements_and_parameters_are_invalid,
    other_constraints_are_invalid,
    results_are_bounded,
    a_write_may_change_more_rows_than_a_result_may_have,
    batches_are_bounded,
    values_come_back_as_they_were,
    counts_and_sums_are_integers,
    quotes_and_backslashes_are_letters,
    texts_are_ordered_and_compared_by_their_bytes,
    concurrent_increments_lose_nothing,
    a_read_after_the_lock_sees_the_newest_state,
    locks_in_opposite_order_are_resolved_unseen,
    a_caller_that_goes_away_leaves_nothing_behind,
);
