//! The schema of the place that a spot is.

use policy::outline::{Step, step_at, steps};
use policy::reader::Sketch;
use serde_json::Value;

use super::ground::Ground;
use super::schema::Shape;
use super::spot::{Spot, Way};
use super::words;

/// The schema that is right for what stands there: the filter's own, or that of the file.
pub(super) fn schema(ground: &Ground<'_>, sketch: &Sketch, spot: &Spot) -> Value {
    match &spot.step {
        // What the spot knows of the step was read from the same sketch.
        Some(step) => words::filter(uses(sketch, step).as_deref()),
        None => words::file(ground.kind),
    }
}

/// The filter that a step is.
fn uses(sketch: &Sketch, step: &Step) -> Option<String> {
    let steps = steps(sketch);
    step_at(&steps, step.header.start)?.uses.as_ref().map(|uses| uses.value.clone())
}

/// What the schema says of the place.
pub(super) fn follow<'s>(schema: &'s Value, spot: &Spot) -> Shape<'s> {
    let mut shape = Shape::of(schema);
    for word in rest_of_header(spot) {
        shape = shape.key(word).or_item();
    }
    for way in &spot.way {
        shape = match way {
            Way::Key(key) => shape.key(key),
            Way::Item => shape.item(),
        };
    }
    shape
}

/// The keys that lead to the place from the start of the file, but for items of lists.
pub(super) fn path(spot: &Spot) -> Vec<String> {
    let way = spot.way.iter().filter_map(|way| match way {
        Way::Key(key) => Some(key.clone()),
        Way::Item => None,
    });
    spot.header.iter().cloned().chain(way).collect()
}

/// The words of the header that are behind those of the filter: `case` of `[filter.case]`.
fn rest_of_header(spot: &Spot) -> impl Iterator<Item = &String> {
    let skipped = match (&spot.step, spot.header.first().map(String::as_str)) {
        (Some(_), Some("chain")) => 2,
        (Some(_), _) => 1,
        (None, _) => 0,
    };
    spot.header.iter().skip(skipped)
}
