//! The cases that every kind keeps.

mod delivery;
mod faults;
mod nodes;

pub(crate) use delivery::{
    acknowledges_only_what_is_durable, alters_no_payload, delivers_a_burst, delivers_one, keeps_what_is_too_large_apart,
    knows_a_repetition_after_a_restart, outlives_its_source, stops_in_time,
};
pub(crate) use faults::{says_what_is_wrong_with_its_config, says_where_it_comes_from, tells_what_a_probe_finds};
pub(crate) use nodes::{is_fenced_where_it_slept, is_listened_to_by_one_node};
